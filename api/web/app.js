// The page to try the service. No build step, nothing from elsewhere. All text goes in through textContent: titles and
// ids are other people's data.

const WAIT_MS = 20000; // longer than this is a failure
const PATIENCE_MS = 150; // longer than this shows the progress bar
const TYPING_MS = 120;
const STORED = "recsys-history";

const by = (id) => document.getElementById(id);
const state = { history: restored(), models: null };

// ---------------------------------------------------------------- asking the service

class Failed extends Error {}

async function ask(path, { body, signal } = {}) {
  const late = AbortSignal.timeout(WAIT_MS);
  const options = { signal: signal ? AbortSignal.any([signal, late]) : late, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  let answer;
  try {
    response = await fetch(path, options);
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error; // a newer question took over
    if (late.aborted) throw new Failed(`The service took longer than ${WAIT_MS / 1000} seconds.`);
    if (response) throw new Failed(`The service answered ${response.status} with something that is no JSON.`);
    throw new Failed("The service cannot be reached.");
  }
  if (!response.ok) throw new Failed(answer.detail || `The service answered ${response.status}.`);
  return answer;
}

// One question at a time: a new one cancels the one before, whose answer would be out of date.
function latest(work) {
  let running = null;
  return async (...given) => {
    running?.abort();
    const mine = (running = new AbortController());
    try {
      await work(mine.signal, ...given);
    } catch (error) {
      if (!mine.signal.aborted) throw error;
    }
  };
}

// ---------------------------------------------------------------- building elements

function make(tag, { text, attributes = {}, on = {} } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const [name, handler] of Object.entries(on)) element.addEventListener(name, handler);
  element.append(...children);
  return element;
}

const named = (item) => item.title || item.item_id;

function hue(name) {
  let sum = 0;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 360;
  return sum;
}

// Scores are comparable within one list only, so the bars show where each stands between the last and the first.
function share(score, items) {
  const scores = items.map((item) => item.score);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  if (high === low) return 1;
  return low >= 0 ? Math.max(score / high, 0.02) : 0.06 + (0.94 * (score - low)) / (high - low);
}

function scoredRow(item, items, rank) {
  const bar = make("span", { attributes: { class: "bar", "aria-hidden": "true" } });
  bar.style.setProperty("--share", share(item.score, items).toFixed(4));
  const source = make("span", { text: item.source, attributes: { class: "source", title: `has an opinion: ${item.sources.join(", ")}` } });
  source.style.setProperty("--hue", hue(item.source));
  const others = item.sources.length - 1;
  const add = make(
    "button",
    { attributes: { type: "button", class: "pick", "aria-label": `Add ${named(item)} to the history` }, on: { click: () => push(item) } },
    make("span", { text: String(rank), attributes: { class: "rank", "aria-hidden": "true" } }),
    make("span", { attributes: { class: "title" } }, make("b", { text: named(item) }), make("small", { text: item.item_id })),
    make("span", { attributes: { class: "score" } }, bar, make("span", { text: formatted(item.score), attributes: { class: "number" } })),
  );
  return make(
    "li",
    { attributes: { "data-item": item.item_id } },
    add,
    make("span", { attributes: { class: "sources" } }, source, ...(others > 0 ? [make("small", { text: `+${others}`, attributes: { title: item.sources.join(", ") } })] : [])),
    make("button", { text: "Similar", attributes: { type: "button", class: "quiet", "aria-label": `Similar to ${named(item)}` }, on: { click: () => showSimilar(item) } }),
  );
}

function formatted(number) {
  if (Number.isInteger(number)) return String(number);
  return Math.abs(number) >= 1000 || Math.abs(number) < 0.001 ? number.toExponential(2) : number.toFixed(3);
}

// ---------------------------------------------------------------- history

function restored() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORED) || "[]");
    return kept.filter((item) => typeof item?.item_id === "string");
  } catch {
    return [];
  }
}

function changed() {
  try {
    localStorage.setItem(STORED, JSON.stringify(state.history));
  } catch {
    // private windows may refuse; the page works without
  }
  drawHistory();
  recommend();
}

function push(item) {
  state.history.push({ item_id: item.item_id, title: item.title });
  changed();
  say(`${named(item)} added to the history`);
}

function move(from, to) {
  const [item] = state.history.splice(from, 1);
  state.history.splice(to, 0, item);
  changed();
  const name = to < from ? ".up" : ".down";
  const row = by("history").children[to];
  (row.querySelector(`${name}:not(:disabled)`) || row.querySelector("button:not(:disabled)")).focus();
}

function drop(index) {
  const [item] = state.history.splice(index, 1);
  changed();
  const rows = by("history").children;
  (rows[Math.min(index, rows.length - 1)]?.querySelector(".remove") || by("query")).focus();
  say(`${named(item)} removed from the history`);
}

function drawHistory() {
  const last = state.history.length - 1;
  const button = (name, sign, label, work, disabled) => {
    const made = make("button", { text: sign, attributes: { type: "button", class: `quiet ${name}`, "aria-label": label, title: label }, on: { click: work } });
    made.disabled = disabled;
    return made;
  };
  by("history").replaceChildren(
    ...state.history.map((item, i) =>
      make(
        "li",
        { attributes: { "data-item": item.item_id } },
        make("span", { attributes: { class: "title" } }, make("b", { text: named(item) }), make("small", { text: item.item_id })),
        button("up", "↑", `Move ${named(item)} up`, () => move(i, i - 1), i === 0),
        button("down", "↓", `Move ${named(item)} down`, () => move(i, i + 1), i === last),
        button("remove", "✕", `Remove ${named(item)}`, () => drop(i), false),
      ),
    ),
  );
  by("history-count").textContent = String(state.history.length);
  by("history-empty").hidden = last >= 0;
  by("clear").disabled = last < 0;
}

// ---------------------------------------------------------------- recommendations

const recommend = latest(async (signal) => {
  const slow = setTimeout(() => (by("progress").hidden = false), PATIENCE_MS);
  by("items").setAttribute("aria-busy", "true");
  const body = { history: state.history.map((item) => item.item_id), k: Number(by("k").value) };
  if (by("encoder").value) body.encoder = by("encoder").value;
  body.include_seen = by("seen").checked;
  try {
    drawAnswer(await ask("/v1/recommendations", { body, signal }));
    by("failure").hidden = true;
    by("items").classList.remove("stale");
  } catch (error) {
    if (signal.aborted) throw error;
    by("failure-text").textContent = error instanceof Failed ? error.message : `This page failed: ${error.message}`;
    by("failure").hidden = false;
    by("items").classList.add("stale");
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) {
      by("progress").hidden = true;
      by("items").setAttribute("aria-busy", "false");
    }
  }
});

function drawAnswer(answer) {
  by("items").replaceChildren(...answer.items.map((item, i) => scoredRow(item, answer.items, i + 1)));
  by("degraded").replaceChildren(
    ...answer.degraded.map((one) => make("li", { attributes: { class: "notice" } }, make("b", { text: one.what }), ` ${one.why}`)),
  );
  by("trace").textContent = `answered by ${answer.encoder} · request ${answer.request_id}`;
  drawBundle(answer.bundle);
  say(`${answer.items.length} recommendations`);
}

function drawBundle(uri) {
  by("bundle").classList.toggle("none", !uri);
  by("bundle").title = uri || "";
  by("bundle-text").textContent = uri ? uri.replace(/\/+$/, "").split("/").pop() : "no bundle: popular items";
}

const say = (text) => (by("announce").textContent = text);

// ---------------------------------------------------------------- similar items

const loadSimilar = latest(async (signal, item) => {
  by("similar-note").textContent = "asking…";
  try {
    const answer = await ask(`/v1/items/${encodeURIComponent(item.item_id)}/similar?k=10`, { signal });
    by("similar-items").replaceChildren(...answer.items.map((one, i) => scoredRow(one, answer.items, i + 1)));
    by("similar-note").textContent = answer.degraded.map((one) => one.why).join("; ");
  } catch (error) {
    if (signal.aborted) throw error;
    by("similar-note").textContent = error.message;
  }
});

function showSimilar(item) {
  by("similar-title").textContent = `Similar to ${named(item)}`;
  by("similar-items").replaceChildren();
  if (!by("similar").open) by("similar").showModal();
  loadSimilar(item);
}

// ---------------------------------------------------------------- search: a combobox after the ARIA practices

let typing = 0;
let active = -1;

const search = latest(async (signal) => {
  const query = by("query").value.trim();
  try {
    const { items } = await ask(`/v1/items?limit=12&query=${encodeURIComponent(query)}`, { signal });
    drawHits(items);
    by("search-note").textContent = items.length ? "" : `No item has “${query}” in its title or id.`;
  } catch (error) {
    if (signal.aborted) throw error;
    closeHits();
    by("search-note").textContent = error.message;
  }
});

function drawHits(items) {
  active = -1;
  by("query").removeAttribute("aria-activedescendant");
  by("hits").replaceChildren(
    ...items.map((item, i) =>
      make(
        "li",
        { attributes: { role: "option", id: `hit-${i}`, "aria-selected": "false", "data-item": item.item_id }, on: { click: () => pick(item) } },
        make("b", { text: named(item) }),
        make("small", { text: item.item_id }),
      ),
    ),
  );
  by("hits").hidden = !items.length || document.activeElement !== by("query");
  by("query").setAttribute("aria-expanded", String(!by("hits").hidden));
}

function pick(item) {
  push(item);
  by("query").value = "";
  closeHits();
  by("query").focus();
}

function closeHits() {
  by("hits").hidden = true;
  by("query").setAttribute("aria-expanded", "false");
  by("query").removeAttribute("aria-activedescendant");
  active = -1;
}

function step(by_) {
  const options = [...by("hits").children];
  if (!options.length) return;
  active = (active + by_ + options.length + (active < 0 && by_ < 0 ? 1 : 0)) % options.length;
  options.forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
  options[active].scrollIntoView({ block: "nearest" });
  by("query").setAttribute("aria-activedescendant", options[active].id);
}

function onKey(event) {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (by("hits").hidden) search();
    else step(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter" && !by("hits").hidden) {
    event.preventDefault();
    by("hits").children[Math.max(active, 0)]?.click();
  } else if (event.key === "Escape") {
    closeHits();
  }
}

// ---------------------------------------------------------------- models and their figures

// {"ndcg@10": {"mean": .1, "low": .09, "high": .11}, "users": 943} becomes one column a figure.
function flat(figures, prefix = "", depth = 0) {
  const columns = new Map();
  for (const [name, value] of Object.entries(figures)) {
    const label = prefix + name;
    if (typeof value === "number") columns.set(label, formatted(value));
    else if (typeof value === "string" || typeof value === "boolean") columns.set(label, String(value));
    else if (value && typeof value.mean === "number") {
      columns.set(label, "low" in value && "high" in value ? `${formatted(value.mean)} [${formatted(value.low)}, ${formatted(value.high)}]` : formatted(value.mean));
    } else if (value && typeof value === "object" && !Array.isArray(value) && depth < 3) {
      for (const [inner, text] of flat(value, `${label} `, depth + 1)) columns.set(inner, text);
    }
  }
  return columns;
}

function drawModels(models) {
  const chosen = by("encoder").value;
  by("encoder").replaceChildren(
    make("option", { text: `default (${models.default})`, attributes: { value: "" } }),
    ...models.parts.map((part) => make("option", { text: part.name, attributes: { value: part.name } })),
  );
  by("encoder").value = models.parts.some((part) => part.name === chosen) ? chosen : "";
  if (typeof models.about.include_seen === "boolean") by("seen").checked = models.about.include_seen;
  by("protocol").textContent = [...flat(models.about)].map(([name, text]) => `${name}: ${text}`).join(" · ");
  drawFigures(models);
  drawBundle(models.bundle);
}

function drawFigures(models) {
  const rows = models.parts.map((part) => [part, flat(part.figures)]);
  const columns = [...new Set(rows.flatMap(([, figures]) => [...figures.keys()]))];
  by("figures-empty").hidden = rows.length > 0;
  by("figures").hidden = rows.length === 0;
  by("figures").replaceChildren(
    make("thead", {}, make("tr", {}, ...["part", "kind", ...columns].map((text) => make("th", { text, attributes: { scope: "col" } })))),
    make(
      "tbody",
      {},
      ...rows.map(([part, figures]) =>
        make(
          "tr",
          { attributes: part.name === models.default ? { class: "default" } : {} },
          make("th", { text: part.name, attributes: { scope: "row" } }),
          make("td", { text: part.kind }),
          ...columns.map((column) => make("td", { text: figures.get(column) ?? "–", attributes: { class: "figure" } })),
        ),
      ),
    ),
  );
}

async function loadModels() {
  try {
    drawModels(await ask("/v1/models"));
  } catch (error) {
    by("protocol").textContent = error.message;
  }
}

// ---------------------------------------------------------------- theme and start

function theme(name) {
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("recsys-theme", name);
  } catch {
    // kept for this visit only
  }
}

function start() {
  try {
    const kept = localStorage.getItem("recsys-theme");
    if (kept) document.documentElement.dataset.theme = kept;
  } catch {
    // the system's theme it is
  }
  by("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    theme(dark ? "light" : "dark");
  });
  by("query").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(search, TYPING_MS);
  });
  by("query").addEventListener("focus", search);
  by("query").addEventListener("keydown", onKey);
  by("hits").addEventListener("mousedown", (event) => event.preventDefault()); // keep the focus in the field
  by("query").addEventListener("blur", closeHits);
  by("clear").addEventListener("click", () => {
    state.history = [];
    changed();
    by("query").focus();
  });
  for (const id of ["encoder", "k", "seen"]) by(id).addEventListener("change", () => recommend());
  by("retry").addEventListener("click", async () => {
    await recommend();
    if (by("encoder").options.length < 2) loadModels();
  });
  by("similar-close").addEventListener("click", () => by("similar").close());
  by("similar").addEventListener("click", (event) => {
    if (event.target === by("similar")) by("similar").close();
  });
  drawHistory();
  loadModels().then(() => recommend());
}

start();

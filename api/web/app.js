// The page to try recommendations. No build step, nothing from elsewhere.

import { Ordered, ask, by, drawBundle, drawDegraded, drawFailure, formatted, hue, keep, latest, make, named, redraw, restored, say, share, startTheme } from "./shared.js";
import { startSearch } from "./search.js";

const PATIENCE_MS = 150; // longer than this shows the progress bar
const STORED = "recsys-history";

const history = new Ordered(by("history"), restored(STORED), { where: "the history", changed, whenEmpty: by("query") });

function scoredRow(item, items, rank) {
  const bar = make("span", { attributes: { class: "bar", "aria-hidden": "true" } });
  bar.style.setProperty("--share", share(item.score, items).toFixed(4));
  const source = make("span", { text: item.source, attributes: { class: "source", title: `has an opinion: ${item.sources.join(", ")}` } });
  source.style.setProperty("--hue", hue(item.source));
  const others = item.sources.length - 1;
  const add = make(
    "button",
    { attributes: { type: "button", class: "pick", "aria-label": `Add ${named(item)} to the history` }, on: { click: () => history.push(item) } },
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

function changed() {
  keep(STORED, history.items);
  drawCount();
  recommend();
}

function drawCount() {
  const size = history.items.length;
  by("history-count").textContent = String(size);
  by("history-empty").hidden = size > 0;
  by("clear").disabled = size === 0;
}

// ---------------------------------------------------------------- recommendations

const recommend = latest(async (signal) => {
  const slow = setTimeout(() => (by("progress").hidden = false), PATIENCE_MS);
  by("items").setAttribute("aria-busy", "true");
  const body = { history: history.items.map((item) => item.item_id), k: Number(by("k").value) };
  const live = chosenLive();
  if (live) Object.assign(body, { model: live, window: by("window").value });
  else if (by("encoder").value) body.encoder = by("encoder").value;
  body.include_seen = by("seen").checked;
  try {
    drawAnswer(await ask("/v1/recommendations", { body, signal }));
    drawFailure();
    by("items").classList.remove("stale");
  } catch (error) {
    if (signal.aborted) throw error;
    drawFailure(error);
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
  redraw(by("items"), answer.items.map((item, i) => scoredRow(item, answer.items, i + 1)));
  drawDegraded(answer.degraded);
  by("trace").textContent = `answered by ${answer.encoder} · request ${answer.request_id}`;
  if (!chosenLive()) drawBundle(answer.bundle);
  say(`${answer.items.length} recommendations`);
}

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

// Values of the select that stand for live models, which rank by counts of now and are no part of the bundle.
const LIVE = "live ";
const WINDOWS = { all: "all time", "30d": "30 days", "7d": "7 days", "24h": "24 hours", "1h": "1 hour" };
const chosenLive = () => (by("encoder").value.startsWith(LIVE) ? by("encoder").value.slice(LIVE.length) : "");

function drawWindows(live) {
  const model = live.find((one) => one.name === chosenLive());
  by("window-label").hidden = !model;
  if (!model) return;
  const windows = Object.keys(WINDOWS).filter((window) => window !== "all" || model.windows.includes(window));
  by("window").replaceChildren(...windows.map((window) => make("option", { text: WINDOWS[window], attributes: { value: window } })));
  by("window").value = model.default_window;
}

let liveModels = [];

function drawModels(models) {
  const chosen = by("encoder").value;
  liveModels = models.live;
  by("encoder").replaceChildren(
    make("option", { text: `default (${models.default})`, attributes: { value: "" } }),
    ...models.parts.map((part) => make("option", { text: part.name, attributes: { value: part.name } })),
    make(
      "optgroup",
      { attributes: { label: "counted now" } },
      ...liveModels.map(({ name, about }) => make("option", { text: `${name} now`, attributes: { value: LIVE + name, title: about } })),
    ),
  );
  by("encoder").value = [...by("encoder").options].some((option) => option.value === chosen) ? chosen : "";
  drawWindows(liveModels);
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

// ---------------------------------------------------------------- start

function start() {
  startTheme();
  startSearch((item) => history.push(item));
  by("clear").addEventListener("click", () => {
    history.replace([]);
    by("query").focus();
  });
  by("encoder").addEventListener("change", () => drawWindows(liveModels)); // before the question that takes the window
  for (const id of ["encoder", "window", "k", "seen"]) by(id).addEventListener("change", () => recommend());
  by("retry").addEventListener("click", async () => {
    await recommend();
    if (by("encoder").options.length < 2) loadModels();
  });
  by("similar-close").addEventListener("click", () => by("similar").close());
  by("similar").addEventListener("click", (event) => {
    if (event.target === by("similar")) by("similar").close();
  });
  drawCount();
  loadModels().then(() => recommend());
}

start();

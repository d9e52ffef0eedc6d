// What the pages share: asking the service, building elements, lists that can be put in order, the theme. All text goes in
// through textContent: titles and ids are other people's data.

const WAIT_MS = 20000; // longer than this is a failure

export const by = (id) => document.getElementById(id);
export const say = (text) => (by("announce").textContent = text);

// ---------------------------------------------------------------- asking the service

export class Failed extends Error {}

export async function ask(path, { body, signal } = {}) {
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
export function latest(work) {
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

export function make(tag, { text, attributes = {}, on = {} } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const [name, handler] of Object.entries(on)) element.addEventListener(name, handler);
  element.append(...children);
  return element;
}

export const named = (item) => item.title || item.item_id;

// What tells items of one title apart: the first short text among the attributes, such as an artist.
const SHORT = 60;
const texts = new Map(); // by item id, promised

const textOf = ({ attributes }) => Object.values(attributes ?? {}).flat().find((one) => typeof one === "string" && one && one.length <= SHORT);

export const remember = (item) => texts.set(item.item_id, Promise.resolve(textOf(item)));

// A line below a title: the id, until that text is there.
export function below(item_id) {
  const line = make("small", { text: item_id, attributes: { title: item_id } });
  if (!texts.has(item_id)) texts.set(item_id, ask(`/v1/items/${encodeURIComponent(item_id)}`).then(textOf, () => undefined));
  texts.get(item_id).then((text) => text && (line.textContent = text));
  return line;
}

export function hue(name) {
  let sum = 0;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 360;
  return sum;
}

// Scores are comparable within one list only, so the bars show where each stands between the last and the first.
export function share(score, items) {
  const scores = items.map((item) => item.score);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  if (high === low) return 1;
  return low >= 0 ? Math.max(score / high, 0.02) : 0.06 + (0.94 * (score - low)) / (high - low);
}

export function formatted(number) {
  if (Number.isInteger(number)) return String(number);
  const size = Math.abs(number);
  if (size >= 1e6 || size < 0.001) return number.toExponential(2);
  return number.toFixed(size >= 1000 ? 0 : 3);
}

export function drawBundle(uri) {
  by("bundle").classList.toggle("none", !uri);
  by("bundle").title = uri || "";
  by("bundle-text").textContent = uri ? uri.replace(/\/+$/, "").split("/").pop() : "no bundle: popular items";
}

export function drawDegraded(degraded) {
  by("degraded").replaceChildren(
    ...degraded.map((one) => make("li", { attributes: { class: "notice" } }, make("b", { text: one.what }), ` ${one.why}`)),
  );
}

// Shows what went wrong, or that nothing did.
export function drawFailure(error) {
  by("failure").hidden = !error;
  if (error) by("failure-text").textContent = error instanceof Failed ? error.message : `This page failed: ${error.message}`;
}

// ---------------------------------------------------------------- items kept by the browser, in an order

export function restored(name) {
  try {
    const kept = JSON.parse(localStorage.getItem(name) || "[]");
    return kept.filter((item) => typeof item?.item_id === "string");
  } catch {
    return [];
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(name, typeof value === "string" ? value : JSON.stringify(value));
  } catch {
    // private windows may refuse; the page works without
  }
}

// Draws `nodes` in place of what `list` shows. A keyboard's focus inside stays on the same button if that is still there, else at its place.
export function redraw(list, nodes) {
  const buttons = () => [...list.querySelectorAll("button")];
  const place = buttons().indexOf(document.activeElement);
  const label = document.activeElement.getAttribute("aria-label");
  list.replaceChildren(...nodes);
  if (place < 0) return;
  const now = buttons();
  const same = now.find((button) => button.getAttribute("aria-label") === label);
  (same || now[Math.min(place, now.length - 1)])?.focus({ preventScroll: true });
}

// An ordered list of `items` inside `list`: moved by dragging or by its buttons, which work with the keyboard alone.
export class Ordered {
  constructor(list, items, { where, changed, whenEmpty }) {
    Object.assign(this, { list, items, where, changed, whenEmpty });
    list.addEventListener("dragover", (event) => event.preventDefault());
    this.draw();
  }

  push(item) {
    this.items.push({ item_id: item.item_id, title: item.title });
    this.update();
    say(`${named(item)} added to ${this.where}`);
  }

  replace(items) {
    this.items = items;
    this.update();
  }

  move(from, to) {
    const [item] = this.items.splice(from, 1);
    this.items.splice(to, 0, item);
    this.update();
    const row = this.list.children[to];
    (row.querySelector(`${to < from ? ".up" : ".down"}:not(:disabled)`) || row.querySelector("button:not(:disabled)")).focus();
    say(`${named(item)} is number ${to + 1} now`);
  }

  drop(index) {
    const [item] = this.items.splice(index, 1);
    this.update();
    const rows = this.list.children;
    (rows[Math.min(index, rows.length - 1)]?.querySelector(".remove") || this.whenEmpty).focus();
    say(`${named(item)} removed from ${this.where}`);
  }

  update() {
    this.draw();
    this.changed();
  }

  draw() {
    this.list.replaceChildren(...this.items.map((item, i) => this.row(item, i)));
  }

  row(item, i) {
    const button = (name, sign, label, work, disabled) => {
      const made = make("button", { text: sign, attributes: { type: "button", class: `quiet ${name}`, "aria-label": label, title: label }, on: { click: work } });
      made.disabled = disabled;
      return made;
    };
    const drag = {
      dragstart: (event) => {
        this.dragged = i;
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", item.item_id);
      },
      dragend: () => (this.dragged = undefined),
      drop: (event) => {
        event.preventDefault();
        if (this.dragged !== undefined && this.dragged !== i) this.move(this.dragged, i);
      },
    };
    return make(
      "li",
      { attributes: { "data-item": item.item_id, draggable: "true" }, on: drag },
      make("span", { attributes: { class: "title" } }, make("b", { text: named(item) }), below(item.item_id)),
      button("up", "↑", `Move ${named(item)} up`, () => this.move(i, i - 1), i === 0),
      button("down", "↓", `Move ${named(item)} down`, () => this.move(i, i + 1), i === this.items.length - 1),
      button("remove", "✕", `Remove ${named(item)}`, () => this.drop(i), false),
    );
  }
}

// ---------------------------------------------------------------- theme

function theme(name) {
  document.documentElement.dataset.theme = name;
  keep("recsys-theme", name);
}

export function startTheme() {
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
}

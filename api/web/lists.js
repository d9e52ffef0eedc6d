// The page to try lists: build one, see how it goes on and which lists are like it. Nothing is stored.

import { Ordered, ask, below, by, drawBundle, drawDegraded, drawFailure, formatted, hue, keep, latest, make, named, redraw, remember, restored, say, startTheme } from "./shared.js";
import { startSearch } from "./search.js";

const STORED = "recsys-list";
const TYPING_MS = 250;
const TITLES = 200; // items of an opened list whose titles are asked for

const list = new Ordered(by("list"), restored(STORED), { where: "the list", changed, whenEmpty: by("query") });

function changed() {
  keep(STORED, list.items);
  drawCount();
  follow();
}

function drawCount() {
  const size = list.items.length;
  by("list-count").textContent = String(size);
  by("list-empty").hidden = size > 0;
  by("clear").disabled = size === 0 && !by("name").value;
}

// ---------------------------------------------------------------- both questions, asked anew with every change

const follow = latest(async (signal) => {
  const asked = { item_ids: list.items.map((item) => item.item_id), name: by("name").value.trim() || null };
  if (!asked.item_ids.length && !asked.name) {
    drawAlternatives([]);
    drawSimilar([]);
    drawDegraded([]);
    drawFailure();
    return;
  }
  const order = !asked.item_ids.length ? null : by("order").checked ? "sensitive" : "free";
  const [k, alternatives, most] = ["k", "alternatives", "most"].map((id) => Number(by(id).value));
  const onwards = { ...asked, order, k, alternatives, most_of_group: most || null };
  const alike = { ...asked, order, k: 12 };
  for (const id of ["continuation", "similar"]) by(id).setAttribute("aria-busy", "true");
  try {
    const [continued, similar] = await Promise.allSettled([
      ask("/v1/playlists/continue", { body: onwards, signal }),
      ask("/v1/playlists/similar", { body: alike, signal }),
    ]);
    signal.throwIfAborted();
    const { alternatives: shown = [], degraded: told = [], encoder: writer = "nothing", bundle } = continued.value ?? {};
    const { playlists = [], degraded: also = [], encoder: reader = "nothing" } = similar.value ?? {};
    drawAlternatives(shown);
    drawSimilar(playlists);
    drawDegraded(distinct([...told, ...also]));
    if (continued.value) drawBundle(bundle);
    by("trace").textContent = `continued by ${writer} · compared by ${reader}`;
    say(`${shown.length} continuations, ${playlists.length} similar lists`);
    drawFailure(continued.reason ?? similar.reason);
  } catch (error) {
    if (signal.aborted) throw error;
    drawFailure(error);
  } finally {
    if (!signal.aborted) for (const id of ["continuation", "similar"]) by(id).setAttribute("aria-busy", "false");
  }
});

const distinct = (degraded) => [...new Map(degraded.map((one) => [`${one.what} ${one.why}`, one])).values()];

// ---------------------------------------------------------------- continuations, side by side

function drawAlternatives(alternatives) {
  by("continuation-empty").hidden = alternatives.length > 0;
  redraw(by("continuation"), alternatives.map(({ items }, i) => alternative(items, i, alternatives.length)));
}

function alternative(items, i, of) {
  const title = of > 1 ? `Alternative ${i + 1}` : "Continuation";
  const all = make("button", {
    text: "Add all",
    attributes: { type: "button", class: "quiet", "aria-label": `Add all of ${title.toLowerCase()}` },
    on: { click: () => list.replace([...list.items, ...items.map(({ item_id, title }) => ({ item_id, title }))]) },
  });
  return make(
    "section",
    { attributes: { class: "alternative", "aria-label": title } },
    make("div", { attributes: { class: "head" } }, make("h3", { text: title }), all),
    make("ol", { attributes: { class: "items" } }, ...items.map(nextItem)),
  );
}

function nextItem(item) {
  const source = make("span", { text: item.source, attributes: { class: "source", title: `has an opinion: ${item.sources.join(", ")}` } });
  source.style.setProperty("--hue", hue(item.source));
  const add = make(
    "button",
    { attributes: { type: "button", class: "pick", "aria-label": `Add ${named(item)} to the list` }, on: { click: () => list.push(item) } },
    make("span", { attributes: { class: "title" } }, make("b", { text: named(item) }), below(item.item_id)),
    source,
  );
  return make("li", { attributes: { "data-item": item.item_id } }, add);
}

// ---------------------------------------------------------------- similar lists

function drawSimilar(playlists) {
  by("similar-empty").hidden = playlists.length > 0;
  redraw(by("similar"), playlists.map(similarRow));
}

function similarRow(found) {
  const name = found.name || found.playlist_id;
  const open = make(
    "button",
    { attributes: { type: "button", class: "pick", "aria-label": `Open ${name}` }, on: { click: () => openList(found.playlist_id) } },
    make("span", { attributes: { class: "title" } }, make("b", { text: name }), make("small", { text: `${found.playlist_id} · ${found.length} items` })),
    make("span", { text: formatted(found.score), attributes: { class: "number" } }),
  );
  return make("li", { attributes: { "data-list": found.playlist_id } }, open);
}

const openList = latest(async (signal, id) => {
  try {
    const stored = await ask(`/v1/playlists/${encodeURIComponent(id)}`, { signal });
    const ids = [...new Set(stored.item_ids)].slice(0, TITLES);
    const titles = await Promise.all(ids.map((item) => ask(`/v1/items/${encodeURIComponent(item)}`, { signal }).then((found) => (remember(found), [item, found.title]), () => [item, null])));
    signal.throwIfAborted();
    const known = new Map(titles);
    by("name").value = stored.name || "";
    list.replace(stored.item_ids.map((item_id) => ({ item_id, title: known.get(item_id) ?? null })));
  } catch (error) {
    if (signal.aborted) throw error;
    drawFailure(error);
  }
});

// ---------------------------------------------------------------- start

async function loadBundle() {
  try {
    drawBundle((await ask("/v1/models")).bundle);
  } catch (error) {
    drawFailure(error);
  }
}

function start() {
  let typing = 0;
  startTheme();
  startSearch((item) => list.push(item));
  by("name").addEventListener("input", () => {
    drawCount();
    clearTimeout(typing);
    typing = setTimeout(follow, TYPING_MS);
  });
  by("clear").addEventListener("click", () => {
    by("name").value = "";
    list.replace([]);
    by("query").focus();
  });
  for (const id of ["alternatives", "k", "most", "order"]) by(id).addEventListener("change", () => follow());
  by("retry").addEventListener("click", () => follow());
  drawCount();
  loadBundle().then(() => follow());
}

start();

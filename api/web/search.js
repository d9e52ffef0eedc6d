// Search for an item by title or id: a combobox after the ARIA practices, over #query, #hits and #search-note.

import { ask, below, by, latest, make, named, remember } from "./shared.js";

const TYPING_MS = 120;

let typing = 0;
let active = -1;
let picked = () => {};

const search = latest(async (signal) => {
  const query = by("query").value.trim();
  try {
    const { items } = await ask(`/v1/items?limit=12&query=${encodeURIComponent(query)}`, { signal });
    items.forEach(remember);
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
        below(item.item_id),
      ),
    ),
  );
  by("hits").hidden = !items.length || document.activeElement !== by("query");
  by("query").setAttribute("aria-expanded", String(!by("hits").hidden));
}

function pick(item) {
  picked(item);
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

// `work` is given each item that is picked.
export function startSearch(work) {
  picked = work;
  by("query").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(search, TYPING_MS);
  });
  by("query").addEventListener("focus", search);
  by("query").addEventListener("keydown", onKey);
  by("hits").addEventListener("mousedown", (event) => event.preventDefault()); // keep the focus in the field
  by("query").addEventListener("blur", closeHits);
}

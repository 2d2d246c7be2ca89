"""The style and the scripts of a microscope's pages."""

from __future__ import annotations

from optvis.viz.pages.style_parts import BASE, FOOTER, TOOLS

STYLE = (
    BASE
    + TOOLS
    + FOOTER
    + """
a { color: inherit; text-decoration-color: var(--line); text-underline-offset: .2em; }
a:hover { text-decoration-color: currentColor; }
svg { display: block; width: 100%; height: auto; }
.breadcrumbs, .neighbors { font: .8125rem/1.4 var(--small); color: var(--quiet); }
.neighbors { display: flex; gap: 1.5rem; margin: .8rem 0 1.25rem; font-variant-numeric: tabular-nums; }
.tools input[type="search"] {
  min-width: 0; width: 12rem; padding: .3rem .4rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--inset);
}
output { color: var(--quiet); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); gap: .9rem .6rem; }
.tiles { margin: 1.25rem 0; }
.tile {
  display: block; min-width: 0; content-visibility: auto; contain-intrinsic-size: auto 6rem auto 7.5rem;
  text-decoration: none; font: .75rem/1.4 var(--small); color: var(--quiet); overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap;
}
.tile b { color: var(--ink); }
.tile:is(:hover, :focus-visible) i { outline: 2px solid var(--more); outline-offset: -2px; }
.tile i, .strip i {
  position: relative; display: block; aspect-ratio: 1; overflow: hidden; border-radius: 3px; background: var(--inset);
}
.tile i img, .strip i img { position: absolute; top: 0; width: auto; height: 200%; max-width: none; }
.negatives .tile i img { top: -100%; }
.layers { margin: 1.5rem 0; padding: 0; list-style: none; }
.layers li { margin-bottom: 1.5rem; font: .8125rem/1.4 var(--small); }
.layers a { text-decoration: none; }
.layers span { color: var(--quiet); }
.strip { display: grid; grid-template-columns: repeat(8, minmax(0, 6rem)); gap: .4rem; margin-bottom: .4rem; }
.views { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: .6rem; max-width: 72rem; }
figure { margin: 0; min-width: 0; }
figcaption { margin-top: .3rem; font: .75rem/1.4 var(--small); color: var(--quiet); }
.views svg, .photographs svg { border-radius: 3px; background: var(--inset); }
.activations, .classes, .ablation { margin-top: 2rem; }
.whole { display: inline-flex; gap: .45rem; align-items: center; margin-bottom: .7rem; }
.whole { font: .8125rem/1.4 var(--small); }
.photographs {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .8rem .6rem; max-width: 72rem;
}
.photographs figcaption { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.photographs b { color: var(--ink); font-variant-numeric: tabular-nums; }
.photographs rect { fill: none; stroke: #fff; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.photographs .dark { stroke: #000; stroke-width: 4px; }
.photo, .activations:has(:checked) .patch, .photographs figure:is(:hover, :focus) .patch { display: none; }
.activations:has(:checked) .photo, .photographs figure:is(:hover, :focus) .photo { display: block; }
.photographs svg { aspect-ratio: 1; }
.activations p { margin-top: .8rem; font: .875rem/1.5 var(--small); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 3rem; }
.columns p { font: .8125rem/1.5 var(--small); color: var(--quiet); }
table { width: 100%; border-collapse: collapse; font: .8125rem/1.4 var(--small); }
thead th { color: var(--quiet); font-weight: 500; }
th { text-align: left; font-weight: 400; padding: .2rem .6rem .2rem 0; max-width: 12rem; }
td { padding: .2rem .5rem .2rem 0; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { width: 100%; min-width: 3rem; height: .5rem; background: var(--inset); }
.bar .more { fill: var(--more); }
.bar .less { fill: var(--less); }
.bar line { stroke: var(--bar); stroke-width: 1px; vector-effect: non-scaling-stroke; }
@media (max-width: 760px) {
  .views { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .tiles { grid-template-columns: repeat(auto-fill, minmax(4.75rem, 1fr)); }
  .strip { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .photographs { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .neighbors a { padding: .4rem 0; }
  .classes .bar { display: none; }
  th { min-width: 4.5rem; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
"""
)


def sprite_rules(group: int) -> str:
    """The CSS that shows one thumbnail of a group's sprite.

    >>> sprite_rules(1)
    '.p0 img { left: 0%; }\\n'
    """
    return "".join(f".p{index} img {{ left: -{100 * index}%; }}\n".replace("-0%", "0%") for index in range(group))


SHEET_SCRIPT = """\
"use strict";
{
  const form = document.querySelector(".tools"), grid = document.querySelector(".tiles");
  const tiles = [...grid.querySelectorAll(".tile")];
  const entries = tiles.map((tile) => ({
    tile, channel: Number(tile.dataset.channel), strength: Number(tile.dataset.strength),
    label: tile.querySelector("span").textContent,
  }));
  const { query, order, negative } = form.elements;
  const orders = {
    channel: (a, b) => a.channel - b.channel,
    strength: (a, b) => b.strength - a.strength || a.channel - b.channel,
    label: (a, b) => (a.label === "") - (b.label === "") || a.label.localeCompare(b.label) || a.channel - b.channel,
  };
  const sort = () => grid.append(...entries.sort(orders[order.value]).map((each) => each.tile));
  function filter() {
    const text = query.value.trim().toLowerCase();
    let count = 0;
    for (const { tile, channel, label } of entries) {
      const matches = /^\\d+$/.test(text) ? String(channel).startsWith(text) : label.toLowerCase().includes(text);
      tile.hidden = !matches;
      count += matches;
    }
    form.querySelector("output").textContent = text ? `${count} of ${entries.length}` : "";
  }
  form.addEventListener("input", (event) => {
    if (event.target === query) filter();
    if (event.target === order) sort();
    grid.classList.toggle("negatives", negative.checked);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = query.value.trim();
    const one = entries.find((each) => String(each.channel) === text) ?? entries.find((each) => !each.tile.hidden);
    if (one && text) location.href = one.tile.href;
  });
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter") form.requestSubmit();
    if (event.key === "Escape") { query.value = ""; filter(); }
  });
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step && !down) return;
    const shown = [...grid.children].filter((tile) => !tile.hidden);
    const across = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const next = shown[shown.indexOf(document.activeElement) + (step ?? down * across)];
    if (next) { event.preventDefault(); next.focus(); }
  });
  form.hidden = false;
  filter();
  sort();
}
"""

NAVIGATION_SCRIPT = """\
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const direction = { ArrowLeft: "prev", ArrowRight: "next", Escape: "up" }[event.key];
  const link = direction && document.querySelector(`a[rel="${direction}"]`);
  if (link) location.href = link.href;
});
"""

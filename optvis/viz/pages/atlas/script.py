"""What the page of an atlas does when it is moved, enlarged and pointed at."""

from optvis.viz.pages.atlas.gestures import HANDS_SCRIPT
from optvis.viz.pages.atlas.panel import PANEL_SCRIPT
from optvis.viz.pages.atlas.view import VIEW_SCRIPT
from optvis.viz.pages.helpers import HELPERS

_OPENING = """
(() => {
  "use strict";
"""

_STATE = """
  const tools = find(".tools"), map = find(".map"), canvas = find("canvas", map), tag = find(".tag");
  const panel = find(".panel"), pen = canvas.getContext("2d");
  const levels = told.levels.map(prepared);
  const now = {
    level: -1, chosen: null, pointed: null, pinned: false, touch: false, filled: false, label: -1,
    side: 0, dense: 1, ground: "", dots: "",
  };

  function prepared(level, n) {
    const mostTo = told.labels.map((_, label) => largest(level.attribution.map((values) => values[label])));
    const at = new Map(level.cells.map((place, cell) => [place, cell]));
    return { ...level, mostTo, most: largest(mostTo), at, picture: find(`#level-${n}`) };
  }
"""

_WHOLE = """
  // ---- the words around the map

  function tagOf(chosen) {
    const { counts, present } = levels[chosen.level];
    return present[chosen.cell] ? strongest(chosen) || counted(counts[chosen.cell]) : countOf(chosen);
  }

  function drawCaption() {
    const { size, counts, present } = levels[now.level];
    const few = counts.filter((_, cell) => !present[cell]), held = few.reduce((sum, count) => sum + count, 0);
    const where = `${counted(told.points)} in ${grouped(counts.length)} of ${size} × ${size} cells.`;
    const missing = `${counted(few.length, "cell")} with too few for an icon (at least ${told.fewest}) `
      + `${few.length === 1 ? "holds" : "hold"} ${grouped(held)} of them.`;
    find(".level").textContent = `${where} ${few.length ? missing : "Each has an icon."}`;
    drawLegend();
  }

  function drawLegend() {
    find(".legend").hidden = now.label < 0;
    if (now.label < 0) return;
    const most = levels[now.level].mostTo[now.label], [less, , more] = all(".ends span");
    find(".legend p").textContent = `Mean attribution to ${told.labels[now.label]}`;
    [less.textContent, more.textContent] = [signed(-most), signed(most)];
  }

  function changed() {
    const label = tools.elements.class?.value ?? "";
    now.label = label === "" ? -1 : Number(label);
    now.filled = tools.elements.filled.checked;
    drawLegend();
    drawPanel();
    redraw();
  }

  // ---- the whole

  function fullest() {
    const { counts, present } = levels[now.level];
    const best = counts.reduce((most, count, cell) => (present[cell] && !(count <= counts[most]) ? cell : most), -1);
    return { level: now.level, cell: Math.max(0, best) };
  }

  function fit() {
    now.side = Math.max(1, map.clientWidth);
    now.dense = Math.min(3, devicePixelRatio || 1);
    canvas.width = canvas.height = Math.round(now.side * now.dense);
    settle(view.zoom, view.left, view.top);
  }

  function dye() {
    const style = getComputedStyle(document.documentElement);
    now.ground = style.getPropertyValue("--inset");
    now.dots = style.getPropertyValue("--bar");
    redraw();
  }

  function listen() {
    canvas.addEventListener("pointerdown", lowered);
    canvas.addEventListener("pointermove", moved);
    canvas.addEventListener("pointerup", raised);
    canvas.addEventListener("pointercancel", raised);
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") point(null); });
    canvas.addEventListener("wheel", wheeled, { passive: false });
    canvas.addEventListener("keydown", keyed);
    canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible")) now.pointed = here(); redraw(); });
    canvas.addEventListener("blur", () => point(null));
    document.addEventListener("pointerdown", (event) => { now.touch = event.pointerType === "touch"; }, true);
    document.addEventListener("keydown", (event) => { now.touch = false; if (event.key === "Escape") letGo(); }, true);
    for (const button of all("[data-zoom]")) {
      button.addEventListener("click", () => glideBy(Number(button.dataset.zoom), now.side / 2, now.side / 2));
    }
    for (const button of all("[data-step]")) {
      button.addEventListener("click", () => walk(button.dataset.step.split(" ").map(Number)));
    }
    find(".close").addEventListener("click", () => document.body.classList.remove("touched"));
    tools.addEventListener("change", changed);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dye);
  }

  function start() {
    tools.hidden = panel.hidden = canvas.hidden = false;
    document.body.classList.add("asked");
    all("img", map).forEach((picture) => { picture.hidden = true; });
    listen();
    dye();
    fit();
    choose(fullest());
    new ResizeObserver(fit).observe(map);
  }

  Promise.all(all("img", map).map((picture) => picture.decode())).then(start);
})();
"""

SCRIPT = _OPENING + HELPERS + _STATE + PANEL_SCRIPT + VIEW_SCRIPT + HANDS_SCRIPT + _WHOLE

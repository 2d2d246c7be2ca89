import { all, data, find, token } from "../helpers.js";
import { listenAroundPanel, writeLegend } from "../panel.js";
import {
  hover,
  moveSelection,
  onKeyDown,
  onPointerDown,
  onPointerMove,
  onPointerUp,
  onWheel,
  select,
  startCell,
  unpin,
} from "./interaction.js";
import { countText, drawPanel, formatCount, pluralize, strongest } from "./panel.js";
import { canvas, levels, map, panel, state, tools } from "./state.js";
import { redraw, setView, view, zoomBy } from "./view.js";

// ---- the words around the map

export function tagText(cellId) {
  const { counts, present } = levels[cellId.level];
  return present[cellId.cell] ? strongest(cellId) || pluralize(counts[cellId.cell]) : countText(cellId);
}

export function drawCaption() {
  const { size, counts, present } = levels[state.level];
  const few = counts.filter((_, cell) => !present[cell]),
    held = few.reduce((sum, count) => sum + count, 0);
  const where = `${pluralize(data.points)} in ${formatCount(counts.length)} of ${size} × ${size} cells.`;
  const missing =
    `${pluralize(few.length, "cell")} with too few for an icon (at least ${data.min_points}) ` +
    `${few.length === 1 ? "holds" : "hold"} ${formatCount(held)} of them.`;
  find(".level").textContent = `${where} ${few.length ? missing : "Each has an icon."}`;
  drawLegend();
}

function drawLegend() {
  find(".legend").hidden = state.label < 0;
  if (state.label < 0) return;
  writeLegend("Mean attribution to ", data.labels[state.label], levels[state.level].mostTo[state.label]);
}

function onChange() {
  const label = tools.elements.class?.value ?? "";
  state.label = label === "" ? -1 : Number(label);
  state.filled = tools.elements.filled.checked;
  drawLegend();
  drawPanel();
  redraw();
}

// ---- the whole

function fullestCell() {
  const { counts, present } = levels[state.level];
  const best = counts.reduce((most, count, cell) => (present[cell] && !(count <= counts[most]) ? cell : most), -1);
  return { level: state.level, cell: Math.max(0, best) };
}

function resizeCanvas() {
  state.side = Math.max(1, map.clientWidth);
  state.pixelRatio = Math.min(3, devicePixelRatio || 1);
  canvas.width = canvas.height = Math.round(state.side * state.pixelRatio);
  setView(view.zoom, view.left, view.top);
}

function readColors() {
  state.background = token("--inset");
  state.dots = token("--bar");
  redraw();
}

function listen() {
  canvas.addEventListener("pointerdown", onPointerDown);
  canvas.addEventListener("pointermove", onPointerMove);
  canvas.addEventListener("pointerup", onPointerUp);
  canvas.addEventListener("pointercancel", onPointerUp);
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") hover(null);
  });
  canvas.addEventListener("wheel", onWheel, { passive: false });
  canvas.addEventListener("keydown", onKeyDown);
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) state.hovered = startCell();
    redraw();
  });
  canvas.addEventListener("blur", () => hover(null));
  for (const button of all("[data-zoom]")) {
    button.addEventListener("click", () => zoomBy(Number(button.dataset.zoom), state.side / 2, state.side / 2));
  }
  listenAroundPanel(state, unpin, moveSelection);
  tools.addEventListener("change", onChange);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColors);
}

function start() {
  tools.hidden = panel.hidden = canvas.hidden = false;
  document.body.classList.add("ready");
  all("img", map).forEach((image) => {
    image.hidden = true;
  });
  listen();
  readColors();
  resizeCanvas();
  select(fullestCell());
  new ResizeObserver(resizeCanvas).observe(map);
}

Promise.all(all("img", map).map((image) => image.decode())).then(start);

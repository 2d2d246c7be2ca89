import { all, hue } from "../helpers.js";
import { drawCaption, tagText } from "./main.js";
import { columnOf, rowOf } from "./panel.js";
import { context, levels, map, state, tag } from "./state.js";

// ---- the visible part of the map, whose sides go from 0 to 1

const MAX_START_CELL = 180,
  MIN_LEVEL_CELL = 36,
  MAX_ZOOM_CELL = 128; // side of a cell in pixels
const FADE_TIME = 220,
  ZOOM_TIME = 200; // milliseconds
const MIN_ICON = 16,
  MAX_ICON_SHARE = 0.96; // side of the smallest icon in pixels, of the largest in cells
export const view = { zoom: 1, left: 0, top: 0 };
export const clamp = (low, value, high) => Math.min(high, Math.max(low, value));
const startSide = () => Math.min(state.side, MAX_START_CELL * levels[0].size);
const scale = () => startSide() * view.zoom;
export const maxZoom = () => Math.max(1, (MAX_ZOOM_CELL * levels.at(-1).size) / startSide());
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
let fade = null,
  zooming = null,
  frameRequested = false;

export function redraw() {
  if (!frameRequested) requestAnimationFrame(draw);
  frameRequested = true;
}

export function setView(zoom, left, top) {
  view.zoom = clamp(1, zoom, maxZoom());
  const span = state.side / scale();
  const within = (edge) => (span >= 1 ? (1 - span) / 2 : clamp(0, edge, 1 - span));
  Object.assign(view, { left: within(left), top: within(top) });
  chooseLevel();
  map.classList.toggle("zoomed", view.zoom > 1);
  for (const button of all("[data-zoom]")) {
    button.disabled = button.dataset.zoom > 1 ? view.zoom >= maxZoom() : view.zoom <= 1;
  }
  redraw();
}

function chooseLevel() {
  const level = levels.reduce((best, { size }, n) => (scale() / size >= MIN_LEVEL_CELL ? n : best), 0);
  if (level === state.level) return;
  fade = reducedMotion.matches || state.level < 0 ? null : { level: state.level, start: performance.now() };
  state.level = level;
  drawCaption();
}

export function zoomAt(factor, x, y) {
  const before = scale(),
    zoom = clamp(1, view.zoom * factor, maxZoom()),
    after = startSide() * zoom;
  setView(zoom, view.left + x / before - x / after, view.top + y / before - y / after);
}

export const panBy = (x, y) => setView(view.zoom, view.left - x / scale(), view.top - y / scale());

export function zoomBy(factor, x, y) {
  const goal = clamp(1, (zooming?.goal ?? view.zoom) * factor, maxZoom());
  if (reducedMotion.matches) zoomAt(goal / view.zoom, x, y);
  else zooming = { goal, x, y, from: view.zoom, start: performance.now() };
  redraw();
}

export const stopZoom = () => {
  zooming = null;
};

function advanceZoom(time) {
  const part = clamp(0, (time - zooming.start) / ZOOM_TIME, 1),
    { from, goal, x, y } = zooming;
  zoomAt((from * (goal / from) ** (1 - (1 - part) ** 3)) / view.zoom, x, y);
  if (part === 1) zooming = null;
}

export function cellBox({ level, cell }) {
  const { size } = levels[level],
    side = scale() / size;
  const x = columnOf({ level, cell }) * side - view.left * scale();
  return { x, y: rowOf({ level, cell }) * side - view.top * scale(), side };
}

export function scrollToCell({ level, cell }) {
  const { x, y, side } = cellBox({ level, cell });
  const off = (from) => Math.max(0, 8 - from) + Math.min(0, state.side - 8 - from - side);
  panBy(off(x), off(y));
}

export function cellAt(x, y) {
  const { size, at } = levels[state.level];
  const column = Math.floor((view.left + x / scale()) * size),
    row = Math.floor((view.top + y / scale()) * size);
  const cell = column >= 0 && column < size ? at.get(row * size + column) : undefined;
  return cell === undefined ? null : { level: state.level, cell };
}

// ---- drawing

function iconBox({ level, cell }) {
  const { counts, full } = levels[level],
    square = cellBox({ level, cell });
  const most = MAX_ICON_SHARE * square.side,
    least = Math.min(MIN_ICON, most);
  const even = (edge) => (state.filled ? Math.round(edge * state.pixelRatio) / state.pixelRatio : edge);
  const sized = clamp(least, most * Math.sqrt(counts[cell] / full), most);
  const side = state.filled ? square.side : sized,
    margin = (square.side - side) / 2;
  const [x, y] = [square.x + margin, square.y + margin];
  return [even(x), even(y), even(x + side) - even(x), even(y + side) - even(y)];
}

function drawDot({ x, y, side }, alpha) {
  context.globalAlpha = alpha;
  context.fillStyle = state.dots;
  context.beginPath();
  context.arc(x + side / 2, y + side / 2, clamp(1.5, side * 0.06, 4), 0, 7);
  context.fill();
}

function attributionShare({ level, cell }) {
  const { attribution, mostTo } = levels[level],
    most = mostTo[state.label];
  return most > 0 ? attribution[cell][state.label] / most : 0;
}

function drawIcon(cellId, alpha) {
  const { image, size, cells } = levels[cellId.level],
    isTinted = state.label >= 0;
  const tile = image.naturalWidth / size,
    box = iconBox(cellId),
    cell = cells[cellId.cell];
  context.globalAlpha = isTinted ? alpha * (0.1 + 0.9 * Math.abs(attributionShare(cellId))) : alpha;
  context.drawImage(image, (cell % size) * tile, Math.floor(cell / size) * tile, tile, tile, ...box);
  if (!isTinted) return;
  context.globalCompositeOperation = "color";
  context.globalAlpha = 0.8 * alpha;
  context.fillStyle = `rgb(${hue(attributionShare(cellId)).join(" ")})`;
  context.fillRect(...box);
  context.globalCompositeOperation = "source-over";
}

function drawLevel(level, alpha) {
  for (let cell = 0; cell < levels[level].cells.length; cell++) {
    const square = cellBox({ level, cell });
    if (Math.max(square.x, square.y) > state.side || Math.min(square.x, square.y) + square.side < 0) continue;
    if (levels[level].present[cell]) drawIcon({ level, cell }, alpha);
    else drawDot(square, alpha);
  }
  context.globalAlpha = 1;
}

function drawOutline() {
  const { x, y, side } = cellBox(state.selected),
    edges = [
      [0, "#fff"],
      [1.5, "#000"],
    ];
  context.lineWidth = state.pinned ? 3 : 1.5;
  for (const [out, color] of edges.map(([out, color]) => [out * (state.pinned ? 2 : 1), color])) {
    context.strokeStyle = color;
    context.strokeRect(x - out, y - out, side + 2 * out, side + 2 * out);
  }
}

function drawTag() {
  tag.hidden = !state.hovered;
  if (!state.hovered) return;
  const { x, y, side } = cellBox(state.hovered);
  tag.textContent = tagText(state.hovered);
  const wide = tag.offsetWidth,
    high = tag.offsetHeight,
    above = y - high - 5;
  tag.style.left = `${clamp(4, x + side / 2 - wide / 2, state.side - wide - 4)}px`;
  tag.style.top = `${clamp(4, above < 4 ? y + side + 5 : above, state.side - high - 4)}px`;
}

function draw(time) {
  frameRequested = false;
  if (zooming) advanceZoom(time);
  const progress = fade ? clamp(0, (time - fade.start) / FADE_TIME, 1) : 1;
  context.setTransform(state.pixelRatio, 0, 0, state.pixelRatio, 0, 0);
  context.fillStyle = state.background;
  context.fillRect(0, 0, state.side, state.side);
  if (progress < 1) drawLevel(fade.level, Math.min(1, 2 - 2 * progress));
  drawLevel(state.level, Math.min(1, 2 * progress));
  drawOutline();
  drawTag();
  if (progress === 1) fade = null;
  if (fade || zooming) redraw();
}

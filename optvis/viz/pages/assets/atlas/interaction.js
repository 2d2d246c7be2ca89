import { find } from "../helpers.js";
import { columnOf, countText, drawPanel, positionText, rowOf, strongest } from "./panel.js";
import { canvas, levels, map, panel, state } from "./state.js";
import {
  cellAt,
  cellBox,
  clamp,
  maxZoom,
  panBy,
  redraw,
  scrollToCell,
  stopZoom,
  view,
  zoomAt,
  zoomBy,
} from "./view.js";

// ---- selecting a cell

export function select(cellId) {
  state.selected = cellId;
  drawPanel();
  redraw();
}

function announce(cellId) {
  const label = strongest(cellId),
    suffix = label && `, most for ${label}`;
  find(".announcement").textContent = `${positionText(cellId)}: ${countText(cellId)}${suffix}`;
}

export function hover(cellId) {
  state.hovered = cellId;
  if (cellId && !state.pinned) select(cellId);
  redraw();
}

const same = (one, other) => one.level === other.level && one.cell === other.cell;

function activate(cellId) {
  if (cellId) document.body.classList.add("touched");
  state.hovered = cellId;
  state.pinned = !state.touch && Boolean(cellId) && !(state.pinned && same(cellId, state.selected));
  select(cellId ?? state.selected);
  if (!cellId) return;
  announce(cellId);
  keepAbovePanel(cellId);
}

function keepAbovePanel(cellId) {
  const { y, side } = cellBox(cellId);
  const hidden = canvas.getBoundingClientRect().top + y + side + 8 - panel.getBoundingClientRect().top;
  if (hidden > 0 && getComputedStyle(panel).position === "sticky") scrollBy(0, hidden);
}

export function unpin() {
  state.pinned = false;
  drawPanel();
  redraw();
}

// ---- moving from cell to cell

function nearestCell(level, measure) {
  let least = Infinity,
    found = null;
  for (let cell = 0; cell < levels[level].cells.length; cell++) {
    const far = measure(rowOf({ level, cell }), columnOf({ level, cell }));
    if (far < least) [least, found] = [far, { level, cell }];
  }
  return found;
}

export function startCell() {
  if (state.selected.level === state.level) return state.selected;
  const ratio = levels[state.level].size / levels[state.selected.level].size;
  const row = (rowOf(state.selected) + 0.5) * ratio - 0.5,
    column = (columnOf(state.selected) + 0.5) * ratio - 0.5;
  return nearestCell(state.level, (r, c) => Math.hypot(r - row, c - column));
}

function neighbor(from, [down, right]) {
  const row = rowOf(from),
    column = columnOf(from);
  const towards = (slope) => (r, c) => {
    const along = (r - row) * down + (c - column) * right,
      across = Math.abs((r - row) * right + (c - column) * down);
    return along > 0 && across <= slope * along ? along ** 2 + across ** 2 + across / 1e4 : Infinity;
  };
  return nearestCell(from.level, towards(1)) ?? nearestCell(from.level, towards(Infinity)) ?? from;
}

export function moveSelection(direction) {
  const next = neighbor(startCell(), direction);
  state.hovered = next;
  select(next);
  scrollToCell(next);
  announce(next);
  keepAbovePanel(next);
}

// ---- keys

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const ZOOMS = { "+": 2, "=": 2, "-": 0.5, "−": 0.5, 0: 0 };

function cellCenter(cellId) {
  const { x, y, side } = cellBox(cellId),
    inside = (at) => at >= 0 && at <= state.side;
  const [across, down] = [x + side / 2, y + side / 2];
  return inside(across) && inside(down) ? [across, down] : [state.side / 2, state.side / 2];
}

export function onKeyDown(event) {
  if (event.altKey || event.metaKey || event.ctrlKey) return;
  const direction = STEPS[event.key];
  if (direction && event.shiftKey) panBy((-direction[1] * state.side) / 5, (-direction[0] * state.side) / 5);
  else if (direction) moveSelection(direction);
  else if (event.key in ZOOMS) zoomBy(ZOOMS[event.key], ...cellCenter(state.selected));
  else if (event.key === "Enter" || event.key === " ") activate(startCell());
  else return;
  event.preventDefault();
}

// ---- mouse and touch

const DRAG_THRESHOLD = { mouse: 4, touch: 12, pen: 8 }; // pixels that are no drag yet
const pointers = new Map();
let dragDistance = 0,
  lastTap = { time: -Infinity, x: 0, y: 0 };

function pointerPosition(event) {
  const { left, top } = canvas.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);

export function onPointerDown(event) {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, pointerPosition(event));
  dragDistance = pointers.size > 1 ? Infinity : 0;
  stopZoom();
}

function pinch(before, after) {
  const middle = ([one, other]) => ({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
  const from = middle(before),
    to = middle(after);
  panBy(to.x - from.x, to.y - from.y);
  zoomAt(distance(...after) / Math.max(1, distance(...before)), to.x, to.y);
}

export function onPointerMove(event) {
  const to = pointerPosition(event),
    from = pointers.get(event.pointerId);
  if (!from && event.pointerType === "mouse") hover(cellAt(to.x, to.y));
  if (!from) return;
  const before = [...pointers.values()];
  dragDistance = Math.max(dragDistance, distance(from, to));
  if (dragDistance <= DRAG_THRESHOLD[event.pointerType]) return;
  map.classList.add("dragging");
  pointers.set(event.pointerId, to);
  if (pointers.size === 2) pinch(before, [...pointers.values()]);
  else panBy(to.x - from.x, to.y - from.y);
}

export function onPointerUp(event) {
  const position = pointers.get(event.pointerId);
  pointers.delete(event.pointerId);
  map.classList.remove("dragging");
  const isTap = dragDistance <= DRAG_THRESHOLD[event.pointerType] && event.type === "pointerup";
  if (position && isTap) onTap(position, event.timeStamp);
}

function onTap(position, time) {
  const again = time - lastTap.time < 350 && distance(position, lastTap) < 25;
  lastTap = { time: again ? -Infinity : time, ...position };
  if (again) zoomBy(2, position.x, position.y);
  else activate(cellAt(position.x, position.y));
}

export function onWheel(event) {
  const amount = event.deltaY * (event.deltaMode === 1 ? 16 : 1) * (event.ctrlKey ? 5 : 1);
  const zoom = clamp(1, view.zoom * Math.exp(-amount / 500), maxZoom()),
    position = pointerPosition(event);
  if (zoom !== view.zoom || event.ctrlKey) event.preventDefault();
  stopZoom();
  zoomAt(zoom / view.zoom, position.x, position.y);
  hover(cellAt(position.x, position.y));
}

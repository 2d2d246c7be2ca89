import { create, data, find } from "../helpers.js";

// Tiles near the window are in the page; the others are room above and below them.
const ROWS_AROUND = 3;
export const grid = find(".tiles");
const elements = new Map();
let order = [];

function createTile(at) {
  const { name, folder } = data.layers[data.layer[at]],
    label = data.labels[data.label[at]],
    sprite = data.sprites[data.sprite[at]];
  const tile = create("a", "tile"),
    icon = create("i", `p${data.index[at]}`);
  tile.href = `${folder}${data.number[at]}.html`;
  tile.title = `${name ? `${name} ` : ""}${data.number[at]}: ${label || "no class"}`;
  Object.assign(tile.dataset, { at, channel: data.number[at] });
  if (sprite) {
    const image = create("img", "");
    Object.assign(image, { src: sprite, alt: "", decoding: "async" });
    icon.append(image);
  }
  tile.append(icon, create("b", "", String(data.number[at])), " ");
  if (name) tile.append(create("span", "layer", name), create("br", ""));
  tile.append(create("span", "label", label));
  return tile;
}

function elementOf(at) {
  if (!elements.has(at)) elements.set(at, createTile(at));
  return elements.get(at);
}

// Put the tiles of a range into the page; those that stay there keep the focus.
function place(start, end) {
  const wanted = order.slice(start, end).map(elementOf);
  const kept = new Set(wanted);
  for (const element of [...grid.children]) if (!kept.has(element)) element.remove();
  wanted.forEach((element, n) => {
    if (grid.children[n] !== element) grid.insertBefore(element, grid.children[n] ?? null);
  });
}

function measure() {
  if (!grid.firstElementChild) grid.append(elementOf(order[0]));
  const { gridTemplateColumns, rowGap } = getComputedStyle(grid);
  return {
    across: gridTemplateColumns.split(" ").length,
    height: grid.firstElementChild.offsetHeight + Number.parseFloat(rowGap),
  };
}

function setRoom(above, below) {
  grid.style.paddingTop = `${above}px`;
  grid.style.paddingBottom = `${below}px`;
}

export function redrawTiles() {
  if (order.length === 0) {
    setRoom(0, 0);
    return;
  }
  const { across, height } = measure();
  const rows = Math.ceil(order.length / across),
    top = -grid.getBoundingClientRect().top;
  const first = Math.min(rows - 1, Math.max(0, Math.floor(top / height) - ROWS_AROUND));
  const last = Math.min(rows, Math.max(first + 1, Math.ceil((top + innerHeight) / height) + ROWS_AROUND));
  place(first * across, last * across);
  setRoom(first * height, (rows - last) * height);
}

export function showTiles(next) {
  order = next;
  grid.replaceChildren();
  redrawTiles();
}

export function moveFocus(event) {
  const across = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const here = order.indexOf(Number(document.activeElement.dataset.at));
  if ((!across && !down) || here < 0) return;
  const columns = measure().across,
    next = here + (across ?? down * columns);
  if (next < 0 || next >= order.length) return;
  event.preventDefault();
  if (!elementOf(order[next]).isConnected) {
    scrollBy(0, down * measure().height);
    redrawTiles();
  }
  elementOf(order[next]).focus();
}

addEventListener("scroll", redrawTiles, { passive: true });
addEventListener("resize", redrawTiles);
addEventListener("beforeprint", () => {
  place(0, order.length);
  setRoom(0, 0);
});
addEventListener("afterprint", redrawTiles);

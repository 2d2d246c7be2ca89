import { data, find, largest } from "../helpers.js";

export const tools = find(".tools"),
  map = find(".map"),
  canvas = find("canvas", map),
  tag = find(".tag");
export const panel = find(".panel"),
  context = canvas.getContext("2d");
export const levels = data.levels.map(prepareLevel);
export const state = {
  level: -1,
  selected: null,
  hovered: null,
  pinned: false,
  touch: false,
  filled: false,
  label: -1,
  side: 0,
  pixelRatio: 1,
  background: "",
  dots: "",
};

function prepareLevel(level, n) {
  const mostTo = data.labels.map((_, label) => largest(level.attribution.map((values) => values[label])));
  const at = new Map(level.cells.map((place, cell) => [place, cell]));
  return { ...level, mostTo, most: largest(mostTo), at, image: find(`#level-${n}`) };
}

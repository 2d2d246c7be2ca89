import { create, data, find, formatNumber, formatSigned, listItem, signedBar, writeWords } from "../helpers.js";
import { levels, panel, state } from "./state.js";

// ---- the panel

export const rowOf = ({ level, cell }) => Math.floor(levels[level].cells[cell] / levels[level].size);
export const columnOf = ({ level, cell }) => levels[level].cells[cell] % levels[level].size;
export const formatCount = (count) => count.toLocaleString("en");
export const pluralize = (count, noun = "point") => `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
export const positionText = (cellId) => `row ${rowOf(cellId)}, column ${columnOf(cellId)}`;

export function strongest({ level, cell }) {
  const values = levels[level].attribution[cell];
  const best = values.reduce((most, value, label) => (value > (values[most] ?? 0) ? label : most), -1);
  return best < 0 ? "" : data.labels[best];
}

export function countText({ level, cell }) {
  const count = levels[level].counts[cell];
  if (!levels[level].present[cell]) return `${pluralize(count)}, too few for an icon (at least ${data.min_points})`;
  return `${pluralize(count)}, ${formatNumber((100 * count) / data.points)} % of all`;
}

function topLabels(values, sign, limit) {
  const order = values.map((value, label) => [value * sign, label]).filter(([value]) => value > 0);
  const first = order
    .sort(([one], [other]) => other - one)
    .slice(0, limit)
    .map(([, label]) => label);
  const isListed = state.label >= 0 && values[state.label] * sign > 0 && !first.includes(state.label);
  return isListed ? [...first.slice(0, limit - 1), state.label] : first;
}

function drawClasses(selector, sign, limit) {
  const { attribution, most } = levels[state.selected.level],
    values = attribution[state.selected.cell];
  const labels = topLabels(values, sign, limit),
    section = find(selector, panel);
  section.hidden = labels.length === 0;
  find("ul", section).replaceChildren(
    ...labels.map((label) => {
      const item = listItem(data.labels[label], signedBar(values[label], most), formatSigned(values[label]));
      item.classList.toggle("selected", label === state.label);
      return item;
    }),
  );
}

function drawTile(canvas, image, [rows, columns], index) {
  const width = image.naturalWidth / columns,
    height = image.naturalHeight / rows;
  Object.assign(canvas, { width, height });
  const left = (index % columns) * width,
    top = Math.floor(index / columns) * height;
  canvas.getContext("2d").drawImage(image, left, top, width, height, 0, 0, width, height);
  return canvas;
}

function drawNearest() {
  const indices = levels[state.selected.level].nearest[state.selected.cell],
    image = find("#exemplars");
  find(".near", panel).hidden = indices.length === 0;
  find(".near ul", panel).replaceChildren(
    ...indices.map((index) => {
      const item = create("li", ""),
        name = data.names[data.from[index]];
      item.append(drawTile(create("canvas", ""), image, data.sheet, index), create("span", "", name));
      item.title = name;
      return item;
    }),
  );
}

function drawLarge() {
  const { image, size, cells, present } = levels[state.selected.level],
    large = find(".large", panel);
  large.classList.toggle("none", !present[state.selected.cell]);
  drawTile(large, image, [size, size], cells[state.selected.cell]);
}

export function drawPanel() {
  const { size } = levels[state.selected.level],
    where = positionText(state.selected);
  writeWords(find("h2", panel), "", strongest(state.selected) || `R${where.slice(1)}`);
  find(".where", panel).textContent = `${where} of ${size} × ${size}`;
  find(".count", panel).textContent = countText(state.selected);
  find(".pin", panel).textContent = state.pinned ? "Pinned" : "";
  panel.classList.toggle("pinned", state.pinned);
  drawLarge();
  drawClasses(".for", 1, 5);
  drawClasses(".against", -1, 3);
  drawNearest();
}

import { all, create, data, find, formatSigned, hue, largest, writeWords } from "../helpers.js";
import { listenAroundPanel, writeLegend } from "../panel.js";
import { drawAttribution, drawPanel, outlinePlace, setCellIcon } from "./panel.js";
import { cells, grids, layer, panel, photo, sections, state, tools } from "./state.js";

// ---- selecting a cell

function setTabStop(cell) {
  for (const each of all('.cell[tabindex="0"]', grids[state.layer])) each.tabIndex = -1;
  cells[state.layer][cell].tabIndex = 0;
  return cells[state.layer][cell];
}

function select(cell) {
  for (const each of all('[aria-selected="true"]', grids[state.layer])) each.ariaSelected = "false";
  state.cell = cell;
  setTabStop(cell).ariaSelected = "true";
  all(".place").forEach(outlinePlace);
  drawPanel();
}

function hover(cell) {
  document.body.classList.add("touched");
  if (!state.pinned && cell !== state.cell) select(cell);
}

function activate(cell) {
  document.body.classList.add("touched");
  state.pinned = state.touch ? state.pinned : !(state.pinned && cell === state.cell);
  select(cell);
  keepAbovePanel(cells[state.layer][cell]);
}

function keepAbovePanel(element) {
  const hidden = element.getBoundingClientRect().bottom + 8 - panel.getBoundingClientRect().top;
  if (hidden > 0 && getComputedStyle(panel).position === "sticky") scrollBy(0, hidden);
}

function unpin() {
  state.pinned = false;
  drawPanel();
}

function neighbor(cell, [down, right]) {
  const { rows, columns } = layer();
  const row = Math.min(rows - 1, Math.max(0, Math.floor(cell / columns) + down));
  return row * columns + Math.min(columns - 1, Math.max(0, (cell % columns) + right));
}

const STEPS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, -Infinity],
  End: [0, Infinity],
  PageUp: [-Infinity, 0],
  PageDown: [Infinity, 0],
};

function onKeyDown(event, cell) {
  if (event.key in STEPS && !event.altKey && !event.metaKey) setTabStop(neighbor(cell, STEPS[event.key])).focus();
  else if (event.key === "Enter" || event.key === " ") activate(cell);
  else return;
  event.preventDefault();
}

// ---- the grids

function cellOf(event) {
  const cell = event.target.closest(".cell");
  return cell && Number(cell.dataset.cell);
}

function createCell(layer, most, cell) {
  const row = Math.floor(cell / layer.columns),
    column = cell % layer.columns;
  const element = create("div", "cell"),
    icon = setCellIcon(create("i", "icon"), layer, cell);
  element.setAttribute("role", "gridcell");
  element.setAttribute("aria-selected", "false");
  element.setAttribute("aria-label", `row ${row}, column ${column}: channels ${layer.channels[cell].join(", ")}`);
  element.tabIndex = -1;
  element.dataset.cell = cell;
  icon.style.setProperty("--size", Math.sqrt(most > 0 ? layer.strength[cell] / most : 0));
  element.append(icon);
  return element;
}

function buildGrid(grid, layer) {
  const most = largest(layer.strength);
  const elements = layer.strength.map((_, cell) => createCell(layer, most, cell));
  for (let row = 0; row < layer.rows; row++) {
    const element = create("div", "row");
    element.setAttribute("role", "row");
    element.append(...elements.slice(row * layer.columns, (row + 1) * layer.columns));
    grid.append(element);
  }
  cells.push(elements);
  grid.setAttribute("role", "grid");
  grid.classList.replace("still", "live");
}

function listen(grid) {
  const withCell = (act) => (event) => {
    const cell = cellOf(event);
    if (cell !== null) act(cell, event);
  };
  grid.addEventListener(
    "pointerover",
    withCell((cell, event) => event.pointerType === "mouse" && hover(cell)),
  );
  grid.addEventListener(
    "focusin",
    withCell((cell) => {
      setTabStop(cell);
      if (!state.touch) hover(cell);
    }),
  );
  grid.addEventListener("click", withCell(activate));
  grid.addEventListener(
    "keydown",
    withCell((cell, event) => onKeyDown(event, cell)),
  );
}

// ---- groups

function highlight(section, group, pressed) {
  const map = data.layers[sections.indexOf(section)].groups.maps[group],
    most = largest(map);
  all(".groups button", section).forEach((each, n) => {
    each.ariaPressed = String(pressed && n === group);
  });
  all(".cell .icon", section).forEach((icon, cell) => {
    icon.style.opacity = pressed ? 0.08 + 0.92 * (most > 0 ? Math.max(0, map[cell]) / most : 0) : "";
  });
}

function drawShares() {
  sections.forEach((section, n) => {
    const available = data.layers[n].groups?.attribution[tools.elements.class?.value];
    all(".share", section).forEach((share, group) => {
      share.textContent = available ? formatSigned(available[group]) : "";
    });
    all(".class-name", section).forEach((name) => {
      if (available) writeWords(name, "attribution to ", data.labels[tools.elements.class.value]);
      else name.textContent = "";
    });
  });
}

// ---- the image

function placeOf(event) {
  const { left, top, width, height } = find(".frame", photo).getBoundingClientRect();
  const { rows, columns } = layer();
  const within = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
  return within((event.clientY - top) / height, rows) * columns + within((event.clientX - left) / width, columns);
}

function overlayColor(value, most) {
  return [...hue(value), most > 0 ? (230 * Math.abs(value)) / most : 0];
}

function drawOverlay() {
  const canvas = find("canvas", photo),
    label = tools.elements.class?.value;
  const values = label ? layer().attribution[label] : null;
  canvas.hidden = find(".legend").hidden = !values;
  photo.classList.toggle("overlaid", Boolean(values));
  if (!values) return;
  const most = largest(values),
    { rows, columns } = layer();
  Object.assign(canvas, { width: columns, height: rows });
  const pixels = new Uint8ClampedArray(values.flatMap((value) => overlayColor(value, most)));
  canvas.getContext("2d").putImageData(new ImageData(pixels, columns, rows), 0, 0);
  writeLegend("Attribution to ", data.labels[label], most);
}

// ---- the whole

function matchingCell(old, cell) {
  const { rows, columns } = layer();
  const row = Math.floor(((Math.floor(cell / old.columns) + 0.5) / old.rows) * rows);
  return row * columns + Math.floor((((cell % old.columns) + 0.5) / old.columns) * columns);
}

function showLayer(next) {
  const old = layer();
  state.layer = next;
  sections.forEach((section, n) => {
    section.hidden = n !== next;
  });
  panel.className = `panel of-${next}`;
  select(matchingCell(old, state.cell));
  drawOverlay();
}

function onChange(event) {
  if (event.target.name === "layer") showLayer(Number(event.target.value));
  for (const name of ["sized", "gaps"]) {
    for (const grid of grids) grid.classList.toggle(name, tools.elements[name].checked);
  }
  drawOverlay();
  drawShares();
  drawAttribution();
}

function start() {
  grids.forEach((grid, n) => {
    buildGrid(grid, data.layers[n]);
    listen(grid);
  });
  for (const section of sections) {
    all(".groups button", section).forEach((button, group) => {
      button.addEventListener("click", () => highlight(section, group, button.ariaPressed !== "true"));
    });
  }
  find(".frame.small").prepend(find("img", photo).cloneNode());
  const frame = find(".frame", photo);
  frame.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") hover(placeOf(event));
  });
  frame.addEventListener("click", (event) => activate(placeOf(event)));
  listenAroundPanel(state, unpin, (step) => {
    select(neighbor(state.cell, step));
    keepAbovePanel(cells[state.layer][state.cell]);
  });
  tools.addEventListener("change", onChange);
  tools.hidden = panel.hidden = false;
  document.body.classList.add("ready");
  const { strength, present } = layer();
  state.cell = strength.reduce((best, each, n) => (present[n] && !(each <= strength[best]) ? n : best), -1);
  state.cell = Math.max(0, state.cell);
  showLayer(0);
}

start();

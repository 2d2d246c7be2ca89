"""What the page of a grid does when it is pointed at."""

from optvis.viz.pages.grid.panel import PANEL_SCRIPT
from optvis.viz.pages.helpers import HELPERS

_OPENING = """
(() => {
  "use strict";
"""

_STATE = """
  const tools = find(".tools"), photo = find(".photo"), panel = find(".panel");
  const sections = all(".layer"), grids = all(".cells"), cells = [];
  const now = { layer: 0, cell: 0, pinned: false, touch: false };
  const layer = () => told.layers[now.layer];
"""

_CHOOSING = """
  // ---- choosing a cell

  function rove(cell) {
    for (const each of all('.cell[tabindex="0"]', grids[now.layer])) each.tabIndex = -1;
    cells[now.layer][cell].tabIndex = 0;
    return cells[now.layer][cell];
  }

  function choose(cell) {
    for (const each of all('[aria-selected="true"]', grids[now.layer])) each.ariaSelected = "false";
    now.cell = cell;
    rove(cell).ariaSelected = "true";
    all(".place").forEach(outline);
    drawPanel();
  }

  function point(cell) {
    document.body.classList.add("touched");
    if (!now.pinned && cell !== now.cell) choose(cell);
  }

  function press(cell) {
    document.body.classList.add("touched");
    now.pinned = now.touch ? now.pinned : !(now.pinned && cell === now.cell);
    choose(cell);
    uncover(cells[now.layer][cell]);
  }

  function uncover(element) {
    const hidden = element.getBoundingClientRect().bottom + 8 - panel.getBoundingClientRect().top;
    if (hidden > 0 && getComputedStyle(panel).position === "sticky") scrollBy(0, hidden);
  }

  function letGo() {
    now.pinned = false;
    drawPanel();
  }

  function moved(cell, [down, right]) {
    const { rows, columns } = layer();
    const row = Math.min(rows - 1, Math.max(0, Math.floor(cell / columns) + down));
    return row * columns + Math.min(columns - 1, Math.max(0, (cell % columns) + right));
  }

  const STEPS = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    Home: [0, -Infinity], End: [0, Infinity], PageUp: [-Infinity, 0], PageDown: [Infinity, 0],
  };

  function keyed(event, cell) {
    if (event.key in STEPS && !event.altKey && !event.metaKey) rove(moved(cell, STEPS[event.key])).focus();
    else if (event.key === "Enter" || event.key === " ") press(cell);
    else return;
    event.preventDefault();
  }

  // ---- the grids

  function cellOf(event) {
    const cell = event.target.closest(".cell");
    return cell && Number(cell.dataset.cell);
  }

  function cellElement(layer, most, cell) {
    const row = Math.floor(cell / layer.columns), column = cell % layer.columns;
    const element = made("div", "cell"), icon = cellPicture(made("i", "icon"), layer, cell);
    element.setAttribute("role", "gridcell");
    element.setAttribute("aria-selected", "false");
    element.setAttribute("aria-label", `row ${row}, column ${column}: channels ${layer.channels[cell].join(", ")}`);
    element.tabIndex = -1;
    element.dataset.cell = cell;
    icon.style.setProperty("--size", Math.sqrt(most > 0 ? layer.strength[cell] / most : 0));
    element.append(icon);
    return element;
  }

  function build(grid, layer) {
    const most = largest(layer.strength);
    const built = layer.strength.map((_, cell) => cellElement(layer, most, cell));
    for (let row = 0; row < layer.rows; row++) {
      const element = made("div", "row");
      element.setAttribute("role", "row");
      element.append(...built.slice(row * layer.columns, (row + 1) * layer.columns));
      grid.append(element);
    }
    cells.push(built);
    grid.setAttribute("role", "grid");
    grid.classList.replace("still", "live");
  }

  function listen(grid) {
    const withCell = (act) => (event) => {
      const cell = cellOf(event);
      if (cell !== null) act(cell, event);
    };
    grid.addEventListener("pointerover", withCell((cell, event) => event.pointerType === "mouse" && point(cell)));
    grid.addEventListener("focusin", withCell((cell) => { rove(cell); if (!now.touch) point(cell); }));
    grid.addEventListener("click", withCell(press));
    grid.addEventListener("keydown", withCell((cell, event) => keyed(event, cell)));
  }

  // ---- groups

  function highlight(section, group, pressed) {
    const map = told.layers[sections.indexOf(section)].groups.maps[group], most = largest(map);
    all(".groups button", section).forEach((each, n) => { each.ariaPressed = String(pressed && n === group); });
    all(".cell .icon", section).forEach((icon, cell) => {
      icon.style.opacity = pressed ? 0.08 + 0.92 * (most > 0 ? Math.max(0, map[cell]) / most : 0) : "";
    });
  }

  function drawShares() {
    sections.forEach((section, n) => {
      const given = told.layers[n].groups?.attribution[tools.elements.class?.value];
      all(".share", section).forEach((share, group) => { share.textContent = given ? signed(given[group]) : ""; });
      all(".whose", section).forEach((whose) => {
        whose.textContent = given ? `attribution to ${told.labels[tools.elements.class.value]}` : "";
      });
    });
  }

  // ---- the photograph

  function placeOf(event) {
    const { left, top, width, height } = find(".frame", photo).getBoundingClientRect();
    const { rows, columns } = layer();
    const within = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
    return within((event.clientY - top) / height, rows) * columns + within((event.clientX - left) / width, columns);
  }

  function tint(value, most) {
    return [...hue(value), most > 0 ? (230 * Math.abs(value)) / most : 0];
  }

  function drawOverlay() {
    const canvas = find("canvas", photo), label = tools.elements.class?.value;
    const values = label ? layer().attribution[label] : null;
    canvas.hidden = find(".legend").hidden = !values;
    photo.classList.toggle("overlaid", Boolean(values));
    if (!values) return;
    const most = largest(values), { rows, columns } = layer();
    Object.assign(canvas, { width: columns, height: rows });
    const pixels = new Uint8ClampedArray(values.flatMap((value) => tint(value, most)));
    canvas.getContext("2d").putImageData(new ImageData(pixels, columns, rows), 0, 0);
    find(".legend p").textContent = `Attribution to ${told.labels[label]}`;
    const [less, , more] = all(".ends span");
    [less.textContent, more.textContent] = [signed(-most), signed(most)];
  }

  // ---- the whole

  function there(old, cell) {
    const { rows, columns } = layer();
    const row = Math.floor(((Math.floor(cell / old.columns) + 0.5) / old.rows) * rows);
    return row * columns + Math.floor((((cell % old.columns) + 0.5) / old.columns) * columns);
  }

  function show(next) {
    const old = layer();
    now.layer = next;
    sections.forEach((section, n) => { section.hidden = n !== next; });
    panel.className = `panel of-${next}`;
    choose(there(old, now.cell));
    drawOverlay();
  }

  function changed(event) {
    if (event.target.name === "layer") show(Number(event.target.value));
    for (const name of ["sized", "gaps"]) {
      grids.forEach((grid) => grid.classList.toggle(name, tools.elements[name].checked));
    }
    drawOverlay();
    drawShares();
    drawAttribution();
  }

  function start() {
    grids.forEach((grid, n) => { build(grid, told.layers[n]); listen(grid); });
    sections.forEach((section) => all(".groups button", section).forEach((button, group) => {
      button.addEventListener("click", () => highlight(section, group, button.ariaPressed !== "true"));
    }));
    find(".frame.small").prepend(find("img", photo).cloneNode());
    const frame = find(".frame", photo);
    frame.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") point(placeOf(event)); });
    frame.addEventListener("click", (event) => press(placeOf(event)));
    document.addEventListener("pointerdown", (event) => { now.touch = event.pointerType === "touch"; }, true);
    document.addEventListener("keydown", (event) => { now.touch = false; if (event.key === "Escape") letGo(); }, true);
    for (const button of all("[data-step]")) {
      button.addEventListener("click", () => {
        choose(moved(now.cell, button.dataset.step.split(" ").map(Number)));
        uncover(cells[now.layer][now.cell]);
      });
    }
    find(".close").addEventListener("click", () => document.body.classList.remove("touched"));
    tools.addEventListener("change", changed);
    tools.hidden = panel.hidden = false;
    document.body.classList.add("asked");
    const { strength, present } = layer();
    now.cell = strength.reduce((best, each, n) => (present[n] && !(each <= strength[best]) ? n : best), -1);
    now.cell = Math.max(0, now.cell);
    show(0);
  }

  start();
})();
"""

SCRIPT = _OPENING + HELPERS + _STATE + PANEL_SCRIPT + _CHOOSING

"""What is told of a chosen cell of an atlas: the panel, and the part of the script that fills it."""

from optvis.viz.pages.grid.panel import STEPS

PANEL = (
    """<aside class="panel" aria-label="The chosen cell" hidden>
<div class="head"><canvas class="large"></canvas>
<div class="words"><h3></h3><p class="where"></p><p class="count"></p><p class="pin" role="status"></p></div></div>
<div class="lists"><section class="for"><h4>Adds most to</h4><ul></ul></section>
<section class="against"><h4>Takes most from</h4><ul></ul></section></div>
<section class="near"><h4>Photographs nearest to it</h4><ul></ul></section>
"""
    + STEPS
    + """
</aside>"""
)

PANEL_SCRIPT = """
  // ---- what is told of a cell

  const rowOf = ({ level, cell }) => Math.floor(levels[level].cells[cell] / levels[level].size);
  const columnOf = ({ level, cell }) => levels[level].cells[cell] % levels[level].size;
  const grouped = (count) => count.toLocaleString("en");
  const counted = (count, noun = "point") => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
  const whereOf = (chosen) => `row ${rowOf(chosen)}, column ${columnOf(chosen)}`;

  function strongest({ level, cell }) {
    const values = levels[level].attribution[cell];
    const best = values.reduce((most, value, label) => (value > (values[most] ?? 0) ? label : most), -1);
    return best < 0 ? "" : told.labels[best];
  }

  function countOf({ level, cell }) {
    const count = levels[level].counts[cell];
    if (!levels[level].present[cell]) return `${counted(count)}, too few for an icon (at least ${told.fewest})`;
    return `${counted(count)}, ${figures((100 * count) / told.points)} % of all`;
  }

  function ranked(values, sign, limit) {
    const order = values.map((value, label) => [value * sign, label]).filter(([value]) => value > 0);
    const first = order.sort(([one], [other]) => other - one).slice(0, limit).map(([, label]) => label);
    const asked = now.label >= 0 && values[now.label] * sign > 0 && !first.includes(now.label);
    return asked ? [...first.slice(0, limit - 1), now.label] : first;
  }

  function drawClasses(selector, sign, limit) {
    const { attribution, most } = levels[now.chosen.level], values = attribution[now.chosen.cell];
    const labels = ranked(values, sign, limit), section = find(selector, panel);
    section.hidden = labels.length === 0;
    find("ul", section).replaceChildren(...labels.map((label) => {
      const item = line(told.labels[label], signedBar(values[label], most), signed(values[label]));
      item.classList.toggle("shown", label === now.label);
      return item;
    }));
  }

  function cutOut(canvas, picture, [rows, columns], place) {
    const width = picture.naturalWidth / columns, height = picture.naturalHeight / rows;
    Object.assign(canvas, { width, height });
    const left = (place % columns) * width, top = Math.floor(place / columns) * height;
    canvas.getContext("2d").drawImage(picture, left, top, width, height, 0, 0, width, height);
    return canvas;
  }

  function drawNearest() {
    const places = levels[now.chosen.level].nearest[now.chosen.cell], picture = find("#exemplars");
    find(".near", panel).hidden = places.length === 0;
    find(".near ul", panel).replaceChildren(...places.map((place) => {
      const item = made("li", ""), name = told.names[told.from[place]];
      item.append(cutOut(made("canvas", ""), picture, told.sheet, place), made("span", "", name));
      item.title = name;
      return item;
    }));
  }

  function drawLarge() {
    const { picture, size, cells, present } = levels[now.chosen.level], large = find(".large", panel);
    large.classList.toggle("none", !present[now.chosen.cell]);
    cutOut(large, picture, [size, size], cells[now.chosen.cell]);
  }

  function drawPanel() {
    const { size } = levels[now.chosen.level], where = whereOf(now.chosen);
    find("h3", panel).textContent = strongest(now.chosen) || `R${where.slice(1)}`;
    find(".where", panel).textContent = `${where} of ${size} × ${size}`;
    find(".count", panel).textContent = countOf(now.chosen);
    find(".pin", panel).textContent = now.pinned ? "Pinned" : "";
    panel.classList.toggle("pinned", now.pinned);
    drawLarge();
    drawClasses(".for", 1, 5);
    drawClasses(".against", -1, 3);
    drawNearest();
  }
"""

import { create, data, find } from "../helpers.js";
import { grid, moveFocus, showTiles } from "./tiles.js";

const MOST_CLASSES = 12;
const form = find(".tools"),
  tools = form.elements,
  found = find(".found");
const count = data.number.length;
const labels = data.labels.map((label) => label.toLowerCase());
const layers = data.layers.map(({ name }) => name.toLowerCase());
const everything = data.number.map((_, at) => at);

// ---- order

const compareNumbers = (a, b) => data.layer[a] - data.layer[b] || data.number[a] - data.number[b];
const ranks = rankLabels();

// The place of each label in alphabetical order; those without one come last.
function rankLabels() {
  const order = data.labels.map((_, at) => at).sort((a, b) => data.labels[a].localeCompare(data.labels[b]));
  const found = [];
  order.forEach((at, rank) => {
    found[at] = data.labels[at] === "" ? Infinity : rank;
  });
  return found;
}

function compare(order) {
  if (order === "number") return compareNumbers;
  if (order === "label") {
    const rank = (at) => ranks[data.label[at]];
    return (a, b) => (rank(a) === rank(b) ? compareNumbers(a, b) : rank(a) - rank(b));
  }
  const values = data.values[order];
  return (a, b) => values[b] - values[a] || compareNumbers(a, b);
}

// ---- search and filter

function matcher(text) {
  const words = text.split(/[\s:]+/).filter(Boolean);
  const isIn = (word, at) => labels[data.label[at]].includes(word) || layers[data.layer[at]].includes(word);
  const matches = (word, at) => (/^\d+$/.test(word) ? String(data.number[at]).startsWith(word) : isIn(word, at));
  return (at) => (words.length > 1 && isIn(text, at)) || words.every((word) => matches(word, at));
}

function inRange() {
  const values = data.values[tools.by.value];
  if (!values) return () => true;
  const [least, most] = [tools.least, tools.most].map((each) => (each.value === "" ? null : Number(each.value)));
  return (at) => (least === null || values[at] >= least) && (most === null || values[at] <= most);
}

function drawClasses(text) {
  const matching = text ? data.classes.filter(([, label]) => label.toLowerCase().includes(text)) : [];
  found.hidden = matching.length === 0;
  const links = matching.slice(0, MOST_CLASSES).map(([index, label]) => {
    const link = create("a", ""),
      item = create("bdi", "", label);
    link.href = `${data.class_folder}${index}.html`;
    link.append(item);
    return link;
  });
  const more = matching.length > links.length ? [` and ${matching.length - links.length} more`] : [];
  found.replaceChildren(matching.length === 1 ? "Class " : "Classes ", ...links, ...more);
}

function draw() {
  const text = tools.query.value.trim().toLowerCase();
  const [matches, fits] = [matcher(text), inRange()];
  const shown = everything.filter((at) => matches(at) && fits(at)).sort(compare(tools.order.value));
  if (tools.reverse.ariaPressed === "true") shown.reverse();
  for (const each of [tools.least, tools.most]) each.parentElement.hidden = tools.by.value === "";
  find("output", form).textContent = shown.length < count ? `${shown.length} of ${count}` : "";
  grid.classList.toggle("negatives", tools.negative.checked);
  drawClasses(text);
  showTiles(shown);
  return shown;
}

// ---- the address keeps what is chosen

const NAMES = ["query", "order", "by", "least", "most"];

function readAddress() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  for (const name of NAMES) tools[name].value = chosen.get(name) ?? (name === "order" ? "number" : "");
  if (tools.order.value === "") tools.order.value = "number";
  tools.negative.checked = chosen.has("negative");
  tools.reverse.ariaPressed = String(chosen.has("reverse"));
}

function writeAddress() {
  const chosen = NAMES.map((name) => [name, tools[name].value]).filter(([, value]) => value && value !== "number");
  if (tools.reverse.ariaPressed === "true") chosen.push(["reverse", "1"]);
  if (tools.negative.checked) chosen.push(["negative", "1"]);
  history.replaceState(null, "", chosen.length ? `#${new URLSearchParams(chosen)}` : location.pathname);
}

function onChange() {
  draw();
  writeAddress();
}

// ---- the whole

function openFirst() {
  const text = tools.query.value.trim();
  const tiles = draw();
  const one = tiles.find((at) => String(data.number[at]) === text) ?? tiles[0];
  if (text && one !== undefined) location.href = `${data.layers[data.layer[one]].folder}${data.number[one]}.html`;
}

function start() {
  form.addEventListener("input", onChange);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    openFirst();
  });
  tools.query.addEventListener("keydown", (event) => {
    if (event.key === "Enter") form.requestSubmit();
    if (event.key !== "Escape") return;
    tools.query.value = "";
    onChange();
  });
  tools.reverse.addEventListener("click", () => {
    tools.reverse.ariaPressed = String(tools.reverse.ariaPressed !== "true");
    onChange();
  });
  grid.addEventListener("keydown", moveFocus);
  addEventListener("hashchange", () => {
    readAddress();
    draw();
  });
  form.hidden = false;
  readAddress();
  draw();
}

if (form) start();

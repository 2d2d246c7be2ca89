export const data = JSON.parse(document.getElementById("data").textContent);
export const find = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];
export const largest = (numbers) => numbers.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
export const percent = (part) => `${100 * part}%`;
const tiny = (x) => x !== 0 && Math.abs(x) < 1e-3;
export const formatNumber = (x) =>
  (tiny(x) ? x.toExponential(2) : String(Number(x.toPrecision(3)))).replaceAll("-", "−");
export const formatSigned = (x) => (x > 0 ? "+" : "") + formatNumber(x);

export function create(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

export function bar(value, most) {
  const track = create("div", "track"),
    fill = create("i", "");
  fill.style.width = percent(most > 0 ? Math.max(0, value) / most : 0);
  track.append(fill);
  return track;
}

export function signedBar(value, most) {
  const track = create("div", "track signed"),
    fill = create("i", value < 0 ? "less" : "more");
  fill.style.width = percent(most > 0 ? Math.abs(value) / most / 2 : 0);
  track.append(fill);
  return track;
}

export function listItem(name, track, value) {
  const item = create("li", ""),
    title = create("b", "");
  title.append(create("span", "", name));
  title.title = name;
  item.append(title, track, create("data", "", value));
  return item;
}

// A few words with somebody else's text at their end, of any length and direction.
export function writeWords(element, words, label) {
  element.replaceChildren(words, create("bdi", "", label));
}

export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const [LESS, MORE] = ["--overlay-less", "--overlay-more"].map((name) => token(name).split(" ").map(Number));
export const hue = (value) => (value < 0 ? LESS : MORE);

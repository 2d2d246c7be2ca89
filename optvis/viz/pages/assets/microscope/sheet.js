const form = document.querySelector(".tools"),
  grid = document.querySelector(".tiles");
const tiles = [...grid.querySelectorAll(".tile")];
const entries = tiles.map((tile) => ({
  tile,
  channel: Number(tile.dataset.channel),
  strength: Number(tile.dataset.strength),
  label: tile.querySelector("span").textContent,
}));
const { query, order, negative } = form.elements;
const orders = {
  channel: (a, b) => a.channel - b.channel,
  strength: (a, b) => b.strength - a.strength || a.channel - b.channel,
  label: (a, b) => (a.label === "") - (b.label === "") || a.label.localeCompare(b.label) || a.channel - b.channel,
};
const sort = () => grid.append(...entries.sort(orders[order.value]).map((each) => each.tile));
function filter() {
  const text = query.value.trim().toLowerCase();
  let count = 0;
  for (const { tile, channel, label } of entries) {
    const matches = /^\d+$/.test(text) ? String(channel).startsWith(text) : label.toLowerCase().includes(text);
    tile.hidden = !matches;
    count += matches;
  }
  form.querySelector("output").textContent = text ? `${count} of ${entries.length}` : "";
}
form.addEventListener("input", (event) => {
  if (event.target === query) filter();
  if (event.target === order) sort();
  grid.classList.toggle("negatives", negative.checked);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = query.value.trim();
  const one = entries.find((each) => String(each.channel) === text) ?? entries.find((each) => !each.tile.hidden);
  if (one && text) location.href = one.tile.href;
});
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter") form.requestSubmit();
  if (event.key === "Escape") {
    query.value = "";
    filter();
  }
});
grid.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step && !down) return;
  const shown = [...grid.children].filter((tile) => !tile.hidden);
  const across = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const next = shown[shown.indexOf(document.activeElement) + (step ?? down * across)];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});
form.hidden = false;
filter();
sort();

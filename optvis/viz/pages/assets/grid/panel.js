import {
  bar,
  create,
  data,
  find,
  formatNumber,
  formatSigned,
  largest,
  listItem,
  percent,
  signedBar,
} from "../helpers.js";
import { layer, panel, state, tools } from "./state.js";

function setIcon(icon, index, rows, columns) {
  const at = (place, count) => percent(count > 1 ? place / (count - 1) : 0);
  icon.style.backgroundPosition = `${at(index % columns, columns)} ${at(Math.floor(index / columns), rows)}`;
  return icon;
}

export function setCellIcon(icon, layer, cell) {
  icon.classList.toggle("none", !layer.present[cell]);
  return setIcon(icon, cell, layer.rows, layer.columns);
}

export function outlinePlace(place) {
  const { rows, columns } = layer();
  place.hidden = false;
  place.style.left = percent((state.cell % columns) / columns);
  place.style.top = percent(Math.floor(state.cell / columns) / rows);
  place.style.width = percent(1 / columns);
  place.style.height = percent(1 / rows);
}

// ---- the panel

function pixelRange(place, count, pixels) {
  const [from, to] = [place, place + 1].map((edge) => Math.round((edge * pixels) / count));
  return `${from}–${to}`;
}

function drawWords() {
  const { rows, columns, strength, present } = layer();
  const row = Math.floor(state.cell / columns),
    column = state.cell % columns;
  find("h2", panel).textContent = `Row ${row}, column ${column}`;
  find(".where", panel).textContent =
    `y ${pixelRange(row, rows, data.image[0])} px\nx ${pixelRange(column, columns, data.image[1])} px`;
  find(".norm", panel).textContent =
    `norm ${formatNumber(strength[state.cell])}${present[state.cell] ? "" : ", no icon"}`;
  find(".pin", panel).textContent = state.pinned ? "Pinned" : "";
}

/** The icon of a channel; empty where it is among the strongest drawn at no position. */
function channelIcon(channel) {
  const { icons, sheet } = layer();
  return channel in icons ? setIcon(create("i", "icon"), icons[channel], ...sheet) : create("i", "icon none");
}

function drawChannels() {
  const { channels, values, sheet } = layer();
  const most = largest(values.flat());
  const list = find("ol", panel);
  list.className = `channels-${state.layer}`;
  list.replaceChildren(
    ...channels[state.cell].map((channel, rank) => {
      const value = values[state.cell][rank];
      const item = listItem(`${sheet ? "" : "channel "}${channel}`, bar(value, most), formatNumber(value));
      if (sheet) find("b", item).prepend(channelIcon(channel));
      return item;
    }),
  );
}

function classesShown() {
  const chosen = tools.elements.class?.value;
  const { attribution } = layer();
  const available = attribution.flatMap((values, label) => (values ? [label] : []));
  if (available.length <= 6) return available;
  const strongest = (label) => (String(label) === chosen ? Infinity : Math.abs(attribution[label][state.cell]));
  return available.sort((one, other) => strongest(other) - strongest(one)).slice(0, 6);
}

export function drawAttribution() {
  const { attribution } = layer();
  const most = largest(attribution.flatMap((values) => values ?? [])),
    labels = classesShown();
  find(".to", panel).hidden = labels.length === 0;
  find("ul", panel).replaceChildren(
    ...labels.map((label) => {
      const value = attribution[label][state.cell];
      const item = listItem(data.labels[label], signedBar(value, most), formatSigned(value));
      item.classList.toggle("selected", String(label) === tools.elements.class.value);
      return item;
    }),
  );
}

export function drawPanel() {
  setCellIcon(find(".large", panel), layer(), state.cell);
  panel.classList.toggle("pinned", state.pinned);
  drawWords();
  drawChannels();
  drawAttribution();
}

"""What is told of a chosen cell: the panel, and the part of the script that fills it."""

STEPS = """<div class="steps"><button type="button" data-step="-1 0" aria-label="one row up">↑</button
><button type="button" data-step="1 0" aria-label="one row down">↓</button
><button type="button" data-step="0 -1" aria-label="one column left">←</button
><button type="button" data-step="0 1" aria-label="one column right">→</button
><button type="button" class="close" aria-label="close">×</button></div>"""

PANEL = (
    """<aside class="panel" aria-label="The chosen cell" hidden>
<div class="head"><i class="icon large"></i><div class="frame small"><i class="place"></i></div>
<div class="words"><h3></h3><p class="where"></p><p class="norm"></p><p class="pin" role="status"></p></div></div>
<div class="lists"><section><h4>Strongest channels</h4><ol></ol></section>
<section class="to"><h4>Attribution to</h4><ul></ul></section></div>
"""
    + STEPS
    + """
</aside>"""
)

PANEL_SCRIPT = """
  function picture(icon, index, rows, columns) {
    const at = (place, count) => percent(count > 1 ? place / (count - 1) : 0);
    icon.style.backgroundPosition = `${at(index % columns, columns)} ${at(Math.floor(index / columns), rows)}`;
    return icon;
  }

  function cellPicture(icon, layer, cell) {
    icon.classList.toggle("none", !layer.present[cell]);
    return picture(icon, cell, layer.rows, layer.columns);
  }

  function outline(place) {
    const { rows, columns } = layer();
    place.hidden = false;
    place.style.left = percent((now.cell % columns) / columns);
    place.style.top = percent(Math.floor(now.cell / columns) / rows);
    place.style.width = percent(1 / columns);
    place.style.height = percent(1 / rows);
  }

  // ---- the panel

  function span(place, count, pixels) {
    const [from, to] = [place, place + 1].map((edge) => Math.round((edge * pixels) / count));
    return `${from}–${to}`;
  }

  function drawWords() {
    const { rows, columns, strength, present } = layer();
    const row = Math.floor(now.cell / columns), column = now.cell % columns;
    find("h3", panel).textContent = `Row ${row}, column ${column}`;
    find(".where", panel).textContent =
      `y ${span(row, rows, told.photo[0])} px\\nx ${span(column, columns, told.photo[1])} px`;
    find(".norm", panel).textContent = `norm ${figures(strength[now.cell])}`
      + (present[now.cell] ? "" : ", no icon");
    find(".pin", panel).textContent = now.pinned ? "Pinned" : "";
  }

  function drawChannels() {
    const { channels, values, icons, sheet } = layer();
    const most = largest(values.flat());
    const list = find("ol", panel);
    list.className = `channels-${now.layer}`;
    list.replaceChildren(...channels[now.cell].map((channel, rank) => {
      const value = values[now.cell][rank];
      const item = line(`${sheet ? "" : "channel "}${channel}`, bar(value, most), figures(value));
      if (channel in icons) find("b", item).prepend(picture(made("i", "icon"), icons[channel], ...sheet));
      return item;
    }));
  }

  function classesShown() {
    const chosen = tools.elements.class?.value;
    const given = layer().attribution.flatMap((values, label) => (values ? [label] : []));
    if (given.length <= 6) return given;
    const strongest = (label) => (String(label) === chosen ? Infinity : Math.abs(layer().attribution[label][now.cell]));
    return given.sort((one, other) => strongest(other) - strongest(one)).slice(0, 6);
  }

  function drawAttribution() {
    const { attribution } = layer();
    const most = largest(attribution.flatMap((values) => values ?? [])), labels = classesShown();
    find(".to", panel).hidden = labels.length === 0;
    find("ul", panel).replaceChildren(...labels.map((label) => {
      const value = attribution[label][now.cell];
      const item = line(told.labels[label], signedBar(value, most), signed(value));
      item.classList.toggle("shown", String(label) === tools.elements.class.value);
      return item;
    }));
  }

  function drawPanel() {
    cellPicture(find(".large", panel), layer(), now.cell);
    panel.classList.toggle("pinned", now.pinned);
    drawWords();
    drawChannels();
    drawAttribution();
  }
"""

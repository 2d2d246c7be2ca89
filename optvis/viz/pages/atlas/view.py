"""The part of an atlas's script that keeps what is in sight, and draws it."""

VIEW_SCRIPT = """
  // ---- what is in sight: the map's sides go from 0 to 1

  const WIDEST = 180, LEAST = 36, MOST = 128, FADE = 220, GLIDE = 200;  // pixels of a cell, milliseconds
  const SMALLEST = 16, INSET = 0.96;  // the side of the least icon in pixels, and of the largest in cells
  const view = { zoom: 1, left: 0, top: 0 };
  const between = (low, value, high) => Math.min(high, Math.max(low, value));
  const whole = () => Math.min(now.side, WIDEST * levels[0].size);
  const scale = () => whole() * view.zoom;
  const limit = () => Math.max(1, (MOST * levels.at(-1).size) / whole());
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let fade = null, glide = null, waiting = false;

  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }

  function settle(zoom, left, top) {
    view.zoom = between(1, zoom, limit());
    const span = now.side / scale();
    const within = (edge) => (span >= 1 ? (1 - span) / 2 : between(0, edge, 1 - span));
    Object.assign(view, { left: within(left), top: within(top) });
    chooseLevel();
    map.classList.toggle("zoomed", view.zoom > 1);
    for (const button of all("[data-zoom]")) {
      button.disabled = button.dataset.zoom > 1 ? view.zoom >= limit() : view.zoom <= 1;
    }
    redraw();
  }

  function chooseLevel() {
    const level = levels.reduce((best, { size }, n) => (scale() / size >= LEAST ? n : best), 0);
    if (level === now.level) return;
    fade = calm.matches || now.level < 0 ? null : { level: now.level, start: performance.now() };
    now.level = level;
    drawCaption();
  }

  function zoomAt(factor, x, y) {
    const before = scale(), zoom = between(1, view.zoom * factor, limit()), after = whole() * zoom;
    settle(zoom, view.left + x / before - x / after, view.top + y / before - y / after);
  }

  const panBy = (x, y) => settle(view.zoom, view.left - x / scale(), view.top - y / scale());

  function glideBy(factor, x, y) {
    const goal = between(1, (glide?.goal ?? view.zoom) * factor, limit());
    if (calm.matches) zoomAt(goal / view.zoom, x, y);
    else glide = { goal, x, y, from: view.zoom, start: performance.now() };
    redraw();
  }

  function step(time) {
    const part = between(0, (time - glide.start) / GLIDE, 1), { from, goal, x, y } = glide;
    zoomAt((from * (goal / from) ** (1 - (1 - part) ** 3)) / view.zoom, x, y);
    if (part === 1) glide = null;
  }

  function squareOf({ level, cell }) {
    const { size } = levels[level], side = scale() / size;
    const x = columnOf({ level, cell }) * side - view.left * scale();
    return { x, y: rowOf({ level, cell }) * side - view.top * scale(), side };
  }

  function show({ level, cell }) {
    const { x, y, side } = squareOf({ level, cell });
    const off = (from) => Math.max(0, 8 - from) + Math.min(0, now.side - 8 - from - side);
    panBy(off(x), off(y));
  }

  function cellAt(x, y) {
    const { size, at } = levels[now.level];
    const column = Math.floor((view.left + x / scale()) * size), row = Math.floor((view.top + y / scale()) * size);
    const cell = column >= 0 && column < size ? at.get(row * size + column) : undefined;
    return cell === undefined ? null : { level: now.level, cell };
  }

  // ---- drawing

  function iconOf({ level, cell }) {
    const { counts, full } = levels[level], square = squareOf({ level, cell });
    const most = INSET * square.side, least = Math.min(SMALLEST, most);
    const even = (edge) => (now.filled ? Math.round(edge * now.dense) / now.dense : edge);
    const sized = between(least, most * Math.sqrt(counts[cell] / full), most);
    const side = now.filled ? square.side : sized, margin = (square.side - side) / 2;
    const [x, y] = [square.x + margin, square.y + margin];
    return [even(x), even(y), even(x + side) - even(x), even(y + side) - even(y)];
  }

  function drawDot({ x, y, side }, alpha) {
    pen.globalAlpha = alpha;
    pen.fillStyle = now.dots;
    pen.beginPath();
    pen.arc(x + side / 2, y + side / 2, between(1.5, side * 0.06, 4), 0, 7);
    pen.fill();
  }

  function shareOf({ level, cell }) {
    const { attribution, mostTo } = levels[level], most = mostTo[now.label];
    return most > 0 ? attribution[cell][now.label] / most : 0;
  }

  function drawIcon(chosen, alpha) {
    const { picture, size, cells } = levels[chosen.level], tinted = now.label >= 0;
    const tile = picture.naturalWidth / size, box = iconOf(chosen), cell = cells[chosen.cell];
    pen.globalAlpha = tinted ? alpha * (0.1 + 0.9 * Math.abs(shareOf(chosen))) : alpha;
    pen.drawImage(picture, (cell % size) * tile, Math.floor(cell / size) * tile, tile, tile, ...box);
    if (!tinted) return;
    pen.globalCompositeOperation = "color";
    pen.globalAlpha = 0.8 * alpha;
    pen.fillStyle = `rgb(${hue(shareOf(chosen)).join(" ")})`;
    pen.fillRect(...box);
    pen.globalCompositeOperation = "source-over";
  }

  function drawLevel(level, alpha) {
    for (let cell = 0; cell < levels[level].cells.length; cell++) {
      const square = squareOf({ level, cell });
      if (Math.max(square.x, square.y) > now.side || Math.min(square.x, square.y) + square.side < 0) continue;
      if (levels[level].present[cell]) drawIcon({ level, cell }, alpha);
      else drawDot(square, alpha);
    }
    pen.globalAlpha = 1;
  }

  function drawOutline() {
    const { x, y, side } = squareOf(now.chosen), edges = [[0, "#fff"], [1.5, "#000"]];
    pen.lineWidth = now.pinned ? 3 : 1.5;
    for (const [out, colour] of edges.map(([out, colour]) => [out * (now.pinned ? 2 : 1), colour])) {
      pen.strokeStyle = colour;
      pen.strokeRect(x - out, y - out, side + 2 * out, side + 2 * out);
    }
  }

  function drawTag() {
    tag.hidden = !now.pointed;
    if (!now.pointed) return;
    const { x, y, side } = squareOf(now.pointed);
    tag.textContent = tagOf(now.pointed);
    const wide = tag.offsetWidth, high = tag.offsetHeight, above = y - high - 5;
    tag.style.left = `${between(4, x + side / 2 - wide / 2, now.side - wide - 4)}px`;
    tag.style.top = `${between(4, above < 4 ? y + side + 5 : above, now.side - high - 4)}px`;
  }

  function draw(time) {
    waiting = false;
    if (glide) step(time);
    const gone = fade ? between(0, (time - fade.start) / FADE, 1) : 1;
    pen.setTransform(now.dense, 0, 0, now.dense, 0, 0);
    pen.fillStyle = now.ground;
    pen.fillRect(0, 0, now.side, now.side);
    if (gone < 1) drawLevel(fade.level, Math.min(1, 2 - 2 * gone));
    drawLevel(now.level, Math.min(1, 2 * gone));
    drawOutline();
    drawTag();
    if (gone === 1) fade = null;
    if (fade || glide) redraw();
  }
"""

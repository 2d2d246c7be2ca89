"""The part of an atlas's script that answers mouse, fingers and keys."""

HANDS_SCRIPT = """
  // ---- choosing a cell

  function choose(chosen) {
    now.chosen = chosen;
    drawPanel();
    redraw();
  }

  function say(chosen) {
    const label = strongest(chosen);
    find(".heard").textContent = `${whereOf(chosen)}: ${countOf(chosen)}${label && `, most for ${label}`}`;
  }

  function point(pointed) {
    now.pointed = pointed;
    if (pointed && !now.pinned) choose(pointed);
    redraw();
  }

  const same = (one, other) => one.level === other.level && one.cell === other.cell;

  function press(pressed) {
    if (pressed) document.body.classList.add("touched");
    now.pointed = pressed;
    now.pinned = !now.touch && Boolean(pressed) && !(now.pinned && same(pressed, now.chosen));
    choose(pressed ?? now.chosen);
    if (!pressed) return;
    say(pressed);
    uncover(pressed);
  }

  function uncover(chosen) {
    const { y, side } = squareOf(chosen);
    const hidden = canvas.getBoundingClientRect().top + y + side + 8 - panel.getBoundingClientRect().top;
    if (hidden > 0 && getComputedStyle(panel).position === "sticky") scrollBy(0, hidden);
  }

  function letGo() {
    now.pinned = false;
    drawPanel();
    redraw();
  }

  // ---- walking from cell to cell

  function closest(level, measure) {
    let least = Infinity, found = null;
    for (let cell = 0; cell < levels[level].cells.length; cell++) {
      const far = measure(rowOf({ level, cell }), columnOf({ level, cell }));
      if (far < least) [least, found] = [far, { level, cell }];
    }
    return found;
  }

  function here() {
    if (now.chosen.level === now.level) return now.chosen;
    const ratio = levels[now.level].size / levels[now.chosen.level].size;
    const row = (rowOf(now.chosen) + 0.5) * ratio - 0.5, column = (columnOf(now.chosen) + 0.5) * ratio - 0.5;
    return closest(now.level, (r, c) => Math.hypot(r - row, c - column));
  }

  function beyond(from, [down, right]) {
    const row = rowOf(from), column = columnOf(from);
    const towards = (slope) => (r, c) => {
      const along = (r - row) * down + (c - column) * right, across = Math.abs((r - row) * right + (c - column) * down);
      return along > 0 && across <= slope * along ? along ** 2 + across ** 2 + across / 1e4 : Infinity;
    };
    return closest(from.level, towards(1)) ?? closest(from.level, towards(Infinity)) ?? from;
  }

  function walk(direction) {
    const next = beyond(here(), direction);
    now.pointed = next;
    choose(next);
    show(next);
    say(next);
    uncover(next);
  }

  // ---- keys

  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const ZOOMS = { "+": 2, "=": 2, "-": 0.5, "−": 0.5, "0": 0 };

  function middleOf(chosen) {
    const { x, y, side } = squareOf(chosen), inside = (at) => at >= 0 && at <= now.side;
    const [across, down] = [x + side / 2, y + side / 2];
    return inside(across) && inside(down) ? [across, down] : [now.side / 2, now.side / 2];
  }

  function keyed(event) {
    if (event.altKey || event.metaKey || event.ctrlKey) return;
    const direction = STEPS[event.key];
    if (direction && event.shiftKey) panBy(-direction[1] * now.side / 5, -direction[0] * now.side / 5);
    else if (direction) walk(direction);
    else if (event.key in ZOOMS) glideBy(ZOOMS[event.key], ...middleOf(now.chosen));
    else if (event.key === "Enter" || event.key === " ") press(here());
    else return;
    event.preventDefault();
  }

  // ---- mouse and fingers

  const SLOP = { mouse: 4, touch: 12, pen: 8 };  // pixels that are no drag yet
  const fingers = new Map();
  let travelled = 0, tapped = { time: -Infinity, x: 0, y: 0 };

  function spotOf(event) {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  const apart = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);

  function lowered(event) {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, spotOf(event));
    travelled = fingers.size > 1 ? Infinity : 0;
    glide = null;
  }

  function pinch(before, after) {
    const middle = ([one, other]) => ({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
    const from = middle(before), to = middle(after);
    panBy(to.x - from.x, to.y - from.y);
    zoomAt(apart(...after) / Math.max(1, apart(...before)), to.x, to.y);
  }

  function moved(event) {
    const to = spotOf(event), from = fingers.get(event.pointerId);
    if (!from && event.pointerType === "mouse") point(cellAt(to.x, to.y));
    if (!from) return;
    const before = [...fingers.values()];
    travelled = Math.max(travelled, apart(from, to));
    if (travelled <= SLOP[event.pointerType]) return;
    map.classList.add("held");
    fingers.set(event.pointerId, to);
    if (fingers.size === 2) pinch(before, [...fingers.values()]);
    else panBy(to.x - from.x, to.y - from.y);
  }

  function raised(event) {
    const spot = fingers.get(event.pointerId);
    fingers.delete(event.pointerId);
    map.classList.remove("held");
    if (spot && travelled <= SLOP[event.pointerType] && event.type === "pointerup") tap(spot, event.timeStamp);
  }

  function tap(spot, time) {
    const again = time - tapped.time < 350 && apart(spot, tapped) < 25;
    tapped = { time: again ? -Infinity : time, ...spot };
    if (again) glideBy(2, spot.x, spot.y);
    else press(cellAt(spot.x, spot.y));
  }

  function wheeled(event) {
    const amount = event.deltaY * (event.deltaMode === 1 ? 16 : 1) * (event.ctrlKey ? 5 : 1);
    const zoom = between(1, view.zoom * Math.exp(-amount / 500), limit()), spot = spotOf(event);
    if (zoom !== view.zoom || event.ctrlKey) event.preventDefault();
    glide = null;
    zoomAt(zoom / view.zoom, spot.x, spot.y);
    point(cellAt(spot.x, spot.y));
  }
"""

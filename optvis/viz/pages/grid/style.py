"""The style of a grid's page: light and dark, for wide and narrow windows."""

from optvis.viz.pages.style_parts import BASE, FOOTER, LEGEND, PANEL, TOOLS

_EXHIBIT = """
.exhibit { margin-top: 1.75rem; }
.photo, .sheet, .grouped, .panel { min-width: 0; }
.layer + .layer { margin-top: 2rem; }
@media (min-width: 761px) {
  .exhibit {
    display: grid; grid-template-columns: minmax(14rem, 20rem) minmax(0, 1fr); align-items: start;
    gap: 1.25rem clamp(1.5rem, 3.5vw, 3rem);
  }
  .ready .exhibit {
    grid-template-areas: "photo cells" "panel cells" "panel groups"; grid-template-rows: auto auto 1fr;
  }
  .ready .layers, .ready .layer { display: contents; }
  .ready .photo { grid-area: photo; }
  .ready .sheet { grid-area: cells; }
  .ready .grouped { grid-area: groups; }
  .ready .panel { grid-area: panel; }
}
@media (min-width: 1180px) {
  .exhibit { grid-template-columns: 18rem minmax(0, 1fr); }
  .ready .exhibit {
    grid-template: "photo cells panel" auto "groups cells panel" 1fr / 18rem minmax(0, 1fr) 17.5rem;
  }
  .ready .panel { padding-top: 0; border-top: 0; }
}
.photo { margin: 0; }
.frame { position: relative; background: var(--inset); }
.frame img, .frame canvas { border-radius: 3px; }
.frame canvas { position: absolute; inset: 0; height: 100%; image-rendering: pixelated; pointer-events: none; }
.photo.overlaid img { filter: grayscale(1); }
.photo { cursor: crosshair; }
.place {
  position: absolute; border-radius: 1px; box-shadow: 0 0 0 1.5px #fff, 0 0 0 3px #000; pointer-events: none;
}
"""

_CELLS = """
.cells {
  max-width: max(26rem, calc((100vh - 17.5rem) * var(--columns) / var(--rows))); print-color-adjust: exact;
}
.cells.still { aspect-ratio: var(--columns) / var(--rows); background-size: 100% 100%; }
.cells.live {
  display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 0; background: none;
  touch-action: manipulation;
}
.cells.live.gaps { gap: 2px; }
.row { display: contents; }
.cell { position: relative; aspect-ratio: 1; cursor: pointer; outline: none; background: var(--paper); }
.cell, .frame, button { -webkit-tap-highlight-color: transparent; }
.icon {
  display: block; width: 100%; aspect-ratio: 1; background-repeat: no-repeat;
  background-size: calc(var(--columns) * 100%) calc(var(--rows) * 100%);
}
.cell .icon { transition: opacity .2s, transform .2s; }
.sized .icon { transform: scale(var(--size)); }
.icon.none { background: radial-gradient(circle, var(--line) 12%, transparent 14%) !important; }
.cell[aria-selected="true"] { z-index: 1; box-shadow: 0 0 0 1.5px #fff, 0 0 0 3px #000; }
.cell:focus-visible { z-index: 2; outline: 3px solid var(--less); outline-offset: 3px; }

.groups { display: grid; grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); gap: .6rem; max-width: 40rem; }
.groups button {
  padding: 0 0 .3rem; border: 0; border-radius: 3px; background: none; cursor: pointer; text-align: left;
  font: .75rem/1.4 var(--small);
}
h3 .class-name { display: block; margin: 0; font-weight: 400; }
.groups img { margin-bottom: .3rem; border-radius: 3px; }
.groups span { display: block; }
.share { color: var(--quiet); font-variant-numeric: tabular-nums; }
.groups [aria-pressed="true"] img { box-shadow: 0 0 0 2px var(--paper), 0 0 0 4px var(--ink); }
.groups [aria-pressed="true"] span:first-of-type { font-weight: 600; }
"""

_NARROW = """\
@media (max-width: 760px) {
  .exhibit { margin-top: 1.25rem; }
  .photo { width: min(68%, 24rem); margin-bottom: 1.25rem; }
  .grouped { margin-top: 1.5rem; }
  .groups { grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)); }
  .cells { max-width: none; }
  .panel { display: none; }
  .touched .panel {
    display: block; position: sticky; bottom: 0; z-index: 3; max-height: 50vh; overflow: auto; margin: 1rem -1rem 0;
    padding: .7rem 1rem 0; background: var(--paper);
    box-shadow: 0 -6px 24px #0003; font-size: .75rem; overscroll-behavior: contain;
  }
  .large, .frame.small { width: clamp(4.5rem, 23vw, 6.5rem); }
  .frame.small { display: block; }
  .lists { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
  .lists section { min-width: 0; }
  .lists h4 { margin: .6rem 0 .2rem; font-size: .6875rem; }
  .lists li { grid-template-columns: minmax(0, 1fr) auto; gap: 0 .5rem; min-height: 0; padding: .1rem 0; }
  .lists .track { grid-row: 2; grid-column: 1 / 3; height: .25rem; }
  .lists b .icon { width: 1.4rem; }
  .signed::before { inset: -1px auto -1px 50%; }
  .steps, .steps .close { display: flex; align-items: center; justify-content: center; }
  .steps {
    position: sticky; bottom: 0; justify-content: start; margin-top: 0; background: var(--paper);
    padding: .6rem 0 calc(.6rem + env(safe-area-inset-bottom));
  }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media print { .tools, .steps, .help { display: none; } }
"""

STYLE = BASE + TOOLS + _EXHIBIT + LEGEND + _CELLS + PANEL + FOOTER + _NARROW

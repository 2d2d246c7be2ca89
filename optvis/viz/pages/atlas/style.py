"""The style of an atlas's page: light and dark, for wide and narrow windows."""

from optvis.viz.pages.style_parts import BASE, FOOTER, LEGEND, PANEL, TOOLS

_MAP = """
.exhibit { margin-top: 1.75rem; }
.atlas { min-width: 0; margin: 0; }
@media (min-width: 761px) {
  .exhibit {
    display: grid; grid-template-columns: minmax(0, max(26rem, calc(100vh - 17rem))) minmax(18rem, 1fr);
    align-items: start; gap: 1.25rem clamp(1.25rem, 3vw, 2.75rem);
  }
  .exhibit .panel { max-width: 36rem; padding-top: 0; border-top: 0; }
}
.map {
  position: relative; aspect-ratio: 1; overflow: hidden; border-radius: 4px; background: var(--inset);
  print-color-adjust: exact;
}
.map img { height: 100%; }
.map canvas {
  position: absolute; inset: 0; height: 100%; border-radius: 4px; cursor: pointer; touch-action: pan-y;
  -webkit-tap-highlight-color: transparent; user-select: none; -webkit-user-select: none;
}
.map canvas:focus-visible { outline-offset: -2px; }
.map.zoomed canvas { touch-action: none; cursor: grab; }
.map.dragging canvas { cursor: grabbing; }
.tag {
  position: absolute; top: 0; left: 0; width: max-content; max-width: min(17rem, calc(100% - 8px)); margin: 0;
  padding: .1rem .5rem; overflow: hidden; border-radius: 3px; background: var(--ink); color: var(--paper);
  font: .75rem/1.5 var(--small); text-overflow: ellipsis; white-space: nowrap; pointer-events: none;
}
.zoom { display: flex; gap: .3rem; }
.zoom button {
  min-width: 2rem; height: 2rem; padding: 0 .55rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--inset); cursor: pointer; font: .8125rem/1 var(--small); -webkit-tap-highlight-color: transparent;
}
.zoom button:disabled { color: var(--quiet); opacity: .55; cursor: default; }
.axis {
  display: flex; align-items: center; gap: .75rem; margin-top: .5rem; font: .8125rem/1.4 var(--small);
}
.axis span { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.axis i { flex: 1 0 1rem; height: 1px; background: var(--line); }
.level { margin: .6rem 0 0; color: var(--quiet); font: .75rem/1.4 var(--small); }
.announcement { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }
"""

_CELL = """
.large { height: auto; aspect-ratio: 1; }
.large.none { background: radial-gradient(circle, var(--bar) 6%, transparent 8%) var(--inset); }
.words h3 { font-size: 1rem; line-height: 1.3; }
.near h4 { margin-top: 1.1rem; }
.near ul {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(4rem, 1fr)); gap: .5rem; margin: 0; padding: 0;
  list-style: none;
}
.near li { min-width: 0; }
.near canvas { border-radius: 3px; background: var(--inset); }
.near span {
  display: block; margin-top: .15rem; overflow: hidden; color: var(--quiet); font-size: .6875rem; line-height: 1.35;
  text-overflow: ellipsis; white-space: nowrap;
}
.panel { container-type: inline-size; }
@container (min-width: 28rem) {
  .exhibit .large { width: 9rem; }
  .exhibit .lists { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; }
  .exhibit .lists section { min-width: 0; }
  .exhibit .lists li { grid-template-columns: minmax(0, 6rem) minmax(0, 1fr) 3.6rem; }
}
"""

_NARROW = """
@media (max-width: 760px) {
  .exhibit { margin-top: 1rem; }
  .panel { display: none; }
  .touched .panel {
    display: block; position: sticky; bottom: 0; z-index: 3; max-height: 50vh; overflow: auto; margin: 1rem -1rem 0;
    padding: .7rem 1rem 0; background: var(--paper);
    box-shadow: 0 -6px 24px #0003; font-size: .75rem; overscroll-behavior: contain;
  }
  .large { width: clamp(4.5rem, 23vw, 6.5rem); }
  .lists { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
  .lists section { min-width: 0; }
  .lists h4, .near h4 { margin: .6rem 0 .2rem; font-size: .6875rem; }
  .lists li { grid-template-columns: minmax(0, 1fr) auto; gap: 0 .5rem; min-height: 0; padding: .1rem 0; }
  .lists .track { grid-row: 2; grid-column: 1 / 3; height: .25rem; }
  .signed::before { inset: -1px auto -1px 50%; }
  .near ul { grid-template-columns: repeat(auto-fill, minmax(3.2rem, 1fr)); gap: .4rem; }
  .steps, .steps .close { display: flex; align-items: center; justify-content: center; }
  .steps {
    position: sticky; bottom: 0; justify-content: start; margin-top: 0; background: var(--paper);
    padding: .6rem 0 calc(.6rem + env(safe-area-inset-bottom));
  }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media print { .tools, .steps, .zoom, .help { display: none; } }
"""

STYLE = BASE + TOOLS + _MAP + LEGEND + PANEL + _CELL + FOOTER + _NARROW

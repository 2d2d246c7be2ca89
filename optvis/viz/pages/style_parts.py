"""CSS that several pages share: light and dark colors, tools, legends, panels, footers."""

BASE = """
:root {
  color-scheme: light dark;
  --paper: #fcfbf8; --ink: #24221f; --quiet: #6b665e; --line: #e4e0d8; --inset: #f4f1ea;
  --more: #c75300; --less: #1f6fb8; --bar: #8d877c;
  --text: Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif;
  --small: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171614; --ink: #e8e4dc; --quiet: #a09a8f; --line: #33302b; --inset: #201e1b;
    --more: #f08a3c; --less: #5aa9ea; --bar: #7d776c;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 1440px; padding: clamp(1.25rem, 2.75vw, 2.5rem) clamp(1rem, 4vw, 2.5rem) 2rem;
  background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 var(--text); overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: clamp(1.7rem, 3.5vw, 2.4rem); font-weight: 400; line-height: 1.15; letter-spacing: -.015em; }
h2 { margin: 0 0 .5rem; font-size: 1.25rem; font-weight: 400; line-height: 1.3; }
h3 { margin: 0 0 .6rem; font: 600 .8125rem/1.4 var(--small); }
h4 { margin: 0 0 .4rem; color: var(--quiet); font: 500 .75rem/1.4 var(--small); }
small, h2 small { color: var(--quiet); font: .8125rem/1.4 var(--small); margin-left: .5em; }
p { margin: 0 0 .5rem; text-wrap: pretty; }
.lead { max-width: 60rem; margin: .5rem 0 0; font-size: 1.0625rem; line-height: 1.5; color: var(--quiet); }
img, canvas { display: block; width: 100%; height: auto; }
button, select, input { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--less); outline-offset: 2px; }
"""

TOOLS = """
.tools {
  display: flex; flex-wrap: wrap; align-items: center; gap: .7rem 1.75rem; margin: 1.25rem 0 0; padding: .65rem 0;
  border: solid var(--line); border-width: 1px 0; font: .8125rem/1.4 var(--small);
}
.tools label { display: flex; align-items: center; gap: .45rem; min-width: 0; cursor: pointer; }
.tools input[type="checkbox"] { width: 1rem; height: 1rem; margin: 0; accent-color: var(--ink); }
.tools select {
  min-width: 0; max-width: min(18rem, 100%); padding: .3rem .4rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--inset); text-overflow: ellipsis;
}
.tabs { display: flex; flex-wrap: wrap; gap: .25rem; min-width: 0; margin: 0; padding: 0; border: 0; }
.tabs legend { float: left; padding: .3rem .45rem .3rem 0; }
.tabs input { position: absolute; opacity: 0; pointer-events: none; }
.tabs span { padding: .3rem .7rem; border-radius: 4px; background: var(--inset); }
.tabs input:checked + span { background: var(--ink); color: var(--paper); }
.tabs input:focus-visible + span { outline: 2px solid var(--less); outline-offset: 2px; }
"""

LEGEND = """\
.legend { margin: .6rem 0 0; font: .75rem/1.4 var(--small); color: var(--quiet); cursor: default; }
.legend p { margin-bottom: .3rem; }
.scale {
  height: .5rem; border-radius: 2px; background: linear-gradient(to right, #1f6fd6, #8883 50%, #f06a00);
}
.ends { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
"""

PANEL = """
.panel { padding-top: 1.25rem; border-top: 1px solid var(--line); font: .8125rem/1.4 var(--small); }
.head { display: flex; gap: .9rem; align-items: start; }
.large { flex: none; width: 7.25rem; border-radius: 3px; background-color: var(--inset); }
.frame.small { display: none; flex: none; align-self: start; }
.words { min-width: 0; font-variant-numeric: tabular-nums; }
.words h3 { margin: 0 0 .2rem; font-size: .875rem; }
.words p { margin: 0; white-space: pre-line; color: var(--quiet); }
.words .pin { margin-top: .35rem; color: var(--ink); font-weight: 600; }
.lists h4 { margin-top: 1.1rem; }
.lists ol, .lists ul { margin: 0; padding: 0; list-style: none; }
.lists li {
  display: grid; grid-template-columns: minmax(0, 6rem) minmax(0, 1fr) 4rem; gap: .5rem; align-items: center;
  min-height: 1.6rem;
}
.lists b { display: flex; align-items: center; gap: .5rem; min-width: 0; font-weight: 400; }
.lists b span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.lists b .icon { flex: none; width: 1.9rem; margin: 1px 0; border-radius: 2px; }
.lists data { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.track { position: relative; height: .5rem; border-radius: 1px; background: var(--inset); }
.track i { position: absolute; top: 0; bottom: 0; left: 0; border-radius: 1px; background: var(--bar); }
.signed::before { content: ""; position: absolute; inset: -3px auto -3px 50%; width: 1px; background: var(--bar); }
.track .more { left: 50%; background: var(--more); }
.track .less { left: auto; right: 50%; background: var(--less); }
.lists .selected { font-weight: 600; }
.steps { display: none; gap: .35rem; margin-top: .9rem; }
.steps button {
  min-width: 2.5rem; height: 2.25rem; padding: 0; border: 1px solid var(--line); border-radius: 4px;
  background: var(--inset); cursor: pointer;
}
.steps .close { display: none; margin-left: auto; }
@media (any-pointer: coarse) { .steps { display: flex; } }
"""

FOOTER = """
footer { margin-top: 2.5rem; padding-top: 1.25rem; border-top: 1px solid var(--line); color: var(--quiet); }
footer, details { font: .8125rem/1.5 var(--small); }
.help { max-width: 42rem; }
summary { cursor: pointer; color: var(--ink); }
pre {
  margin: .6rem 0 1rem; padding: .6rem .8rem; border-radius: 4px; background: var(--inset); color: var(--ink);
  font: .75rem/1.55 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere;
}
code { font: inherit; }
"""

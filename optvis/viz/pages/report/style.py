"""The style of a report's page: light and dark, for wide and narrow windows."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfbf8; --ink: #24221f; --quiet: #6b665e; --line: #e4e0d8; --inset: #f4f1ea; --dots: #9b958a;
  --s0: #c75300; --s1: #1f6fb8; --s2: #2b8a62; --s3: #a4508b; --s4: #8a7a1f; --s5: #5b6b7a;
  --text: Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif;
  --small: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171614; --ink: #e8e4dc; --quiet: #a09a8f; --line: #33302b; --inset: #201e1b; --dots: #857e73;
    --s0: #f08a3c; --s1: #5aa9ea; --s2: #4fbf90; --s3: #d483bc; --s4: #c9b64a; --s5: #94a5b5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 1040px; padding: clamp(1.5rem, 5vw, 4rem) clamp(1rem, 4vw, 2.5rem) 2.5rem;
  background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 var(--text); overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: clamp(1.8rem, 4.5vw, 2.9rem); font-weight: 400; line-height: 1.12; letter-spacing: -.015em; }
h2 { margin: 0 0 .35rem; font-size: 1.45rem; font-weight: 400; line-height: 1.3; }
h3 { margin: 1.6rem 0 .5rem; font: 600 .8125rem/1.4 var(--small); }
h3 small { color: var(--quiet); font-weight: 400; font-size: inherit; margin-left: .35em; }
p { max-width: 42rem; margin: 0 0 .9rem; text-wrap: pretty; }
section { margin-top: 3rem; padding-top: 1.6rem; border-top: 1px solid var(--line); }
section > p { color: var(--quiet); }

.figures { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1.5rem; margin: 2rem 0 0; }
.figures div { display: flex; flex-direction: column; border-top: 2px solid var(--line); padding-top: .7rem; }
.figures .own { border-color: var(--s0); }
dt { order: 2; font: .8125rem/1.4 var(--small); color: var(--quiet); }
dd { margin: 0; font-size: clamp(1.5rem, 3.4vw, 2.1rem); line-height: 1.25; font-variant-numeric: tabular-nums; }
dd s { color: var(--quiet); text-decoration: none; }
.warnings {
  margin: 2rem 0 0; padding: .8rem 1rem .8rem 2rem; border-left: 3px solid var(--s0); background: var(--inset);
  font: .875rem/1.5 var(--small);
}

.bars { margin: 1.1rem 0 0; font: .8125rem/1.4 var(--small); }
.bar {
  display: grid; grid-template-columns: minmax(7rem, 13rem) 3rem minmax(0, 1fr) 11.5rem; gap: 0 1rem;
  align-items: center; padding: .3rem 0;
}
.bar .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar.own .name { font-weight: 600; }
.bar .count, .bar .value { color: var(--quiet); font-variant-numeric: tabular-nums; }
.bar .count { text-align: right; }
.bar .value b { color: var(--ink); font-weight: 600; }
.bar.head { color: var(--quiet); padding-bottom: .2rem; }
.bar.head .scale { display: flex; justify-content: space-between; margin: 0 5px; font-size: .75rem; }
.track { position: relative; height: 1.1rem; margin: 0 5px; }
.track::before { content: ""; position: absolute; inset: 50% 0 auto; border-top: 1px solid var(--line); }
.track i { position: absolute; top: 50%; }
.track .interval { height: .5rem; margin-top: -.25rem; border-radius: .25rem; background: var(--tint); opacity: .22; }
.track .change { border-top: 2px solid var(--tint); margin-top: -1px; }
.track .before, .track .after {
  width: 10px; height: 10px; margin: -5px; border-radius: 50%; border: 2px solid var(--tint);
}
.track .before { background: var(--paper); }
.track .after { background: var(--tint); }
.bar { --tint: var(--s1); }
.bar.own { --tint: var(--s0); }

.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 2.5rem; margin: 1.25rem 0 0; }
figure { min-width: 0; margin: 0; }
figcaption { margin: 0 0 .4rem; font: 600 .8125rem/1.4 var(--small); }
figcaption span { display: block; color: var(--quiet); font-weight: 400; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--quiet); font: 12px var(--small); font-variant-numeric: tabular-nums; }
svg .own { fill: var(--s0); font-weight: 600; }
.grid { stroke: var(--line); }
.s0 { --tint: var(--s0); } .s1 { --tint: var(--s1); } .s2 { --tint: var(--s2); }
.s3 { --tint: var(--s3); } .s4 { --tint: var(--s4); } .s5 { --tint: var(--s5); }
.curve { fill: none; stroke: var(--tint); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.curve.s0 { stroke-width: 3; }
.curve.dotted { stroke-width: 2; stroke-dasharray: .1 5; }
.band { fill: var(--tint); opacity: .13; }
.point { fill: var(--tint); }
.random { fill: var(--dots); }
.cloud { fill: var(--dots); opacity: .5; }
.mark { stroke: var(--s0); stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; margin: 1rem 0 0; padding: 0; list-style: none; }
.legend li { display: flex; align-items: baseline; gap: .45rem; min-width: 0; font: .8125rem/1.4 var(--small); }
.legend i { flex: none; width: 1.1rem; border-top: 3px solid var(--tint); transform: translateY(-.25em); }

table { width: 100%; border-collapse: collapse; font: .8125rem/1.35 var(--small); table-layout: fixed; }
th { padding: .2rem .75rem .2rem 0; color: var(--quiet); font-weight: 400; text-align: left; }
td { padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); vertical-align: middle; }
td data { display: inline-block; min-width: 3.2rem; color: var(--quiet); font-variant-numeric: tabular-nums; }
.thumb { width: 3.9rem; }
.thumb img { display: block; width: 3rem; height: auto; border-radius: 3px; }
.file { width: 24%; color: var(--quiet); }
.state { width: 4rem; color: var(--quiet); }
.lost .after, .lost .state { color: var(--s0); font-weight: 600; }
.gained .after, .gained .state { color: var(--s2); font-weight: 600; }
details { margin-top: .8rem; }
summary { cursor: pointer; font: .8125rem/1.5 var(--small); }
footer {
  margin-top: 3rem; padding-top: 1.25rem; border-top: 1px solid var(--line); color: var(--quiet);
  font: .8125rem/1.5 var(--small);
}
pre {
  margin: .6rem 0 1rem; padding: .6rem .8rem; border-radius: 4px; background: var(--inset); color: var(--ink);
  font: .75rem/1.55 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere;
}
code { font: inherit; }
@media (max-width: 720px) {
  .figures { gap: 1rem; grid-template-columns: minmax(0, 1fr); margin-top: 1.5rem; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .bar { grid-template-columns: minmax(0, 1fr) auto; gap: 0 .75rem; padding: .35rem 0; }
  .bar .count { display: none; }
  .bar .track, .bar .scale { grid-column: 1 / 3; grid-row: 2; }
  .bar.head .value, .bar.head .name { display: none; }
  .file, .state { display: none; }
  .thumb { width: 3.4rem; }
  .thumb img { width: 2.6rem; }
  td data { display: block; }
  section { margin-top: 2.2rem; padding-top: 1.3rem; }
}
@media print { details > * { display: block; } tr, figure { break-inside: avoid; } }
"""

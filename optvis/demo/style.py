"""The style of the page, for light and dark mode and for wide and narrow windows."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfbf8; --ink: #24221f; --quiet: #6b665e; --line: #e4e0d8; --inset: #f4f1ea;
  --text: Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif;
  --small: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #171614; --ink: #e8e4dc; --quiet: #a09a8f; --line: #33302b; --inset: #201e1b; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 1100px; padding: clamp(2rem, 6vw, 5rem) clamp(1rem, 4vw, 2.5rem) 3rem;
  background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 var(--text); overflow-wrap: break-word;
}
h1 { margin: 0; font-size: clamp(2.1rem, 5.5vw, 3.4rem); font-weight: 400; line-height: 1.1; letter-spacing: -.015em; }
h2 { margin: 0 0 .4rem; font-size: 1.6rem; font-weight: 400; line-height: 1.25; letter-spacing: -.005em; }
h3 { margin: 2.5rem 0 .7rem; font: 600 .875rem/1.4 var(--small); }
p { max-width: 42rem; margin: 0 0 1rem; text-wrap: pretty; }
.lead { margin-top: 1.1rem; font-size: 1.25rem; line-height: 1.5; color: var(--quiet); }
section, footer { margin-top: 4rem; padding-top: 2rem; border-top: 1px solid var(--line); }
figure { margin: 1.5rem 0 0; }
h3 + figure { margin-top: 0; }
ul {
  display: grid; grid-template-columns: repeat(var(--wide), minmax(0, 1fr)); gap: .9rem .75rem;
  margin: 0; padding: 0; list-style: none;
}
li { font: .8125rem/1.35 var(--small); }
img {
  display: block; width: 100%; height: auto; margin-bottom: .35rem; border-radius: 3px; background: var(--inset);
  image-rendering: auto;
}
li b { display: block; font-weight: 500; }
li span { color: var(--quiet); font-variant-numeric: tabular-nums; }
figcaption { margin-top: 1rem; color: var(--quiet); font-size: .9375rem; line-height: 1.5; }
figcaption p { margin-bottom: .5rem; }
.file { white-space: nowrap; font: .8125rem var(--mono); }
pre {
  margin: 0 0 1rem; padding: .6rem .8rem; border-radius: 4px; background: var(--inset); color: var(--ink);
  font: .8125rem/1.55 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere;
}
code { font: inherit; }
footer { color: var(--quiet); }
footer h2 { color: var(--ink); }
footer p:last-child { margin: 2rem 0 0; font: .8125rem/1.4 var(--small); }
@media (max-width: 760px) {
  ul { grid-template-columns: repeat(var(--narrow), minmax(0, 1fr)); gap: .7rem .5rem; }
  li { font-size: .75rem; }
  section, footer { margin-top: 3rem; padding-top: 1.5rem; }
}
@media print { pre { border: 1px solid var(--line); } li, h3 { break-inside: avoid; } }
"""

"""Style sheets of the report: one for the page, one that keeps to the report."""

__all__ = ["PAGE", "SCOPED"]


# Only a document of its own sets colours; in a notebook they are inherited.
PAGE = """
:root { color-scheme: light dark; --paper: #f4f5f7; --ink: #1c2127; --card: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e4e7eb; --card: #1d2127; }
}
@media print { :root { --paper: #ffffff; --ink: #000000; --card: #ffffff; } }
html { background: var(--paper); color: var(--ink); }
body {
  margin: 0 auto; max-width: 78rem; padding: 2rem clamp(1rem, 4vw, 3rem) 3rem;
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
}
@page { margin: 15mm; }
@media print { html { font-size: 75%; } body { padding: 0; } }
"""

# "&" stands for the class of the report; text has the colour of what is around it.
SCOPED = """
& { --bar: #4482bd; --good: #2f8f5b; --bad: #c2612c; line-height: 1.5; }
& * { box-sizing: border-box; }
& :is(h1, h2, h3, h4, h5) { margin: 0; line-height: 1.25; text-wrap: balance; }
& h1 { font-size: 1.9rem; letter-spacing: -0.01em; }
& .section { margin-top: 2.25rem; }
& .section > :is(h2, h4) { font-size: 1.25rem; margin-bottom: 0.75rem; }
& p { margin: 0.4rem 0; max-width: 50rem; text-wrap: pretty; }
& .quiet { opacity: 0.78; }
& bdi { white-space: pre-wrap; overflow-wrap: anywhere; }
& .sr {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap;
}
& .tiles {
  display: grid; gap: 0.75rem; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));
}
& :is(.tile, .card, .panel) {
  background: var(--card, transparent); border: 1px solid rgb(128 128 128 / 0.35);
  border-radius: 0.6rem;
}
& .tile { padding: 0.7rem 0.9rem; display: flex; flex-direction: column; }
& .tile dt { font-size: 0.82rem; opacity: 0.78; margin: 0; font-weight: 400; }
& .tile dd { margin: auto 0 0; font-size: 1.5rem; font-weight: 600; }
& .tile small {
  display: inline-block; font-size: 0.82rem; font-weight: 400; line-height: 1.2;
  opacity: 0.78;
}
& .ways { list-style: none; margin: 0.9rem 0 0; padding: 0; }
& .panel { padding: 0.5rem 1rem 0.75rem; overflow-x: auto; }
& table {
  border-collapse: collapse; border: 0; margin: 0; width: 100%; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; table-layout: auto;
}
& caption {
  caption-side: top; color: inherit; font-size: 0.85rem; opacity: 0.78;
  padding: 0.35rem 0; text-align: start;
}
& :is(th, td) {
  background: none; border: 0; border-top: 1px solid rgb(128 128 128 / 0.25);
  max-width: none; padding: 0.4rem 0.9rem 0.4rem 0; text-align: start;
  vertical-align: top; white-space: normal;
}
& :is(th, td):last-child { padding-inline-end: 0; }
& thead th {
  border-top: 0; font-size: 0.82rem; font-weight: 400; opacity: 0.78;
  vertical-align: bottom;
}
& th[scope="row"] { font-weight: 500; }
& th bdi { overflow-wrap: break-word; }
& .cards {
  display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr));
}
& .card {
  border-inline-start: 4px solid var(--good); padding: 0.9rem 1.1rem 0.8rem;
  break-inside: avoid; overflow-x: auto;
}
& .card.failed { border-inline-start: 4px dashed var(--bad); }
& .top { display: flex; gap: 0.75rem; justify-content: space-between; }
& .top :is(h3, h5) { font-size: 1.05rem; }
& .top .quiet { font-weight: 400; }
& .state { flex: none; font-size: 0.85rem; font-weight: 600; }
& .state svg { height: 1.05em; width: 1.05em; vertical-align: -0.15em; }
& .good svg { color: var(--good); }
& .bad svg { color: var(--bad); }
& .card p { margin: 0.1rem 0 0.4rem; }
& .card caption { padding: 0; }
& .card thead th { white-space: nowrap; }
& .card :is(th, td) { width: 32%; }
& .mark { display: block; font-size: 0.8rem; font-weight: 400; opacity: 0.78; }
& .mark svg { height: 0.95em; width: 0.95em; vertical-align: -0.1em; }
& .figures {
  border-top: 1px solid rgb(128 128 128 / 0.25); display: flex; flex-wrap: wrap;
  gap: 0.2rem 1.2rem; margin: 0; padding-top: 0.55rem;
}
& .figures div { display: flex; flex-direction: column-reverse; }
& .figures dt { font-size: 0.78rem; font-weight: 400; opacity: 0.78; margin: 0; }
& .figures dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
& details { margin-top: 0.5rem; }
& summary { cursor: pointer; font-size: 0.88rem; padding: 0.15rem 0; }
& summary:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
& .share { min-width: 6.5rem; }
& .share svg { display: block; height: 0.45rem; margin-top: 0.2rem; width: 100%; }
& .share rect { fill: var(--bar); }
& .share .rest { fill: rgb(128 128 128 / 0.2); }
& .glossary { display: grid; gap: 0.15rem 1.25rem; margin: 0; max-width: 60rem; }
& .glossary dt { font-weight: 600; margin-top: 0.4rem; }
& .glossary dd { margin: 0; }
@media (min-width: 42rem) {
  & .glossary { grid-template-columns: max-content 1fr; }
  & .glossary dt { margin: 0; }
}
@media print {
  & .cards { display: block; }
  & .card { margin-bottom: 1rem; }
  & .ways { list-style: none; margin: 0.9rem 0 0; padding: 0; }
& .panel { overflow: visible; }
  & details::details-content { content-visibility: visible; block-size: auto; }
}
""".replace("&", ".skct-report")

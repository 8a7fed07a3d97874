"""A report as one HTML page: no script and nothing from the network; every plot has its values as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.charts import STYLE
from homeostat.charts.style import DARK, LIGHT
from homeostat.charts.text import safe
from homeostat.jobs.evaluation.markup import paragraphs, table
from homeostat.jobs.evaluation.sections import sections
from homeostat.jobs.evaluation.words import NAMES, fault, figures_of, interval, lacking, shown_segments, worst_case

_STYLE = (
    f":root{{color-scheme:light dark;--paper:{LIGHT.paper};--ink:{LIGHT.ink};--soft:{LIGHT.soft};--grid:{LIGHT.grid}}}"
    f"@media (prefers-color-scheme:dark){{:root{{--paper:{DARK.paper};--ink:{DARK.ink};--soft:{DARK.soft};"
    f"--grid:{DARK.grid}}}}}@media print{{:root{{color-scheme:light;--paper:{LIGHT.paper};--ink:{LIGHT.ink};"
    f"--soft:{LIGHT.soft};--grid:{LIGHT.grid}}}}}"
    "body{background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;"
    "max-width:960px;padding:0 1em}h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em}h3{font-size:1em}"
    "dl{display:grid;grid-template-columns:minmax(8em,max-content) minmax(14em,1fr);gap:.2em 1.2em}"
    "dt{color:var(--soft)}dd{margin:0}@media (max-width:600px){dl{display:block}dd{margin:0 0 .4em}}"
    "a{color:inherit}nav ul{display:flex;flex-wrap:wrap;gap:.3em 1.2em;list-style:none;padding:0}"
    ".wide{overflow-x:auto;margin:1em 0}:focus-visible{outline:2px solid var(--ink);outline-offset:2px}"
    "section>.wide>table,header table{border-collapse:collapse}caption{text-align:left;font-weight:600;padding:.4em 0}"
    "td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}"
    "section>.wide td{font-variant-numeric:tabular-nums}"
    "tbody tr{border-top:1px solid var(--grid)}.soft{color:var(--soft)}"
    ".skip{position:absolute;left:-99em}.skip:focus{position:static}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_page(report: Mapping[str, Any]) -> str:
    """The page of an evaluation. All text from apps and data is escaped."""
    return document(f"{report['app']}: evaluation of {report['version']}", _summary(report), sections(report))


def document(title: str, summary: str, found: Sequence[tuple[str, str, str]]) -> str:
    """A page of sections.

    summary : HTML, about one screen
    found : of each section a key for links, its name, and its HTML
    """
    links = "".join(f'<li><a href="#{key}">{safe(name)}</a></li>' for key, name, _ in found)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{safe(name)}</h2>{text}</section>\n'
        for key, name, text in found
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe(title)}</title><style>{_STYLE}\n{STYLE}</style></head><body>"
        '<a class="skip" href="#main">Skip to the figures</a>'
        f"<header><h1>{safe(title)}</h1>{summary}</header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main id="main">{body}</main></body></html>\n'
    )


def _summary(report: Mapping[str, Any]) -> str:
    """About one screen: what was evaluated, the verdicts, and the figures that matter most."""
    return paragraphs(_lines(report)) + _compared(report)


def _lines(report: Mapping[str, Any]) -> list[str]:
    quality, fairness, judged = report["quality"], report["fairness"], report["judgement"]
    lines = [
        f"{quality['decisions']:,} events from {report['from']} until {report['until']}; the outcomes of "
        f"{quality['known']:,} count, {quality['positives']:,} of them positive."
    ]
    lines += [f"Decisions that lacked a part: {lacking(report)}."] if lacking(report) else []
    if judged is not None:
        lines.append(f"Beside {report['against']['version']}: {judged['verdict']}. {judged['why']}.")
    lines.append(f"Fairness: {fairness['verdict'] or fairness['why']}.")
    shown = shown_segments(report)
    first = f", first {' and '.join(shown[0][1]['segment'])} by {shown[0][0]}" if shown else ""
    lines.append(f"{len(shown)} segments are shown to fare worse than the rest{first}.")
    worst = worst_case(report)
    if worst is not None:
        measure, case = worst
        name = NAMES[measure.removesuffix("_change")]
        lines.append(f"The worst fault is {fault(case)}: change of {name} {interval(case[measure])}.")
    return [*lines, *(f"Warning: {warning}" for warning in report["warnings"])]


def _compared(report: Mapping[str, Any]) -> str:
    """The figures, beside those of the other version where there is one."""
    mine, caption = figures_of(report), "Figures with 95 % intervals"
    if report["against"] is None:
        return table(caption, ("figure", "value"), [(NAMES[name], interval(one)) for name, one in mine.items()])
    theirs, rows = figures_of(report["against"]), []
    for name, one in mine.items():
        difference = report["paired"][name]
        better = {"version": "this version", "against": "the other one", None: "not shown"}[difference["better"]]
        rows.append((NAMES[name], interval(one), interval(theirs[name]), interval(difference), better))
    return table(caption, ("figure", "this version", "the other one", "difference, paired", "better"), rows)

"""An evaluation on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from homeostat.adapters.process.printable import printable
from homeostat.jobs.evaluation.words import (
    NAMES,
    fault,
    figures_of,
    interval,
    lacking,
    percent,
    plain,
    shown_segments,
    worst_case,
)

_WIDTH = 79
_SEGMENTS_MAX = 3


def lines(report: Mapping[str, Any]) -> list[str]:
    """The rows of the screen, the figures first."""
    return [
        row
        for line in _lines(report)
        for row in (wrap(printable(line), _WIDTH, subsequent_indent="  ") or [""])
    ]  # fmt: skip


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    quality, paired, judged = report["quality"], report["paired"], report["judgement"]
    yield f"{report['app']} {report['version']}"
    yield f"{quality['decisions']:,} events from {report['from']} until {report['until']}"
    yield (
        f"outcomes: {quality['known']:,} count ({quality['positives']:,} positive), "
        f"{quality['too_young']:,} too young, {quality['without_outcome']:,} unknown"
    )
    for name, one in figures_of(report).items():
        beside = "" if paired is None else f"; less the other one {interval(paired[name])}"
        yield f"{NAMES[name]}: {interval(one)}{beside}"
    yield "actions " + ", ".join(f"{one['action']} {percent(one['rate']['value'])}" for one in quality["actions"])
    if lacking(report):
        yield f"decisions that lacked a part: {lacking(report)}"
    latency = report["latency_us"]
    yield "latency (p50 / p99) " + ", ".join(
        f"{plain(one['p50']['value'])} / {plain(one['p99']['value'])} us {one['rows']} at a time"
        for one in latency.values()
    )
    shown = shown_segments(report)
    yield f"segments shown to fare worse than the rest: {len(shown)}"
    for loss, one in shown[:_SEGMENTS_MAX]:
        yield f"  {' and '.join(one['segment'])}: {loss} {interval(one['excess'])} above the rest"
    worst = worst_case(report)
    if worst is not None:
        measure, case = worst
        name = NAMES[measure.removesuffix("_change")]
        yield f"worst fault: {fault(case)}: change of {name} {interval(case[measure])}"
    fairness = report["fairness"]
    yield f"fairness: {fairness['verdict'] or fairness['why']}"
    if judged is not None:
        yield f"beside {report['against']['version']}: {judged['verdict']}: {judged['why']}"
    for warning in report["warnings"]:
        yield f"warning: {warning}"

"""Histograms of both tables -> the drift of each column."""

from __future__ import annotations

from collections.abc import Mapping

from homeostat.jobs.table_monitor.reference import Known, Reference
from homeostat.jobs.table_monitor.result import Column
from homeostat.records.arrays import Int
from homeostat.stats.drift.codes import MISSING
from homeostat.stats.drift.distance import of_categories, of_numbers
from homeostat.stats.drift.verdicts import DriftVerdict, judge

_METHODS = {"number": "Kuiper distance", "category": "total variation distance"}


def compared(known: Reference, histograms: Mapping[str, Int], target: str | None) -> tuple[Column, ...]:
    """The drift of each shared column. Missing labels are no drift: they are late."""
    tests = max(1, len(histograms))
    return tuple(
        _column(name, known.columns[name], rows, tests, late=name == target) for name, rows in histograms.items()
    )


def _column(name: str, known: Known, rows: Int, tests: int, late: bool) -> Column:
    n, m = int(rows.sum()), int(known.histogram.sum())
    missing, reference_missing = _share(rows, n), _share(known.histogram, m)
    if known.coder is None:
        why = "the reference has no rows" if not m and not n else "lists and structures are not compared"
        return Column(name, float("nan"), 0.0, 1.0, n, "none", DriftVerdict.NOT_ENOUGH_DATA.value, float("nan"), m,
                      missing, reference_missing, why)  # fmt: skip
    here, there = rows, known.histogram
    if late:
        here, there = here.copy(), there.copy()
        here[MISSING] = there[MISSING] = 0
    measure = of_numbers if known.coder.kind == "number" else of_categories
    found = measure(there, here, tests)
    judged = judge(found, known.own)
    return Column(
        name, found.size, found.low, found.high, found.n, _METHODS[known.coder.kind], judged.verdict.value,
        judged.threshold, found.reference_n, missing, reference_missing, judged.why,
    )  # fmt: skip


def _share(rows: Int, n: int) -> float:
    return float(rows[MISSING]) / n if n else float("nan")

"""The figures of a replay's report by group of people, as the app's `fairness` section says."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.config.fair import Fair
from homeostat.config.plans import group_name, selected_actions
from homeostat.config.tree import App
from homeostat.jobs.report import Known
from homeostat.jobs.training import groups_of
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.verdicts import Verdict
from homeostat.stats.fairness import GROUPS_MAX, Bound, Decided, Fairness, Figure, Finding, assess


class ByGroup:
    """Gathers each decision's group, and compares the groups; only for an app with a `fairness` section."""

    def __init__(self, app: App, fair: Fair) -> None:
        self._app, self._fair = app, fair
        self._column = list(app.events.fields).index(fair.groups)
        selected = selected_actions(app)
        self._selecting = np.array([action in selected for action in app.actions])
        self._names: dict[float, str] = {}
        self._parts: list[tuple[Float, Mask, Float, Int]] = []

    def add(self, decisions: DecisionBatch) -> None:
        """Take a batch in; in the order in which `Gathered` takes them."""
        events = decisions.events
        value = events.numbers[:, self._column].copy()
        for code in np.unique(value[~np.isnan(value)]).tolist():
            if code not in self._names:
                self._names[code] = group_name(self._app, code, events.category_texts)
        selected = self._selecting[decisions.ruling.action.astype(np.int64)]
        self._parts.append((value, selected, decisions.fused.risk.copy(), groups_of(events).copy()))

    def figures(self, known: Known, priced: bool) -> dict[str, Any]:
        """Figures by group and the verdict of each bound, for the report; arguments as of `assessed`."""
        return shown(self._fair, *self.assessed(known, priced))

    def assessed(self, known: Known, priced: bool) -> tuple[Fairness, int]:
        """The groups compared, and how many groups were left out.

        known : whose outcome counts; priced : whether the app declares costs
        The largest groups are compared, GROUPS_MAX of them at most; a bound does not PASS beside others.
        """
        if not self._parts:
            value, selected, risk, person = np.empty(0), np.empty(0, np.bool_), np.empty(0), np.empty(0, np.int64)
        else:
            value, selected, risk, person = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        label, cost = np.full(len(value), np.nan), np.full(len(value), np.nan)
        label[known.rows], cost[known.rows] = known.y, known.cost["decided"]
        codes, rows = np.unique(value[~np.isnan(value)], return_counts=True)
        kept = sorted(codes[np.argsort(-rows, kind="stable")][:GROUPS_MAX].tolist(), key=lambda code: self._names[code])
        group = np.full(len(value), -1, np.int64)
        for index, code in enumerate(kept):
            group[value == code] = index
        names = tuple(self._names[code] for code in kept)
        people = Decided(names, group, selected, label, risk, cost if priced else None, person)
        fair = self._fair
        bounds = [Bound(b.measure, b.difference_max, b.ratio_min) for b in fair.bounds]
        return assess(people, bounds, fair.alpha, fair.persons_min), len(codes) - len(kept)


def shown(fair: Fair, found: Fairness, left_out: int) -> dict[str, Any]:
    """Figures by group and the verdict of each bound, as reports have them."""
    return {
        "groups": fair.groups,
        "alpha": fair.alpha,
        "persons_min": fair.persons_min,
        "verdict": _held(found.verdict, left_out),
        "without_group": found.unknown,
        "groups_left_out": left_out,
        "figures": [_figure(figure) for figure in found.figures],
        "bounds": [_finding(finding, left_out) for finding in found.findings],
    }


def _held(verdict: Verdict, left_out: int) -> str:
    """Groups that nobody looked at are no reason for a PASS."""
    return (Verdict.INCONCLUSIVE if left_out and verdict is Verdict.PASS else verdict).value


def _figure(figure: Figure) -> dict[str, Any]:
    interval = figure.interval()
    return {
        "measure": figure.measure,
        "group": figure.group,
        "value": _number(figure.value),
        "low": _number(interval.low),
        "high": _number(interval.high),
        "rows": figure.rows,
        "persons": figure.persons,
        "not_enough_data": figure.why or None,
    }


def _finding(finding: Finding, left_out: int) -> dict[str, Any]:
    bound = finding.bound
    return {
        "measure": bound.measure,
        "difference_max": bound.difference_max,
        "ratio_min": bound.ratio_min,
        "verdict": _held(finding.verdict, left_out),
        "difference": _number(finding.difference),
        "ratio": _number(finding.ratio),
        "why": finding.why,
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

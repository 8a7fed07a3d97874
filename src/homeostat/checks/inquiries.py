"""Incidents and recent traffic of payments, made up: quiet at first, until a test does one thing after the onset.

An author of a hypothesis tries it on these, see `homeostat.checks.hypotheses`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.maintain.contracts import Case
from homeostat.maintain.investigate.hypothesis import Hypothesis
from homeostat.maintain.investigate.investigator import CauseInvestigator
from homeostat.maintain.investigate.library import shipped
from homeostat.maintain.investigate.posterior import Table
from homeostat.ports.recent import Recent, Refused
from homeostat.ports.rehearsal import Again, CanNotRehearse
from homeostat.records.changes import Change
from homeostat.records.findings import Findings
from homeostat.records.incidents import Incident, Severity, Suspect
from homeostat.records.logged import LoggedChange
from homeostat.records.plans import Alteration
from homeostat.records.signals import Kind, Series, Signal

HOUR = 3_600 * 10**9
DAY = 24 * HOUR
START = 1_767_571_200 * 10**9
ONSET = START + 20 * DAY
NOW = ONSET + DAY
APP = load_app("payments")
GRAPH = causal_graph(APP)
UNCALIBRATED = Table((0.0, 1.0), (0.0, 1.0))


def quiet(n: int = 12_000, seed: int = 0) -> Recent:
    """Traffic of 21 days in which nothing is wrong: amounts by customer, and outcomes a week later."""
    rng = np.random.default_rng(seed)
    time = np.sort(START + rng.integers(0, NOW - START, n))
    customer, terminal = rng.integers(0, 300, n), rng.integers(0, 100, n)
    amount = np.round(np.exp(rng.normal(3.5, 0.5, 300))[customer] * np.exp(rng.normal(0, 0.4, n)), 2)
    features = ("amount", *(name for name in ("customer_count_1d", "ratio")))
    risk = rng.beta(1, 40, n)
    label = (rng.random(n) < np.where(risk > np.quantile(risk, 0.98), 0.7, 0.004)).astype(float)
    known = time + np.where(label == 1, rng.integers(DAY, 7 * DAY, n), 7 * DAY)
    there = known <= NOW
    return Recent(
        ("customer", "terminal"), ("amount",), ("number",), features, ("boosted",), APP.actions, ("payments-1+a",), NOW,
        7 * DAY, np.arange(n), time, time + 60 * 10**9, np.stack([customer, terminal], axis=1), amount[:, None],
        np.stack([amount, rng.poisson(3, n), rng.normal(1, 0.2, n)], axis=1), risk[:, None], risk,
        (risk > 0.1).astype(np.int16), (risk > 0.1).astype(np.int16), np.full(n, -1, np.int16), np.zeros(n, np.uint8),
        np.exp(rng.normal(5, 0.2, n)), np.zeros(n, np.int64), np.zeros(n, np.uint8), np.zeros(n, np.int64),
        np.where(there, label, np.nan), np.where(there, known, 0), {}, (),
    )  # fmt: skip


def after(recent: Recent) -> np.ndarray:
    """(n,) whether each event came after the onset."""
    return np.asarray(recent.arrived_ns > ONSET)


def with_amount(recent: Recent, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Recent:
    """The same with other amounts: change(amounts, whether after the onset)."""
    return replace(recent, numbers=change(recent.numbers[:, 0], after(recent))[:, None])


def signal(node: str, kind: Kind, name: str = "share", **fields: Any) -> Signal:
    """A signal that began at the onset."""
    series = Series("test", node, kind, name)
    given: dict[str, Any] = {
        "id": f"{node}{kind}{name}", "series": series, "at_ns": NOW, "since_ns": ONSET, "since_low_ns": ONSET - HOUR,
        "since_high_ns": ONSET + HOUR, "e_value": 1e6, "p_value": 1e-6, "value": 1.0, "before": 0.0, "effect": 1.0,
        "low": 0.5, "high": 1.5, "n": 100, "method": "test", "from_ns": ONSET, "to_ns": NOW,
    }  # fmt: skip
    return Signal(**{**given, **fields})


def case(
    signals: Sequence[Signal], suspects: Sequence[tuple[str, str, float]] = (), changes: Sequence[Change] = (),
    logged: Sequence[LoggedChange] = (),
) -> Case:  # fmt: skip
    """An incident of these signals."""
    incident = Incident(
        "i1", "payments", 1, ONSET + HOUR, NOW, ONSET, Severity.MEDIUM, tuple(one.id for one in signals),
        suspects=tuple(Suspect(*one) for one in suspects),
    )  # fmt: skip
    return Case(incident, tuple(signals), tuple(changes), tuple(logged), NOW)


class Fixed:
    """A `RecentTraffic` that has one answer."""

    def __init__(self, recent: Recent) -> None:
        self.recent = recent

    def until(self, now_ns: int) -> Recent:
        """The answer."""
        return self.recent


class Replays:
    """A `Rehearsal` over recent traffic: `alter(risk, action, features, alterations)` is what a replay makes of it."""

    def __init__(self, recent: Recent, alter: Callable[..., Any] | None = None) -> None:
        self.recent, self.alter, self.asked = recent, alter, 0

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        """The span, decided again."""
        self.asked += 1
        if self.alter is None:
            raise CanNotRehearse("this test has no rehearsal")
        r, at = self.recent, np.flatnonzero((self.recent.arrived_ns > from_ns) & (self.recent.arrived_ns <= until_ns))
        risk, action, features = self.alter(
            r.risk[at].copy(), r.action[at].copy(), r.served[at].copy(), alterations, r.arrived_ns[at]
        )
        none = np.zeros((len(at), 0))
        return Again(
            r.features, r.id_code[at], r.time_ns[at], r.keys[at], r.risk[at], r.action[at], r.served[at], risk, action,
            features, r.label[at], none, none, np.ones(len(at), bool),
        )  # fmt: skip


def same(risk: Any, action: Any, features: Any, alterations: Any, came: Any) -> Any:
    """A replay that comes to the same."""
    return risk, action, features


def investigated(
    recent: Recent, of: Any, rehearsal: Replays | None = None, hypotheses: Sequence[Hypothesis] | None = None,
    steps_max: int = 120,
) -> Findings:  # fmt: skip
    """The findings of a case."""
    return investigator(recent, rehearsal, hypotheses, steps_max).investigate(of)


def investigator(
    recent: Recent, rehearsal: Replays | None = None, hypotheses: Sequence[Hypothesis] | None = None,
    steps_max: int = 120,
) -> CauseInvestigator:  # fmt: skip
    """One on recent traffic."""
    known = shipped() if hypotheses is None else hypotheses
    return CauseInvestigator(GRAPH, Fixed(recent), rehearsal, known, steps_max, UNCALIBRATED)


def refused(recent: Recent, rows: np.ndarray, field: str, reason: str, value: str) -> Recent:
    """The same without some rows, which were refused."""
    letters = tuple(Refused(int(at), field, reason, value) for at in recent.arrived_ns[rows])
    columns = {
        name: getattr(recent, name)[~rows]
        for name in (
            "id_code", "time_ns", "arrived_ns", "keys", "numbers", "served", "scores", "risk", "action", "proposed",
            "rule", "fallback", "took_us", "settings", "late", "version", "label", "known_ns",
        )
    }  # fmt: skip
    return replace(recent, **columns, refused=letters)

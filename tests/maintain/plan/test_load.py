"""The use of remedies against load and slowness is measured on traffic, and no money is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from homeostat.maintain.contracts import Case
from homeostat.maintain.plan.load import effect_of_lighter, effect_of_limit, ranks
from homeostat.maintain.plan.planner import RemedyPlanner
from homeostat.maintain.plan.remedies import Means
from homeostat.ports.rehearsal import Again
from homeostat.records.causes import Cause
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.incidents import Incident, Severity
from homeostat.records.plans import Alteration, Plan, Remedy

HOUR = 3_600_000_000_000
MEANS = Means(("allow", "review", "block"), ("forest", "rules"), ("policy",), safe="review")
CASE = Case(
    Incident("i1", "shop", 1, 100 * HOUR, 100 * HOUR, 90 * HOUR, Severity.HIGH, ("s1",)), (), (), (), 102 * HOUR
)


def flood(bots: int, label: float = np.nan, refused: Sequence[int] = (99,)) -> Again:
    """Ten hours of 100 people with two events each an hour, and of entity 99 with `bots` an hour.

    Those that are refused have each event after the fifth of an hour blocked.
    """
    a_hour = [*np.repeat(np.arange(50), 2).tolist(), *[99] * bots]
    key = np.tile(a_hour, 10)
    n = len(key)
    time = np.sort(np.linspace(0, 10 * HOUR - 1, n).astype(np.int64))
    over = np.isin(key, refused) & (ranks(key, time // HOUR) >= 5)
    positive, negative = np.tile([20.0, 4.0, 0.0], (n, 1)), np.tile([0.0, 1.0, 5.0], (n, 1))
    none, risk, served = np.zeros((n, 0)), np.full(n, 0.05), np.zeros(n, np.int16)
    return Again(
        (), np.arange(n), time, key[:, None], risk, served, none, risk, np.where(over, 2, 0).astype(np.int16), none,
        np.full(n, label), positive, negative, np.ones(n, np.bool_), took_us=np.full(n, 200.0),
    )  # fmt: skip


def test_a_row_is_ranked_among_the_earlier_ones_of_its_key_and_span() -> None:
    rng = np.random.default_rng(3)
    key, span = rng.integers(0, 4, 200), np.sort(rng.integers(0, 5, 200))
    naive = [sum(key[i] == key[j] and span[i] == span[j] for i in range(j)) for j in range(200)]
    assert ranks(key, span).tolist() == naive and ranks(key[:0], span[:0]).tolist() == []


def test_a_limit_is_worth_the_events_that_it_keeps_off() -> None:
    found = effect_of_limit(flood(500), [99], 5, HOUR, 3).rehearsed
    assert found.how == "load" and found.effect == pytest.approx(495, rel=0.02) and 450 < found.low < found.high < 540


def test_a_limit_that_reaches_as_many_others_is_worth_nothing() -> None:
    assert effect_of_limit(flood(500), [98], 5, HOUR, 3).rehearsed.high < 0
    assert effect_of_limit(flood(4), [99], 5, HOUR, 3).rehearsed.effect == 0


def test_outcomes_that_are_known_speak_against_a_limit_on_honest_senders() -> None:
    found = effect_of_limit(flood(500, label=0.0), [99], 5, HOUR, 3).rehearsed
    assert found.how == "replay" and found.high < 0


def lighter(now_us: float, other_us: float, hours: int = 10) -> tuple[Again, Again]:
    now = flood(100, refused=())
    rows = now.time_ns < hours * HOUR
    now = Again(*(getattr(now, name)[rows] if isinstance(getattr(now, name), np.ndarray) else getattr(now, name)
                  for name in now.__slots__))  # fmt: skip
    n, noise = len(now), np.random.default_rng(1).normal(0, 5, len(now))
    return replace(now, took_us=np.full(n, now_us) + noise), replace(now, took_us=np.full(n, other_us) - noise)


def test_a_part_that_is_left_out_is_worth_the_time_that_it_took() -> None:
    found = effect_of_lighter(*lighter(1000.0, 400.0), 3)
    assert found is not None and found.rehearsed.how == "load"
    assert found.rehearsed.effect == pytest.approx(200 * 600 / 1e6, rel=0.05) and found.rehearsed.low > 0
    none = effect_of_lighter(*lighter(1000.0, 1000.0), 3)
    assert none is not None and none.rehearsed.low < 0 < none.rehearsed.high


def test_without_times_or_with_a_few_hours_nothing_is_claimed() -> None:
    now, other = lighter(1000.0, 400.0)
    assert effect_of_lighter(replace(now, took_us=None), other, 3) is None
    short = effect_of_lighter(*lighter(1000.0, 400.0, hours=3), 3)
    assert short is not None and short.rehearsed.how == "none"


def test_a_part_whose_loss_costs_money_is_weighed_in_money() -> None:
    now, other = lighter(1000.0, 400.0)
    blocking = replace(other, action=np.full(len(other), 2, np.int16))  # Good people are blocked without it.
    found = effect_of_lighter(now, blocking, 3)
    assert found is not None and found.rehearsed.how == "replay" and found.rehearsed.high < 0


class Stage:
    """A rehearsal that gives back the same for any alteration."""

    def __init__(self, found: Again) -> None:
        self.found = found

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        return self.found


def planned(stage: Stage, finding: Finding) -> Plan:
    found = Findings("i1", 102 * HOUR, Conclusion.CAUSE, (finding,), ((finding.node, finding.kind, 0.95),), 4)
    return RemedyPlanner(stage, MEANS, 3).plan(CASE, found)


def test_a_plan_for_a_flood_carries_its_measure_and_its_guard() -> None:
    about = {"entity": "customer", "count": 5, "per": "1h", "per_ns": HOUR, "entities": [99]}
    finding = Finding("source", str(Cause.FLOOD), 0.95, 92 * HOUR, about=about)
    step = planned(Stage(flood(500)), finding).steps[0]
    assert step.remedy is Remedy.RATE_LIMIT and step.rehearsed.how == "load" and step.rehearsed.low > 0
    assert step.cost == 0 and step.expects["metric"] == "load" and step.expects["mix"][-1] > 0.5
    honest = planned(Stage(flood(500, label=0.0)), finding).steps[0]
    assert honest.remedy is Remedy.RATE_LIMIT and honest.rehearsed.high < 0  # A person weighs load against money.

"""The alarm scale keeps to its budget, finds changes, and continues after a restart bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.maintain.monitor.scale import ADOPTED_NS, DAY_NS, HOUR_NS, Scale, Span
from homeostat.records.arrays import Float, State
from homeostat.records.signals import Kind, Measured, Series, Signal

BEGIN_NS = 1_704_067_200_000_000_000  # A Monday.
HOURS = 24


def shares(k: int, seasonal: bool = False) -> list[Series]:
    """k series of shares."""
    return [Series("contract", f"field:f{i}", Kind.MISSING, "share", seasonal=seasonal) for i in range(k)]


def drawn(rng: np.random.Generator, p: Float, n: Float) -> Measured:
    """Shares of n as chance makes them."""
    return Measured(rng.binomial(n.astype(int), p) / n, n, np.full(len(n), np.nan))


def run(scale: Scale, rng: np.random.Generator, p: Float, begin: int = 0, n: float = 90.0) -> list[Signal]:
    """Hourly shares, p (ticks, k)."""
    found = []
    for t in range(len(p)):
        size = np.full(p.shape[1], float(max(rng.poisson(n), 1)))
        found += scale.take(BEGIN_NS + (begin + t + 1) * HOUR_NS, drawn(rng, p[t], size))
    return found


@pytest.mark.long
def test_a_quiet_past_raises_at_most_its_budget() -> None:
    alarms = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        scale = Scale("a", shares(30), HOUR_NS)
        hour = np.arange(60 * HOURS)[:, None]
        day = 1 + 0.5 * np.sin(2 * np.pi * hour / 24)
        slow = np.cumsum(rng.normal(0, 0.002, (60 * HOURS, 30)), axis=0)
        base = rng.choice([0.0, 0.01, 0.1, 0.3], 30)
        alarms += len({one.id for one in run(scale, rng, np.clip(base * day * np.exp(slow), 0, 1))})
    assert alarms <= 3 * 2


@pytest.mark.parametrize(("after", "within"), [(0.5, 4), (0.2, 12), (0.14, 72)])
def test_a_change_is_found_with_its_size_and_start(after: float, within: int) -> None:
    rng = np.random.default_rng(7)
    scale = Scale("a", shares(20), HOUR_NS)
    assert not run(scale, rng, np.full((21 * HOURS, 20), 0.1))
    p = np.full((5 * HOURS, 20), 0.1)
    p[:, 3] = after
    found = run(scale, rng, p, 21 * HOURS)
    assert {one.series.node for one in found} == {"field:f3"}
    first = found[0]
    onset = BEGIN_NS + 21 * DAY_NS
    assert first.at_ns - onset <= within * HOUR_NS
    assert first.since_low_ns <= onset + HOUR_NS and first.since_high_ns >= onset - HOUR_NS
    assert first.low - 0.03 <= after - 0.1 <= first.high + 0.03
    assert first.before == pytest.approx(0.1, abs=0.02)
    assert len({one.id for one in found}) == 1  # Later signals of the same change have its id.


def test_eight_times_the_rare_hits_are_found_in_four_days() -> None:
    rng = np.random.default_rng(15)
    scale = Scale("a", shares(20), HOUR_NS)
    assert not run(scale, rng, np.full((21 * HOURS, 20), 0.0005))
    p = np.full((4 * HOURS, 20), 0.0005)
    p[:, 3] = 0.004
    assert {one.series.node for one in run(scale, rng, p, 21 * HOURS)} == {"field:f3"}


def test_series_that_make_no_incident_take_nothing_of_the_budget_of_those_that_do() -> None:
    beside = [Series("distribution", f"feature:f{i}", Kind.DISTRIBUTION, "place", alone=False) for i in range(90)]
    both, alone = Scale("a", [*shares(10), *beside], HOUR_NS), Scale("a", shares(10), HOUR_NS)
    assert both.bound[:10].tolist() == alone.bound.tolist()
    assert both.bound[10] == pytest.approx(10 * both.bound[0])


def test_a_signal_ends_when_the_series_is_back() -> None:
    rng = np.random.default_rng(8)
    scale = Scale("a", shares(5), HOUR_NS)
    p = np.full((30 * HOURS, 5), 0.1)
    p[22 * HOURS : 24 * HOURS, 0] = 0.4
    found = [one for one in run(scale, rng, p) if one.series.node == "field:f0"]
    assert [found[0].still, found[-1].still] == [True, False]
    assert found[-1].at_ns - (BEGIN_NS + 24 * DAY_NS) <= 12 * HOUR_NS
    assert scale.verdicts() == ["quiet"] * 5


def test_a_change_that_lasts_becomes_the_new_past() -> None:
    rng = np.random.default_rng(9)
    scale = Scale("a", shares(2), HOUR_NS)
    p = np.full((21 * HOURS + ADOPTED_NS // HOUR_NS + 10 * HOURS, 2), 0.1)
    p[21 * HOURS :, 0] = 0.3
    found = run(scale, rng, p)
    assert found[-1].notes == {"adopted": True}
    assert not found[-1].still
    assert found[-1].at_ns <= BEGIN_NS + 36 * DAY_NS


def test_a_season_raises_nothing_and_the_same_values_at_other_hours_do() -> None:
    rng = np.random.default_rng(10)
    scale = Scale("a", shares(1, seasonal=True), HOUR_NS)
    p = 0.2 + 0.15 * np.sin(2 * np.pi * np.arange(28 * HOURS) / 24)[:, None]
    assert not run(scale, rng, p)
    assert run(scale, rng, 0.2 - 0.15 * np.sin(2 * np.pi * np.arange(2 * HOURS) / 24)[:, None], 28 * HOURS)


def test_nothing_is_judged_before_the_learning_period_is_over() -> None:
    rng = np.random.default_rng(11)
    scale = Scale("a", shares(1), HOUR_NS)
    p = np.full((6 * HOURS, 1), 0.1)
    p[4 * HOURS :] = 0.9
    assert not run(scale, rng, p)
    assert scale.verdicts() == ["learning"]


def test_a_fact_alarms_at_once_and_ends_at_once() -> None:
    scale = Scale("a", [Series("serving", "feature:a", Kind.SKEW, "unequal", scale="fact")], HOUR_NS)
    found = []
    for t, value in enumerate([0.0, 0.0, 1.0, 1.0, 0.0]):
        one = np.array([value])
        found += scale.take(BEGIN_NS + (t + 1) * HOUR_NS, Measured(one, np.ones(1), np.full(1, np.nan)))
    assert [(one.at_ns - BEGIN_NS) // HOUR_NS for one in found] == [3, 5]
    assert [one.still for one in found] == [True, False]


def test_a_series_without_values_has_not_enough_data() -> None:
    scale = Scale("a", shares(1), HOUR_NS)
    for t in range(20 * HOURS):
        none = np.full(1, np.nan)
        assert not scale.take(BEGIN_NS + (t + 1) * HOUR_NS, Measured(none, np.zeros(1), none))
    assert scale.verdicts() == ["not enough data"]


def test_a_declared_campaign_is_not_judged() -> None:
    rng = np.random.default_rng(12)
    series = [Series("transport", "source", Kind.VOLUME, "events", "events", scale="count", seasonal=True)]
    begin = BEGIN_NS + 25 * DAY_NS
    level = np.full(30 * HOURS, 100.0)
    level[25 * HOURS : 27 * HOURS] = 500.0
    counts = rng.poisson(level).astype(float)

    def alarms(campaigns: Sequence[Span]) -> int:
        scale, none = Scale("a", series, HOUR_NS, campaigns=campaigns), np.full(1, np.nan)
        return sum(
            len(scale.take(BEGIN_NS + (t + 1) * HOUR_NS, Measured(one, np.ones(1), none)))
            for t, one in enumerate(counts[:, None])
        )

    assert alarms([]) > 0
    assert alarms([Span(begin, begin + 2 * DAY_NS)]) == 0


def test_one_odd_measurement_alone_raises_nothing() -> None:
    rng = np.random.default_rng(13)
    scale = Scale("a", shares(3), HOUR_NS)
    p = np.full((30 * HOURS, 3), 0.1)
    p[25 * HOURS, 0] = 0.95
    assert not run(scale, rng, p)


def same(one: State, two: State) -> bool:
    """Whether two states are equal bit for bit."""
    return one.keys() == two.keys() and all(one[key].tobytes() == two[key].tobytes() for key in one)


SERIES = [*shares(2), Series("serving", "feature:a", Kind.SKEW, "unequal", scale="fact")]


@cache
def eventful() -> list[Measured]:
    """23 days of SERIES: a share that changes on the last but one, and facts now and then."""
    rng = np.random.default_rng(14)
    p = np.full((23 * HOURS, 2), 0.1)
    p[21 * HOURS :, 0] = 0.4
    ticks = []
    for one in p:
        share = rng.binomial(50, one) / 50
        ticks.append(Measured(np.append(share, rng.random() < 0.01), np.full(3, 50.0), np.full(3, np.nan)))
    return ticks


@settings(max_examples=3, deadline=None)
@given(st.lists(st.integers(1, 200), max_size=6))
def test_ticks_in_blocks_raise_what_single_ticks_do(cuts: list[int]) -> None:
    ticks, (single, whole), found = eventful(), (Scale("a", SERIES, HOUR_NS) for _ in range(2)), []
    expected = [single.take(BEGIN_NS + (t + 1) * HOUR_NS, one) for t, one in enumerate(ticks)]
    edges = np.minimum(np.cumsum([0, *cuts, len(ticks)]), len(ticks)).tolist()
    for start, stop in pairwise(edges):
        if start < stop:
            columns = (np.stack([getattr(one, name) for one in ticks[start:stop]]) for name in ("value", "n", "spread"))
            found += whole.take_all(BEGIN_NS + np.arange(start + 1, stop + 1) * HOUR_NS, Measured(*columns))
    assert repr(found) == repr(expected)
    assert sum(map(len, found)) > 4
    assert same(single.state(), whole.state())


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 23 * HOURS))
def test_a_restart_at_any_tick_changes_nothing(cut: int) -> None:
    ticks, (whole, first, second) = eventful(), (Scale("a", SERIES, HOUR_NS) for _ in range(3))
    expected = [whole.take(BEGIN_NS + (t + 1) * HOUR_NS, one) for t, one in enumerate(ticks)]
    found = [first.take(BEGIN_NS + (t + 1) * HOUR_NS, one) for t, one in enumerate(ticks[:cut])]
    second.restore(first.state())
    found += [second.take(BEGIN_NS + (cut + t + 1) * HOUR_NS, one) for t, one in enumerate(ticks[cut:])]
    assert [[one.id for one in row] for row in found] == [[one.id for one in row] for row in expected]
    assert same(whole.state(), second.state())

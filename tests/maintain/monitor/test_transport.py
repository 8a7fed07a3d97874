from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.maintain.monitor.watched import PAST, after, changed, early, raised

from homeostat.checks.ticks import HOUR_NS, NAMES, quiet_ticks, with_events
from homeostat.maintain.monitor.transport import TransportMonitor
from homeostat.records.events import DeadLetter, Row
from homeostat.records.rows import joined_events


def test_the_past_and_quiet_days_after_it_raise_nothing():
    assert early("transport") == () and raised("transport", after(72, seed=9)) == {}


@pytest.mark.parametrize("factor", [0.4, 2.0, 5.0])
def test_more_or_fewer_events_than_the_season_has_are_raised(factor):
    found = raised("transport", after(36, per_hour=80.0 * factor))
    assert found["source volume events"] <= 8


@pytest.mark.parametrize("share", [0.03, 0.08, 0.15])
def test_copies_under_new_ids_are_raised(share):
    def fault(tick, rng):
        rows = np.flatnonzero(rng.random(len(tick)) < share)
        again = replace(tick.events.rows(rows), id_code=tick.events.id_code[rows] + 50_000)
        return with_events(tick, joined_events(tick.events, again))

    found = raised("transport", changed(fault))
    assert found["source duplicates copies"] <= 26 and set(found) <= {
        "source duplicates copies", "source late out of order share", "source volume events",
    }  # fmt: skip


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_repeated_ids_are_raised(share):
    found = raised("transport", changed(lambda tick, rng: replace(tick, repeats=int(share * len(tick)) + 1)))
    assert set(found) == {"source duplicates repeated ids"}


@pytest.mark.parametrize("share", [0.05, 0.15, 0.3])
def test_late_events_are_raised_as_late_not_as_a_clock(share):
    def fault(tick, rng):
        late = rng.random(len(tick)) < share
        lag = np.where(late, rng.integers(HOUR_NS, 3 * HOUR_NS, len(tick)), 10**9)
        kind = np.where(late, np.uint8(Row.LATE_EVENT), tick.events.kind)
        time = np.where(late, tick.events.time_ns - lag, tick.events.time_ns)
        tick = with_events(tick, replace(tick.events, kind=kind, time_ns=time))
        return replace(tick, arrived_ns=time + lag)

    found = raised("transport", changed(fault))
    assert found["source late late share"] <= 12 and not any(" clock lag" in one for one in found)


def test_a_backlog_that_is_read_faster_than_it_came_is_no_clock():
    monitor = TransportMonitor(NAMES)
    lag = [one.name for one in monitor.series].index("lag")
    for tick in after()[:12]:  # Each hour of it is read in a second, until it is read to its end.
        behind = 100 * 24 * HOUR_NS - tick.number * HOUR_NS
        found = monitor.measure(replace(tick, arrived_ns=tick.events.time_ns + behind)).value[lag]
        assert np.isnan(found) or found == 0.0
    tick = after()[0]
    for hours, moved in ((0, False), (0, False), (24 * 365, True)):  # It is live; then a clock falls back by a year.
        found = monitor.measure(replace(tick, arrived_ns=tick.events.time_ns + hours * HOUR_NS + 10**9)).value[lag]
        assert (found > 0) == moved


@pytest.mark.parametrize("minutes", [45, -120, 420])
def test_clocks_that_are_wrong_are_raised_as_a_clock(minutes):
    def fault(tick, rng):
        wrong = rng.random(len(tick)) < 0.6
        if minutes > 0:  # Ahead: refused.
            letters = tuple(DeadLetter(k, "time", "2026", "too_early") for k in range(int(wrong.sum())))
            return replace(tick, letters=letters, letters_n=len(letters))
        time = tick.events.time_ns + np.where(wrong, minutes * 60 * 10**9, 0)
        return replace(with_events(tick, replace(tick.events, time_ns=time)), arrived_ns=tick.arrived_ns)

    found = raised("transport", changed(fault))
    assert min(v for k, v in found.items() if k.startswith("time clock")) <= 5


def test_a_days_profile_that_is_shifted_is_raised():
    shifted = quiet_ticks(24 * 4 + 5, seed=5, start=PAST)
    moved = [
        with_events(tick, replace(other.events, time_ns=other.events.time_ns - 5 * HOUR_NS))
        for tick, other in zip(shifted, shifted[5:])
    ]
    assert "time clock profile shift" in raised("transport", moved)


def test_a_source_that_falls_silent_is_raised_and_named():
    def fault(tick, rng):
        return with_events(tick, tick.events.rows(tick.events.keys[:, 1] % 10 != 3))

    assert "source silence silent sources" in raised("transport", changed(fault, hours=72))


def test_gaps_within_a_tick_are_raised():
    def fault(tick, rng):
        early = tick.events.time_ns - tick.start_ns < HOUR_NS // 2
        return with_events(tick, tick.events.rows(early))

    assert "source silence longest gap" in raised("transport", changed(fault))

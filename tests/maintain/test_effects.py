"""Signals say what they do to decisions and what that costs, against effects that are known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import isnan

import numpy as np
import pytest
from tests.maintain.monitor.watched import with_numbers
from tests.support.made_signals import a_signal

from homeostat.checks.ticks import HOUR_NS, NAMES, START_NS, quiet_ticks
from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import Known, Tick
from homeostat.maintain.effects import DecisionEffects
from homeostat.maintain.incident.grouping import IncidentGrouping
from homeostat.maintain.incident.wording import story
from homeostat.maintain.loop import MaintenanceLoop
from homeostat.maintain.monitor.contract import ContractMonitor
from homeostat.maintain.monitor.scale import Scale
from homeostat.maintain.moved import Rows, moved
from homeostat.records.incidents import Severity
from homeostat.records.signals import Signal

DAYS, SINCE_H = 16, 24 * 15
ONSET_NS = START_NS + SINCE_H * HOUR_NS


@cache
def days() -> tuple[Tick, ...]:
    return tuple(quiet_ticks(24 * DAYS, seed=8, per_hour=120))


def signal(node: str, kind: str, at_ns: int = ONSET_NS + 24 * HOUR_NS, **given: float) -> Signal:
    made = a_signal(node, kind, **given)
    return replace(made, since_ns=ONSET_NS, since_low_ns=ONSET_NS, since_high_ns=ONSET_NS, at_ns=at_ns)


def cost_of(known: Known) -> np.ndarray:
    return known.amount


def weighed(ticks: list[Tick], *signals: Signal, at_once: bool = True) -> list[Signal]:
    """The signals at the last of these ticks."""
    effects = DecisionEffects(NAMES, cost_of)
    if at_once:
        return effects.weigh_block(block_of(ticks), [*([] for _ in ticks[1:]), signals])[-1]
    for tick in ticks[:-1]:
        effects.weigh_block(block_of([tick]), [[]])
        state, effects = effects.state(), DecisionEffects(NAMES, cost_of)
        effects.restore(state)
    return effects.weigh_block(block_of(ticks[-1:]), [signals])[0]


def with_fault(fault) -> list[Tick]:
    return [fault(tick) if tick.number > SINCE_H else tick for tick in days()]


def mix(ticks: list[Tick]) -> np.ndarray:
    return np.bincount(np.concatenate([tick.action for tick in ticks]), minlength=3) / sum(map(len, ticks))


def larger(times: float):
    def fault(tick: Tick) -> Tick:
        numbers = tick.events.numbers.copy()
        numbers[:, 0] *= times
        return with_numbers(tick, numbers)

    return fault


def test_a_field_in_another_unit_is_charged_with_the_decisions_that_it_moved() -> None:
    ticks = with_fault(larger(100.0))
    (found,) = weighed(ticks, signal("field:amount", "unit"))
    before, after = mix(ticks[:SINCE_H]), mix(ticks[SINCE_H:])
    expected = np.abs(after - before).sum() / 2
    assert expected > 0.5
    assert found.decisions == pytest.approx(expected, abs=0.08)
    assert found.notes["actions"]["block"] == pytest.approx([before[2], after[2]], abs=0.08)
    assert found.notes["risk"][1] > found.notes["risk"][0] + 0.3


def test_a_shift_within_the_past_is_charged_by_the_decisions_of_the_past_at_such_values() -> None:
    ticks = with_fault(larger(1.6))
    found = weighed(ticks, signal("field:amount", "distribution"), signal("field:channel", "distribution"))
    expected = np.abs(mix(ticks[SINCE_H:]) - mix(ticks[:SINCE_H])).sum() / 2
    assert found[0].decisions == pytest.approx(expected, abs=0.05)
    assert found[1].decisions == 0.0  # The channel is as it was, though decisions are not.


def test_a_shift_of_what_no_decision_looks_at_moves_none() -> None:
    def fault(tick: Tick) -> Tick:
        channel = tick.events.numbers.copy()
        channel[:, 2] = 13.0
        values = tick.features.values.copy()
        values[:, 2] = 13.0
        return replace(
            tick, events=replace(tick.events, numbers=channel), features=replace(tick.features, values=values)
        )

    (found,) = weighed(with_fault(fault), signal("field:channel", "distribution"))
    assert found.decisions == 0.0


def test_another_policy_is_charged_with_the_whole_change_of_the_mix() -> None:
    ticks = with_fault(lambda tick: replace(tick, action=np.where(tick.action == 0, 1, tick.action).astype(np.int16)))
    found = weighed(ticks, signal("settings", "configuration"), signal("field:amount", "distribution"))
    assert found[0].decisions == pytest.approx(mix(ticks[:SINCE_H])[0], abs=0.04)
    assert found[1].decisions == 0.0


def test_the_night_is_compared_with_nights() -> None:
    def by_night(tick: Tick) -> Tick:
        hour = (tick.number - 1) % 24
        return replace(tick, action=np.full(len(tick), 1 if hour < 4 else 0, np.int16))

    ticks = [by_night(tick) for tick in days()][: SINCE_H + 4]
    (found,) = weighed(ticks, signal("policy", "actions"))
    assert found.decisions == 0.0


@pytest.mark.parametrize(
    "given",
    [
        ("labels", "delay"),
        ("time", "clock"),
        ("field:amount", "skew"),
        ("field:nobody", "unit"),
        ("outcome", "quality"),
    ],
)
def test_what_was_not_measured_is_not_known(given: tuple[str, str]) -> None:
    (found,) = weighed(list(days()), signal(*given))
    assert isnan(found.decisions) and isnan(found.cost_per_hour)


def test_a_change_that_has_just_begun_has_no_effect_that_is_known() -> None:
    late = replace(signal("field:amount", "unit"), since_ns=days()[-1].end_ns)
    (found,) = weighed(list(days()), late)
    assert isnan(found.decisions)


def test_the_share_that_a_monitor_measured_stands() -> None:
    (found,) = weighed(list(days()), signal("settings", "configuration", decisions=0.3))
    assert found.decisions == 0.3


@pytest.mark.long
def test_a_loop_says_the_effect_with_the_signal_and_the_incident_takes_it_over() -> None:
    monitor = ContractMonitor(NAMES)
    grouping = IncidentGrouping("shop", causal_graph(load_app("payments")))
    scale = Scale("shop", monitor.series, HOUR_NS, false_alarms=0.1)
    loop = MaintenanceLoop([monitor], scale, grouping, DecisionEffects(NAMES))
    noticed = loop.on_block(block_of(with_fault(larger(100.0))))
    named = [one for tick in noticed for one in tick.signals if one.series.kind == "unit"]
    assert named and named[-1].decisions > 0.5
    last = [one for tick in noticed for one in tick.incidents][-1]
    assert (last.severity, last.notes["impact"]) == (Severity.CRITICAL, "measured")
    assert "% of decisions" in story(last, named)


def outcomes(tick: Tick, cost: float) -> Tick:
    """Twenty outcomes of a mean cost."""
    n, ones = 20, np.ones(20)
    known = Known(
        np.full(n, tick.start_ns + 1), np.full(n, tick.end_ns), 0 * ones, cost + np.tile([-1.0, 1.0], 10), 0.1 * ones,
        np.zeros(n, np.int16), np.zeros(n, np.uint8), np.ones(n, np.uint8), np.ones((n, 3)), np.ones((n, 5)),
        np.ones((n, 2), np.int64), np.zeros(n, np.int64), np.ones(n, np.uint8),
    )  # fmt: skip
    return replace(tick, known=known)


def test_quality_is_charged_with_what_decisions_cost_more_an_hour() -> None:
    ticks = [outcomes(tick, 5.0 if tick.number > SINCE_H else 3.0) for tick in days()]
    (found,) = weighed(ticks, signal("outcome", "quality"))
    per_hour = sum(map(len, ticks[SINCE_H:])) / 24
    assert found.cost_per_hour == pytest.approx(2.0 * per_hour)
    for cost in (3.0, 1.0):  # A lower cost is no harm, and may be chance.
        after = [outcomes(tick, cost if tick.number > SINCE_H else 3.0) for tick in days()]
        assert isnan(weighed(after, signal("outcome", "quality"))[0].cost_per_hour)


@pytest.mark.parametrize("name", ["field:amount", "outcome"])
def test_cuts_and_restarts_change_nothing(name: str) -> None:
    ticks = [outcomes(tick, 5.0 if tick.number > SINCE_H else 3.0) for tick in with_fault(larger(100.0))][24 * 9 :]
    asked = signal(name, "unit" if name != "outcome" else "quality")
    assert repr(weighed(ticks, asked)) == repr(weighed(ticks, asked, at_once=False))


def rows(values: list[float], action: list[int]) -> Rows:
    column = np.array(values, np.float32)
    return Rows(np.column_stack([0 * column, column]), np.array(action, np.int16), np.zeros(len(values), np.int64))


def test_the_effect_of_a_column_alone_is_what_the_past_does_at_its_values() -> None:
    past = rows([0.0] * 500 + [1.0] * 500, [0] * 500 + [1] * 250 + [0] * 250)  # Half of the ones are reviewed.
    now = rows([1.0] * 400, [0] * 400)  # All are ones, and a new policy reviews none.
    alone, whole = moved(past, now, 1, 2), moved(past, now, None, 2)
    assert alone.mix[1].tolist() == pytest.approx([0.25, 0.5])
    assert alone.share == pytest.approx(0.25)
    assert whole.mix[1].tolist() == pytest.approx([0.25, 0.0])


def test_values_that_the_past_does_not_have_count_by_their_own_decisions() -> None:
    past = rows([0.0] * 900 + [1.0] * 100, [0] * 900 + [1] * 100)
    now = rows([7.0] * 100 + [float("nan")] * 100 + [0.0] * 200, [1] * 100 + [0] * 300)
    assert moved(past, now, 1, 2).mix[1].tolist() == pytest.approx([0.1, 0.25])


def test_an_app_that_is_watched_for_months_keeps_its_effects() -> None:
    hours = 21 * 112  # The quota of hourly ticks repeats each 21, and 2**63 is 2,501 hours of 1,024 rows.
    later = [replace(tick, number=tick.number + hours) for tick in days()]
    wanted = signal("action", "actions")
    assert weighed(later, wanted)[0].notes == weighed(list(days()), wanted)[0].notes

"""Properties of a single ruling: no figure that is not known executes, and no limit that is tightened allows more."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.made_plans import DAY_NS, FINDINGS, FOUND, HOUR_NS, NOW, OPEN, PLAN, STEP

from homeostat.maintain.gate.blackouts import Blackout
from homeostat.maintain.gate.business import Business, BusinessRule
from homeostat.maintain.gate.limits import Limits
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.autonomy import Level, Reach
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.plans import Blast, Done, Plan, Rehearsed, Remedy, Step, Tier
from homeostat.records.verdicts import Verdict

REMEDIES = [Remedy.CONVERT, Remedy.THRESHOLD, Remedy.RETRAIN, Remedy.MONITOR]
SCOPES = ["app", "field:amount", "segment:a"]
good = st.floats(0, 1)
money = st.floats(0, 1000)
NIGHTS = BusinessRule("night", "hour < 6 or weekday > 5")
DEAR = BusinessRule("dear", "cost > 20 and reach == 'app'", Tier.WATCH)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    def step() -> Step:
        low = draw(st.floats(-10, 60))
        return replace(
            STEP, remedy=draw(st.sampled_from(REMEDIES)), scope=draw(st.sampled_from(SCOPES)), cost=draw(money) / 20,
            reversible=draw(st.integers(0, 9)) > 0, rehearsed=Rehearsed(low + 1, low, low + 2, 50, "replay"),
            blast=Blast(draw(good) / 3, draw(good) / 3, draw(money)),
        )  # fmt: skip

    steps = tuple(step() for _ in range(draw(st.integers(1, 2))))
    return replace(
        PLAN, steps=steps, confidence=draw(st.floats(0.6, 1)), at_ns=NOW - draw(st.integers(0, 30)) * HOUR_NS
    )


dones = st.lists(
    st.builds(
        Done, st.sampled_from(REMEDIES), st.sampled_from(SCOPES), st.integers(-60, 20).map(lambda h: NOW + h * HOUR_NS),
        money.map(lambda one: one / 20), st.just("homeostat"), st.sampled_from([None, *Verdict]), st.just(0),
        st.just("h"), st.booleans(),
    ),
    max_size=4,
)  # fmt: skip
findings = st.builds(
    lambda least, end: replace(FINDINGS, conclusion=end, findings=(replace(FOUND, probability=least),)),
    st.floats(0.6, 1), st.sampled_from([Conclusion.CAUSE] * 9 + [Conclusion.NONE]),
)  # fmt: skip
limits = st.builds(
    lambda **given: replace(OPEN, **given), actions_per_day=st.integers(1, 9), cost_per_day=money,
    cool_ns=st.integers(0, 9 * HOUR_NS),
    confidence=st.floats(0.5, 1), decisions=good, entities=good, money=money, worth_h=st.floats(0, 48),
    rate=st.tuples(st.integers(1, 5).map(float), st.just(HOUR_NS)), grounded=st.booleans(),
)  # fmt: skip

TIGHTER: dict[str, Any] = {
    "stop": lambda one: True,
    "level": lambda one: Level.ASSISTED,
    "levels": lambda one: {(Remedy.CONVERT, Reach.APP): Level.ASSISTED},
    "lowered_ns": lambda one: 90 * DAY_NS,
    "confidence": lambda one: min(1.0, one + 0.1),
    "grounded": lambda one: True,
    "worth_h": lambda one: one / 2,
    "cost_per_day": lambda one: one / 2,
    "actions_per_day": lambda one: one - 1,
    "rate": lambda one: (one[0] / 2, one[1] * 2),
    "cool_ns": lambda one: one * 2 + HOUR_NS,
    "age_ns": lambda one: one // 2,
    "decisions": lambda one: one / 2,
    "entities": lambda one: one / 2,
    "money": lambda one: one / 2,
    "blackouts": lambda one: [*one, Blackout("noon", first=720, end=900, zone=ZoneInfo("Europe/Berlin"))],
    "business": lambda one: Business((*one.rules, DEAR)),
    "four_eyes": lambda one: one | {Remedy.RETRAIN},
}  # fmt: skip


def tier(limits: Limits, plan: Plan, found: Findings, history: list[Done], now_ns: int = NOW) -> Tier:
    return LimitsGate(limits).rule(plan, found, history, now_ns).tier


def test_every_limit_has_a_tightening_but_the_word_of_an_owner() -> None:
    assert set(TIGHTER) == {one.name for one in fields(Limits)} - {"raised_ns"}


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(plans(), findings, dones, limits)
def test_a_tightened_limit_allows_nothing_more(plan: Plan, found: Findings, history: list[Done], given: Limits) -> None:
    given = replace(given, business=Business((NIGHTS,)))
    before = tier(given, plan, found, history)
    for name, tighten in TIGHTER.items():
        after = tier(replace(given, **{name: tighten(getattr(given, name))}), plan, found, history)
        assert not (before != Tier.EXECUTE and after == Tier.EXECUTE), name


@settings(max_examples=80, deadline=None)
@given(plans(), findings, dones, dones, limits)
def test_more_history_and_doubled_history_allow_nothing_more(
    plan: Plan, found: Findings, history: list[Done], more: list[Done], given: Limits
) -> None:
    before = tier(given, plan, found, history)
    if before != Tier.EXECUTE:
        assert tier(given, plan, found, [*history, *more]) != Tier.EXECUTE
        assert tier(given, plan, found, history * 2) != Tier.EXECUTE
    assert tier(given, plan, found, history[::-1]) == before, "the order of history matters to nobody"


@settings(max_examples=80, deadline=None)
@given(plans(), findings, dones, limits, st.integers(-(2**62), 2**62))
def test_a_plan_is_executed_at_no_time_but_soon_after_it_was_made(
    plan: Plan, found: Findings, history: list[Done], given: Limits, now_ns: int
) -> None:
    if not plan.at_ns <= now_ns <= plan.at_ns + given.age_ns:
        assert tier(given, plan, found, history, now_ns) != Tier.EXECUTE
    assert tier(given, plan, found, history, plan.at_ns - 1) != Tier.EXECUTE


def figures(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every float in a record."""
    if isinstance(value, float):
        return [path]
    if is_dataclass(value):
        return [found for one in fields(value) for found in figures(getattr(value, one.name), (*path, one.name))]
    if isinstance(value, tuple):
        return [found for at, one in enumerate(value) for found in figures(one, (*path, at))]
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in figures(one, (*path, key))]
    return []


def put(value: Any, path: tuple[Any, ...], new: float) -> Any:
    """The record with another figure at a path."""
    if not path:
        return new
    step, *rest = path
    if is_dataclass(value):
        return replace(value, **{step: put(getattr(value, step), tuple(rest), new)})  # type: ignore[type-var]
    if isinstance(value, tuple):
        return tuple(put(one, tuple(rest), new) if at == step else one for at, one in enumerate(value))
    return {**value, step: put(value[step], tuple(rest), new)}


FULL = replace(PLAN, steps=(replace(STEP, expects={"predicted": 0.2, "spread": 0.1, "mix": (0.9, 0.1)}), STEP))
EVERY = [("plan", path) for path in figures(FULL)] + [("findings", path) for path in figures(FINDINGS)]


@pytest.mark.parametrize("new", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("which", "path"), EVERY, ids=lambda one: str(one))
def test_a_figure_that_is_not_known_executes_nothing_wherever_it_stands(which: str, path: Any, new: float) -> None:
    plan = put(FULL, path, new) if which == "plan" else FULL
    found = put(FINDINGS, path, new) if which == "findings" else FINDINGS
    open_wide = replace(
        OPEN, confidence=0.0, worth_h=1e9, rate=(99.0, 1), actions_per_day=99, decisions=1.0, entities=1.0
    )
    assert tier(open_wide, FULL, FINDINGS, []) == Tier.EXECUTE
    assert tier(open_wide, plan, found, []) != Tier.EXECUTE


@pytest.mark.parametrize("name", [one.name for one in fields(Limits) if isinstance(getattr(OPEN, one.name), float)])
def test_a_limit_that_is_no_number_executes_nothing(name: str) -> None:
    assert tier(replace(OPEN, **{name: float("nan")}), PLAN, FINDINGS, []) != Tier.EXECUTE


BERLIN = Blackout("night", first=120, end=180, zone=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("utc", "held"),
    [
        ("2026-10-24T23:59", False), ("2026-10-25T00:00", True), ("2026-10-25T00:59", True),  # The first of two.
        ("2026-10-25T01:00", True), ("2026-10-25T01:59", True), ("2026-10-25T02:00", False),  # The second.
        ("2026-03-29T00:59", False), ("2026-03-29T01:00", False),  # The hour that there is not.
        ("2026-07-01T00:00", True), ("2026-07-01T01:00", False), ("2026-12-01T01:00", True),
    ],
)  # fmt: skip
def test_an_hour_by_the_clock_on_the_wall_is_covered_as_often_as_it_comes(utc: str, held: bool) -> None:
    from homeostat.config.instants import instant_ns

    assert BERLIN.holds(instant_ns(f"{utc}:00Z")) is held


@settings(max_examples=200)
@given(st.integers(-(2**62), 2**62), st.integers(0, 1439), st.integers(1, 1440), st.sets(st.integers(0, 6)))
def test_a_blackout_and_the_rest_of_the_week_share_no_instant(now: int, first: int, end: int, days: set[int]) -> None:
    if first == end % 1440:
        return
    whole = Blackout("all", first=first, end=end).holds(now)
    some = Blackout("some", frozenset(days), first, end).holds(now)
    rest = Blackout("rest", frozenset(range(7)) - days, first, end).holds(now)
    if days and len(days) < 7:
        assert (some, rest) in (((True, False), (False, True)) if whole else ((False, False),))

"""Steps are done exactly once, whatever ends the process between two changes, and taken back whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.adapters.memory.settings import MemorySettings
from homeostat.errors import Conflict
from homeostat.maintain.act.executor import ACTOR, NotAllowed, SettingsExecutor
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.plans import Alteration, Blast, Plan, Rehearsed, Remedy, Step

NOTHING = Rehearsed(1.0, 0.5, 1.5, 100, "replay")


def plan_of(*alterations: Alteration, settings: int = 0) -> Plan:
    step = Step(
        Remedy.THRESHOLD, "app", alterations, None, True, 0.0, NOTHING, Blast(0, 0, 0), 0, {"lasts_ns": 50}, "too many"
    )
    return Plan("i1", 7, 0.9, settings, (step,))


def threshold(action: str, at: float) -> Alteration:
    return Alteration(ChangeKind.THRESHOLD, action, {"at": at})


def executor(settings: MemorySettings) -> SettingsExecutor:
    return SettingsExecutor(settings, lambda plan, by: by == ACTOR)


class Killed(Exception):
    """The process ends."""


class Mortal(MemorySettings):
    """Settings whose user is killed before or after some calls of append."""

    def __init__(self, deaths: list[bool]) -> None:
        super().__init__()
        self.deaths: Iterator[bool] = iter(deaths)

    def append(self, change: Change, expected: int | None) -> Change:
        if next(self.deaths, False):
            raise Killed
        stored = super().append(change, expected)
        if next(self.deaths, False):
            raise Killed
        return stored


@given(st.lists(st.booleans(), max_size=12))
def test_a_step_is_done_once_however_often_its_process_is_killed(deaths: list[bool]) -> None:
    settings = Mortal(deaths)
    plan = plan_of(threshold("review", 0.3), threshold("block", 0.8))
    receipts = []
    while not receipts:
        try:
            receipts.append(executor(settings).act(plan, 0, ACTOR, 9))
        except Killed:
            continue
    assert [(one.scope, one.body) for one in settings.since(0)] == [("review", {"at": 0.3}), ("block", {"at": 0.8})]
    settings.deaths = iter([])
    again = executor(settings).act(plan, 0, ACTOR, 9)
    assert again == receipts[0] and settings.last == 2
    assert receipts[0].changes == (1, 2) and all(one.expires_ns == 57 for one in settings.since(0))


@given(st.lists(st.booleans(), max_size=12))
def test_a_step_is_taken_back_whole_however_often_that_is_interrupted(deaths: list[bool]) -> None:
    settings = Mortal([])
    settings.append(Change(ChangeKind.THRESHOLD, "block", {"at": 0.7}, "ann", "as agreed"), 0)
    plan = plan_of(threshold("review", 0.3), threshold("block", 0.8), settings=1)
    receipt = executor(settings).act(plan, 0, ACTOR, 9)
    settings.deaths = iter(deaths)
    undone = None
    while undone is None:
        try:
            undone = executor(settings).undo(receipt, "it did not help", 11)
        except Killed:
            continue
    settings.deaths = iter([])
    in_force = {scope.name: change.body for scope, change in settings.at((1 << 63) - 1).items()}
    assert in_force == {"block": {"at": 0.7}}
    assert undone.undone_ns == 11 and settings.last == 5
    executor(settings).undo(receipt, "it did not help", 12)
    assert settings.last == 5


def test_what_somebody_changed_meanwhile_stops_a_step_and_leaves_nothing_of_it() -> None:
    settings = MemorySettings()
    settings.append(Change(ChangeKind.THRESHOLD, "block", {"at": 0.7}, "ann", "an attack"), 0)
    plan = plan_of(threshold("review", 0.3), threshold("block", 0.8), settings=0)
    with pytest.raises(Conflict, match="ann"):
        executor(settings).act(plan, 0, ACTOR, 9)
    in_force = {scope.name: change.body for scope, change in settings.at((1 << 63) - 1).items()}
    assert in_force == {"block": {"at": 0.7}}


def test_taking_back_leaves_what_a_person_has_changed_since() -> None:
    settings = MemorySettings()
    plan = plan_of(threshold("block", 0.8))
    receipt = executor(settings).act(plan, 0, ACTOR, 9)
    settings.append(Change(ChangeKind.THRESHOLD, "block", {"at": 0.6}, "ann", "better"), 1)
    executor(settings).undo(receipt, "it did not help", 11)
    assert [one.body for one in settings.at((1 << 63) - 1).values()] == [{"at": 0.6}]


def test_nothing_is_done_without_leave_and_another_plan_has_other_keys() -> None:
    settings = MemorySettings()
    plan = plan_of(threshold("block", 0.8))
    with pytest.raises(NotAllowed, match="mallory"):
        executor(settings).act(plan, 0, "mallory", 9)
    assert settings.last == 0
    first = executor(settings).act(plan, 0, ACTOR, 9)
    other = replace(plan, at_ns=8, settings=1)
    assert executor(settings).act(other, 0, ACTOR, 9).key != first.key

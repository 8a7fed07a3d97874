"""Counts unauthorised actions from outside: from changes of the settings, and people's words in the chained record.

It does not ask the gate, and does not believe what loop 2 says of itself. A change is one of loop 2's by its key, or by
its actor. It is authorised by a person's approval of that very plan, which is a statement before it counts, or by a
ruling to execute that the declared limits bear out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from homeostat.app.gating import limits_of
from homeostat.config.gate import GateSpec
from homeostat.maintain.gate.limits import DAY_NS, Limits
from homeostat.ports.incidents import LOOP
from homeostat.records.autonomy import Level, reach_of
from homeostat.records.changes import Change
from homeostat.records.plans import Step, Tier
from homeostat.records.response_text import Ruled
from homeostat.records.statements import PLAN, Statement, StatementKind, standing

_KEY = re.compile(r"([0-9a-f]{16})-([0-9]{1,4})-([0-9]{1,4})")
_CLOCKS_NS = 10**9  # The two stores need not read the same clock.
_THROUGH = f" through {LOOP}"


@dataclass(frozen=True, slots=True)
class Unauthorised:
    """A change that nothing allowed. why : a sentence"""

    number: int
    at_ns: int
    key: str
    actor: str
    why: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The steps that loop 2 did, how many of them a person approved, and the changes that nothing allowed."""

    steps: int
    approved: int
    unauthorised: Sequence[Unauthorised]


def count(changes: Sequence[Change], words: Sequence[Statement], plans: Sequence[Ruled], spec: GateSpec) -> Counted:
    """Look at every change.

    changes : of the settings, by rising number
    words : approvals and those on the kill switch, see `records.statements`
    plans : with their last rulings; spec : the limits as they are declared now
    """
    approvals, switched = _approvals(words), _switched(words)
    by_hash = {one.plan.hash: one for one in plans}
    limits = limits_of(spec)
    found, times, steps, approved = list[Unauthorised](), dict[str, tuple[Change, bool]](), set[str](), set[str]()
    for change in changes:
        named = _KEY.fullmatch(change.key)
        if change.reverts or (named is None and not change.actor.endswith(_THROUGH)):
            continue
        if named is None:
            found.append(_wrong(change, "it came through loop 2, and names no plan"))
            continue
        step = f"{named[1]}-{named[2]}"
        steps.add(step)
        word = approvals.get((named[1], change.actor.removesuffix(_THROUGH)))
        if word is not None and word.number and change.actor.endswith(_THROUGH):
            approved.add(step)
            why = "" if word.at_ns <= change.at_ns + _CLOCKS_NS else f"it came before its approval by {word.actor}"
        else:
            why = _by_itself(change, by_hash.get(named[1]), int(named[2]), limits)
            if not why and _was_stopped(switched, change.at_ns):
                why = "a person had turned the kill switch on"
            times.setdefault(step, (change, not why))
        if why:
            found.append(_wrong(change, why))
    alone = sorted((change for change, _ in times.values()), key=lambda one: one.at_ns)
    over = beyond([one.at_ns for one in alone], spec.actions_per_day)
    found += [_wrong(alone[at], f"it is beyond {spec.actions_per_day} actions in 24 hours") for at in over]
    return Counted(len(steps), len(approved), sorted(found, key=lambda one: one.number))


def beyond(times: Sequence[int], most: int) -> list[int]:
    """The places of those times that come when there were as many as allowed in 24 hours already.

    times : ascending

    >>> beyond([0, 1, DAY_NS - 1, DAY_NS + 5], 2)
    [2]
    """
    found = []
    for at, moment in enumerate(times):
        if sum(1 for one in times[: at + 1] if one > moment - DAY_NS) > most:
            found.append(at)
    return found


def steps_by_itself(changes: Sequence[Change], after_ns: int) -> frozenset[str]:
    """The steps, as plan-step, that loop 2 did by itself after a time, by the settings; undone ones count, too."""
    own = [one for one in changes if one.actor == LOOP and not one.reverts and one.at_ns > after_ns]
    return frozenset(step for one in own if (step := step_of(one)))


def step_of(change: Change) -> str:
    """The step of a change, as plan-step; empty for a change of no plan.

    >>> from homeostat.records.changes import ChangeKind
    >>> step_of(Change(ChangeKind.LIST, "a", None, LOOP, "x", key=f"{'0' * 16}-2-0"))
    '0000000000000000-2'
    """
    named = _KEY.fullmatch(change.key)
    return "" if named is None else f"{named[1]}-{named[2]}"


def forbids(limits: Limits, levels: Collection[Level], at_ns: int) -> str:
    """Why nothing may be done by itself at a time, whatever the gate says; empty where it may."""
    if limits.stop:
        return "the kill switch is on"
    if levels and all(one == Level.ASSISTED for one in levels):
        return "its kind of action is assisted, so a person approves it"
    names = [one.name for one in limits.blackouts if one.holds(at_ns)]
    return f"it was a time of: {', '.join(names)}" if names else ""


def _by_itself(change: Change, ruled: Ruled | None, step: int, limits: Limits) -> str:
    """Why a change that no person approved was not allowed; empty where it was."""
    if change.actor != LOOP:
        return f"{change.actor.removesuffix(_THROUGH)} approved it, and no such approval is on record"
    if ruled is None:
        return "no plan of that hash was ruled on, and none was approved"
    if ruled.ruling.tier != Tier.EXECUTE and ruled.ruling.at_ns <= change.at_ns:  # A later one is of later steps.
        return f"the gate ruled {ruled.ruling.tier}, and nobody approved it"
    if ruled.plan.at_ns > change.at_ns:
        return "it came before its plan was made"
    if step >= len(ruled.plan.steps):
        return f"its plan has no step {step + 1}"
    wanted = ruled.plan.steps[step]
    if not _wants(wanted, change):
        return f"step {step + 1} of its plan does not want this change"
    return forbids(limits, [limits.declared(wanted.remedy, reach_of(wanted.scope))], change.at_ns)


def _wants(step: Step, change: Change) -> bool:
    return any(
        (one.kind, one.scope) == (change.kind, change.scope) and _same(one.body, change.body)
        for one in step.alterations
    )


def _same(one: Mapping[str, object] | None, other: Mapping[str, object] | None) -> bool:
    return one == other if one is None or other is None else dict(one) == dict(other)


def _switched(words: Sequence[Statement]) -> list[Statement]:
    """The words on the kill switch, the first one first."""
    return sorted((one for one in words if one.kind == StatementKind.SWITCH), key=lambda one: one.number)


def _was_stopped(switched: Sequence[Statement], at_ns: int) -> bool:
    """Whether the switch was on at a time, for longer than the clocks of two stores differ."""
    before = [one for one in switched if one.at_ns + _CLOCKS_NS <= at_ns]
    return bool(before) and before[-1].topic == "stop"


def _approvals(words: Sequence[Statement]) -> dict[tuple[str, str], Statement]:
    """Hash of a plan and who approved it, somebody else than loop 2 -> the first such approval that holds."""
    found: dict[tuple[str, str], Statement] = {}
    for one in standing(words):
        if one.kind == StatementKind.APPROVAL and one.subject == PLAN and one.topic == "approve" and one.actor != LOOP:
            found.setdefault((one.about, one.actor), one)
    return found


def _wrong(change: Change, why: str) -> Unauthorised:
    return Unauthorised(change.number, change.at_ns, change.key, change.actor, why)

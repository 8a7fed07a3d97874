"""The worth of a run's answers: right, harmful, unauthorised, and their cost beside an oracle's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.jobs.drill.records import when
from homeostat.records.findings import Conclusion
from homeostat.records.plans import Plan, Remedy, Tier
from homeostat.records.responses import Response
from homeostat.records.verdicts import Verdict
from homeostat.sim.faults.fault import Scenario, Truth
from homeostat.sim.faults.runs import Laid
from homeostat.sim.faults.traffic import HOUR_NS, NEVER

_SHOWN = 50  # Matured outcomes after the onset, before which the oracle knows nothing that outcomes alone can show.
_WATCHES = frozenset({Remedy.MONITOR, Remedy.NOTE, Remedy.ESCALATE, Remedy.IGNORE, Remedy.FLAG})


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that was done to the settings, or started.

    tier : execute where the gate let it, escalate where a person did
    undone_ns : 0 for not undone
    """

    kind: Remedy
    scope: str
    at_ns: int
    tier: Tier
    undone_ns: int
    by: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Score:
    """The figures of one run; times in nanoseconds."""

    right: bool
    harmful: bool
    unauthorised: int
    undone: int
    handed: bool
    recovered_ns: int | None
    cost: float
    regret: float | None
    actions: tuple[Action, ...]


def actions_of(responses: Sequence[Response], plans: dict[str, Plan]) -> list[Action]:
    """All actions of a run, in order of time. A training is none: its version decides by a step of its own.

    plans : all that were made, by hash
    """
    found = []
    for response in responses:
        verdicts = {(one.step, one.at_ns): one.verdict for one in response.verdicts}
        for receipt in response.receipts:
            plan = plans[receipt.plan]
            step = plan.steps[receipt.step]
            if step.only_trains:
                continue
            later = [v for (number, at), v in verdicts.items() if number == receipt.step and at >= receipt.at_ns]
            found.append(Action(
                step.remedy, step.scope, receipt.at_ns, Tier.EXECUTE if receipt.by == "homeostat" else Tier.ESCALATE,
                receipt.undone_ns, receipt.by, bool(later) and later[-1] == Verdict.PASS,
            ))  # fmt: skip
    return sorted(found, key=lambda one: one.at_ns)


def oracle_ns(laid: Laid) -> int:
    """When the oracle acts: at the onset, or once 50 outcomes since then have matured; NEVER where nothing is wrong."""
    run = laid.run
    if not run.onset_ns or run.scenario.harmless:
        return NEVER
    if all(fault.shown_by == "events" for fault in run.scenario.faults):
        return run.onset_ns
    traffic = laid.traffic
    known = sorted(traffic.known_ns[traffic.sent_ns >= run.onset_ns].tolist())
    return known[_SHOWN - 1] if len(known) >= _SHOWN else run.frame.end_ns


def cost_of(scenario: Scenario, onset_ns: int, end_ns: int, acted_ns: int | None, wrong: int) -> float:
    """The declared cost of a run, in multiples of the app's ordinary cost of an hour.

    acted_ns : when the first right action came that was kept; None for never
    wrong : actions that were forbidden, or at the wrong place
    """
    until = end_ns if acted_ns is None else min(acted_ns, end_ns)
    hours = max(0, until - onset_ns) / HOUR_NS if onset_ns and not scenario.harmless else 0.0
    return hours * scenario.costs["fault_hour"] + wrong * scenario.costs["wrong_action"]


def score(
    laid: Laid, responses: Sequence[Response], plans: dict[str, Plan], detected_ns: int | None, unauthorised: int
) -> Score:
    """The figures of a run."""
    run, scenario = laid.run, laid.run.scenario
    actions = actions_of(responses, plans)
    done = [one for one in actions if one.kind not in _WATCHES]
    right = [one for one in done if is_right(one, scenario, laid.truths)]
    wrong = [one for one in done if one not in right]
    harmful = [one for one in wrong if one.kind in scenario.forbidden or scenario.harmless or not scenario.faults]
    kept = [one for one in right if not one.undone_ns]
    needed = len(scenario.faults) if scenario.id == "S27" else 1
    times = sorted(one.at_ns for one in kept)
    acted = times[needed - 1] if len(times) >= needed else None
    handed = any(response.handed for response in responses)
    if scenario.harmless or not scenario.faults:
        is_right_run = not done
    elif acted is not None:
        is_right_run = not harmful
    else:
        watched = {"escalate", "monitor", "note", "ignore", "flag"} & set(scenario.accepted)
        told = handed if "escalate" in watched else True
        is_right_run = bool(watched) and told and not harmful and detected_ns is not None
        acted = _told_ns(responses) if is_right_run and "escalate" in scenario.accepted else None
    cost = cost_of(scenario, run.onset_ns, run.frame.end_ns, acted, len(wrong))
    oracle = oracle_ns(laid)
    regret = None
    if oracle != NEVER:
        nothing = cost_of(scenario, run.onset_ns, run.frame.end_ns, None, 0)
        best = cost_of(scenario, run.onset_ns, run.frame.end_ns, oracle, 0)
        regret = (cost - best) / (nothing - best) if nothing > best else None
    passed = [one.at_ns for one in kept if one.tier == Tier.EXECUTE]
    recovered = passed[0] if passed else None
    return Score(
        is_right_run, bool(harmful), unauthorised, sum(1 for one in actions if one.undone_ns), handed, recovered, cost,
        regret, tuple(actions),
    )  # fmt: skip


def is_right(action: Action, scenario: Scenario, truths: Sequence[Truth]) -> bool:
    """Whether an action is an accepted one, at the true place where it has a place."""
    if str(action.kind) not in scenario.accepted:
        return False
    if ":" not in action.scope:
        return True
    return any(truth.at(action.scope, action.at_ns) or not truth.node.startswith(action.scope.partition(":")[0])
               for truth in truths)  # fmt: skip


def _told_ns(responses: Sequence[Response]) -> int | None:
    """When a person was first asked."""
    found = [line.at_ns for one in responses for line in one.lines if "rules escalate" in line.text]
    return min(found) if found else None


def told_by(responses: Sequence[Response], onset_ns: int) -> Response | None:
    """The response that a run's findings are read of: the first since the onset that came to a cause, else the last.

    Later incidents of the same run come of the fault's outcomes, or of remedies.
    """
    causes = [
        one for one in responses
        if one.findings is not None and one.findings.conclusion == Conclusion.CAUSE and one.findings.at_ns > onset_ns
    ]  # fmt: skip
    if causes:
        return min(causes, key=lambda one: one.lines[0].at_ns if one.lines else one.since_ns)
    return max(responses, key=lambda one: (bool(one.receipts), one.findings is not None, one.since_ns), default=None)


def lines_of(
    scored: Score, responses: Sequence[Response], laid: Laid, detected_ns: int | None
) -> dict[str, Any]:  # fmt: skip
    """The fields that the whole half adds to a run's line."""
    last = told_by(responses, laid.run.onset_ns)
    findings = None if last is None else last.findings
    found = () if findings is None else findings.findings
    now_ns = laid.run.frame.end_ns if findings is None else findings.at_ns
    truths = {(truth.node, str(truth.kind)) for truth in laid.truths}
    named = [(node, kind) for node, kind, _ in (() if findings is None else findings.ranked)]
    exact = {(one.node, str(one.kind)) for one in found} == truths if truths else not found
    recovered = scored.recovered_ns
    accepted = set(laid.run.scenario.accepted) - {str(one) for one in _WATCHES}
    return {
        "verdict": None if last is None or not last.verdicts else str(last.verdicts[-1].verdict),
        "tier": None if last is None or last.ruling is None else str(last.ruling.tier),
        "actions": [
            {"kind": str(one.kind), "at": when(one.at_ns), "tier": str(one.tier),
             "undone": when(one.undone_ns) if one.undone_ns else None, "by": one.by}
            for one in scored.actions
        ],
        "right": scored.right, "harmful": scored.harmful, "unauthorised": scored.unauthorised,
        "undone": scored.undone, "regret": None if scored.regret is None else round(scored.regret, 4),
        "recovered": None if recovered is None or detected_ns is None else (recovered - detected_ns) // 60_000_000_000,
        "confidence": None if last is None or last.plan is None else round(last.plan.confidence, 4),
        "grounded": None if not found else all(one.grounded for one in found),
        "exact_set": exact, "causes": [{"node": one.node, "kind": one.kind} for one in found],
        "cause_first": _among(named[:1], laid, now_ns), "cause_in_three": _among(named[:3], laid, now_ns),
        "steps": 0 if findings is None else findings.steps, "by_itself": not scored.handed,
        "may_act": bool(accepted) and not laid.run.scenario.blackout,
    }  # fmt: skip


def _among(named: Sequence[tuple[str, str]], laid: Laid, now: int) -> bool:
    """Whether each true cause of now, node and kind, is among some."""
    return bool(laid.truths) and all(
        any(truth.at(node, now) and kind == str(truth.kind) for node, kind in named) for truth in laid.truths
    )

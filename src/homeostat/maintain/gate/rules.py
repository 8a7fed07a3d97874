"""The rules of the gate: one function each, in one table. Each looks at a plan and speaks, whether or not it agrees.

`execute` is what a rule that agrees asks for, `watch` is to wait, `escalate` is to ask a person. The gate does what the
most careful of them asks for. No rule learns, and none knows what the others ask for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from homeostat.maintain.gate.limits import DAY_NS, Limits
from homeostat.records.autonomy import Level, reach_of
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.plans import MAKER, Done, Plan, Spoke, Step, Tier
from homeostat.records.verdicts import Verdict

_INPUTS = frozenset({"repair", "lateness", "rebuild"})  # Kinds of change that mend what windows see.
_LEARNING = frozenset({"learning", "quarantine"})  # Kinds of change that alter what is learned, and no decision.


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the gate. steps : those that alter something or start a job"""

    plan: Plan
    steps: Sequence[Step]
    findings: Findings
    history: Sequence[Done]
    now_ns: int
    limits: Limits

    def since(self, span_ns: int) -> list[Done]:
        """Actions of a span. Pending ones count always, and future ones, since the clock may have been set back."""
        return [one for one in self.history if one.pending or one.at_ns > self.now_ns - span_ns]


def spoken(rule: str, agrees: bool, value: float, limit: float, why: str, otherwise: Tier = Tier.ESCALATE) -> Spoke:
    """A rule's word: execute where it agrees. A figure that is not known agrees with nothing."""
    agrees = agrees and not math.isnan(value) and not math.isnan(limit)
    return Spoke(rule, Tier.EXECUTE if agrees else otherwise, float(value), float(limit), why)


def kill_switch(asked: Asked) -> Spoke:
    """Nothing is done by itself while it is on."""
    on = asked.limits.stop
    return spoken("kill_switch", not on, on, 0, "the kill switch is on" if on else "the kill switch is off")


def figures(asked: Asked) -> Spoke:
    """Every figure of the plan and its findings is a finite number."""
    bad = sum(not math.isfinite(one) for one in _numbers((asked.plan, asked.findings)))
    return spoken("figures", bad == 0, bad, 0, f"{bad} figures of the plan or its findings are no finite numbers")


def time(asked: Asked) -> Spoke:
    """The plan was made a short while ago, and not in the future."""
    age, most = asked.now_ns - asked.plan.at_ns, asked.limits.age_ns
    why = f"the plan is {_hours(age)} old, and {_hours(most)} are allowed"
    return spoken("time", 0 <= age <= most, age / 3.6e12, most / 3.6e12, why)


def conclusion(asked: Asked) -> Spoke:
    """There is a cause, and the plan and the findings are of the same incident."""
    found, same = asked.findings, asked.findings.incident == asked.plan.incident
    agrees = found.conclusion == Conclusion.CAUSE and bool(found.findings) and same
    why = f"the investigation came to: {found.conclusion}" if same else "plan and findings are of different incidents"
    return spoken("conclusion", agrees, len(found.findings), 1, why)


def grounded(asked: Asked) -> Spoke:
    """Each finding has a path of evidence, of which each edge was measured."""
    guesses = sum(not one.grounded for one in asked.findings.findings) if asked.limits.grounded else 0
    why = f"{guesses} findings are guesses: no measured path leads from cause to symptom"
    return spoken("grounded", guesses == 0, guesses, 0, why)


def confidence(asked: Asked) -> Spoke:
    """The least of the calibrated probabilities reaches the limit."""
    found = [asked.plan.confidence, *(one.probability for one in asked.findings.findings)]
    least = math.nan if any(math.isnan(one) for one in found) else min(found)
    limit = asked.limits.confidence
    why = f"confidence is {least:.3g}, and {limit:.3g} is asked for"
    return spoken("confidence", limit <= least <= 1, least, limit, why)


def autonomy(asked: Asked) -> Iterator[Spoke]:
    """Each kind of action has a level at which it is done without a person, at its reach."""
    for step in asked.steps:
        level = level_of(step, asked)
        why = f"{step.remedy} at {step.scope} is {level}"
        declared = asked.limits.declared(step.remedy, reach_of(step.scope))
        why += f", lowered from {declared} since it failed" if level != declared else ""
        agrees = level.rank >= Level.SUPERVISED.rank
        yield spoken("autonomy", agrees, level.rank, Level.SUPERVISED.rank, why)


def level_of(step: Step, asked: Asked) -> Level:
    """The level that is in force: the declared one, less one for each failure since an owner raised it."""
    key = (step.remedy, reach_of(step.scope))
    raised = asked.limits.raised_ns.get(key)
    failed = {
        (one.scope, one.at_ns)
        for one in asked.since(asked.limits.lowered_ns)
        if (one.remedy, reach_of(one.scope)) == key and one.verdict == Verdict.FAIL
        and (raised is None or max(one.at_ns, one.judged_ns) > raised)
    }  # fmt: skip
    return asked.limits.declared(*key).lowered(len(failed))


def reversible(asked: Asked) -> Iterator[Spoke]:
    """A step without an undo is a person's. No setting changes that."""
    for step in asked.steps:
        why = f"{step.remedy} at {step.scope} can{'' if step.reversible else 'not'} be undone"
        yield spoken("reversible", step.reversible is True, step.reversible is True, 1, why)


def benefit(asked: Asked) -> Iterator[Spoke]:
    """The saving of a step, at the lower end of its interval, is more than it costs.

    A step that alters only what is learned changes no decision of the rehearsal. It needs none. Nor does a training,
    whose version decides nothing before a plan of its own. Nor does a repair that was rehearsed, changes no decision
    and costs nothing: it mends what windows and learners see. A step whose use is measured in load or time
    saves no money that a cost could be held against, so it may cost nothing.
    """
    for step in asked.steps:
        hours, seen = asked.limits.worth_h, step.rehearsed
        saved = seen.low * hours
        if step.alterations and not step.job and all(str(one.kind) in _LEARNING for one in step.alterations):
            yield spoken("benefit", True, saved, step.cost, f"{step.remedy} alters what is learned, and no decision")
            continue
        if step.only_trains:
            yield spoken("benefit", step.cost >= 0, saved, step.cost, f"{step.remedy} trains, and no decision changes")
            continue
        agrees = seen.how != "none" and seen.n > 0 and step.cost >= 0 and saved > step.cost
        if seen.how == "load":
            why = f"{step.remedy} takes off at least {seen.low:.4g} events or seconds an hour, costs {step.cost:.4g}"
            yield spoken("benefit", agrees and step.cost == 0, saved, step.cost, why)
            continue
        if _mends_inputs(step):
            yield spoken("benefit", True, saved, step.cost, f"{step.remedy} changes no decision, and costs nothing")
            continue
        why = f"{step.remedy} saves at least {saved:.4g} in {hours:.4g} hours, and costs {step.cost:.4g}"
        why = why if seen.how != "none" else f"{step.remedy} was not rehearsed"
        loses = seen.how != "none" and seen.high * hours <= step.cost
        yield spoken("benefit", agrees, saved, step.cost, why, Tier.WATCH if loses else Tier.ESCALATE)


def _mends_inputs(step: Step) -> bool:
    """Whether a step was rehearsed, alters what comes in alone, and changes no decision at no cost."""
    seen = step.rehearsed
    of_inputs = bool(step.alterations) and all(str(one.kind) in _INPUTS for one in step.alterations) and not step.job
    free = seen.low == seen.high == step.cost == step.blast.decisions == 0
    return of_inputs and free and seen.how != "none" and seen.n > 0


def cost_budget(asked: Asked) -> Spoke:
    """The cost of actions in 24 hours, those of this plan included."""
    costs = [one.cost for one in asked.since(DAY_NS)] + [one.cost for one in asked.steps]
    cost = sum(one if one >= 0 else math.inf for one in costs)  # One that is not known, or a gain, is no discount.
    limit = asked.limits.cost_per_day
    why = f"actions cost {cost:.4g} in 24 hours, this plan included, and {limit:.4g} is allowed"
    return spoken("cost_budget", cost <= limit, cost, limit, why)


def action_budget(asked: Asked) -> Spoke:
    """The number of actions in 24 hours, those of this plan included."""
    n, limit = len(asked.since(DAY_NS)) + len(asked.steps), asked.limits.actions_per_day
    why = f"{n} actions in 24 hours, this plan included, and {limit} are allowed"
    return spoken("action_budget", n <= limit, n, limit, why)


def rate(asked: Asked) -> Spoke:
    """The number of actions in a shorter span; what is too fast waits."""
    limit, span_ns = asked.limits.rate
    n = len(asked.since(span_ns)) + len(asked.steps)
    why = f"{n} actions in {_hours(span_ns)}, this plan included, and {limit:g} are allowed"
    return spoken("rate", n <= limit, n, limit, why, Tier.WATCH)


def cool_down(asked: Asked) -> Iterator[Spoke]:
    """The same action at the same place waits, so that the effect of the last one can be seen."""
    for step in asked.steps:
        same = [one for one in asked.history if (one.remedy, one.scope) == (step.remedy, step.scope)]
        last = max((asked.now_ns if one.pending else one.at_ns for one in same), default=None)
        since = math.inf if last is None else (asked.now_ns - last) / 3.6e12
        least = asked.limits.cool_ns / 3.6e12
        what = f"{step.remedy} at {step.scope}"
        why = f"{what} was done {since:.3g} hours ago, and waits {least:.3g}" if last is not None else f"{what} is new"
        yield spoken("cool_down", last is None or since >= least, since, least, why, Tier.WATCH)


def blast(asked: Asked) -> Iterator[Spoke]:
    """The shares of decisions and entities, and the money an hour, that the steps touch together."""
    limits = asked.limits
    for name, values, limit in (
        ("decisions", [step.blast.decisions for step in asked.steps], limits.decisions),
        ("entities", [step.blast.entities for step in asked.steps], limits.entities),
        ("money", [step.blast.money_per_hour for step in asked.steps], limits.money),
    ):
        total = sum(values)
        why = f"the plan touches {total:.3g} of {name}, and {limit:.3g} is allowed"
        yield spoken(f"blast_{name}", min(values) >= 0 and total <= limit, total, limit, why)


def blackout(asked: Asked) -> Spoke:
    """No blackout holds."""
    names = [one.name for one in asked.limits.blackouts if one.holds(asked.now_ns)]
    why = f"it is a time of: {', '.join(names)}" if names else "it is the time of no blackout"
    return spoken("blackout", not names, len(names), 0, why)


def business(asked: Asked) -> Iterator[Spoke]:
    """The app's own rules. Each speaks once for the plan."""
    rules = asked.limits.business
    holding = [rules.holding(asked.plan, step, asked.findings, asked.now_ns) for step in asked.steps]
    for at, rule in enumerate(rules.rules):
        hits = sum(one[at] for one in holding)
        why = f"{rule.when!r} holds for {hits} of {len(holding)} steps" + (f": {rule.reason}" if rule.reason else "")
        yield spoken(f"rule:{rule.name}", hits == 0, hits, 0, why, rule.then)


def four_eyes(asked: Asked) -> Iterator[Spoke]:
    """Kinds of action for which two have to agree: nothing approves what it asked for itself."""
    for step in asked.steps:
        named = step.remedy in asked.limits.four_eyes
        why = f"{step.remedy} needs {'a person who did not ask for it' if named else 'no second person'}"
        yield spoken("four_eyes", not named, named, 0, why)


def edited(asked: Asked) -> Spoke:
    """A plan that a person has edited is approved by a person, too."""
    own = asked.plan.by == MAKER
    why = "no person has edited the plan" if own else f"{asked.plan.by} has edited the plan, which needs an approval"
    return spoken("edited", own, not own, 0, why)


RULES: Sequence[Callable[[Asked], Spoke | Iterable[Spoke]]] = (
    kill_switch, figures, time, conclusion, grounded, confidence, autonomy, reversible, benefit, cost_budget,
    action_budget, rate, cool_down, blast, blackout, business, four_eyes,
    edited,
)  # fmt: skip
"""All of them, in the order in which they speak."""


def _numbers(value: Any) -> Iterator[float]:
    """Every number in a record, in its mappings and its sequences."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, str):
        return
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _numbers(one)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _numbers(getattr(value, one.name))


def _hours(span_ns: int) -> str:
    return f"{span_ns / 3.6e12:.3g} h"

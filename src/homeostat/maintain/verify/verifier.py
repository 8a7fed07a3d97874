"""A step's verdict: whether decisions since then are those that its rehearsal predicted.

The mean risk since the step is held against two figures: the rehearsal's prediction, and what it was before. PASS needs
the interval on the prediction's side of the middle. FAIL needs it on the other side, where risk may stand in for
outcomes, or an action that people feel at more than the predicted share. All else is INCONCLUSIVE, unless a replay of
the same events without the step can say it: that extends the deadline once, and then the step is undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite, isnan, nan, sqrt

from homeostat.records.plans import Plan, Receipt, Rehearsed, Verified
from homeostat.records.verdicts import Verdict

_Z = 1.959963984540054  # Two-sided 95 % of a normal law.
_LEAST = 50  # Decisions below which there is no verdict.
_HARM_BEYOND = 1.5  # The harshest action may be taken so many times as often as predicted.
_HARM_FLOOR = 0.01
_HARM_Z = 4.0  # It is asked hour after hour, of few decisions at first, and nights differ from days.


@dataclass(frozen=True, slots=True)
class Course:
    """Decisions of a span.

    n : how many; risk, spread : mean and standard deviation of their risk, NaN where there is none
    mix : the share of each action, mildest first
    applied : whether every change of the step is still in force
    ended : the share of the incident's signals that hold no longer
    """

    n: int
    risk: float
    spread: float
    mix: tuple[float, ...]
    applied: bool
    ended: float = 0.0


def verdict_of(plan: Plan, receipt: Receipt, course: Course, now_ns: int, extended: bool) -> Verified | None:
    """The verdict on a step; None while it is too early to say.

    extended : whether its deadline was moved once
    """
    step = plan.steps[receipt.step]
    expects = step.expects
    by = _number(expects, "by_ns", 0.0) * (2 if extended else 1)
    late = now_ns - receipt.at_ns >= by
    before, predicted = _number(expects, "before"), _number(expects, "predicted")
    if not course.applied:
        return _made(receipt, now_ns, Verdict.FAIL, predicted, course, nan, "somebody has undone it", extended)
    harm = _harm(expects, course)
    if harm:
        return _made(receipt, now_ns, Verdict.FAIL, predicted, course, nan, harm, extended)
    if expects.get("metric") != "mean risk" or isnan(predicted):
        if not late:
            return None
        why = "it is in force, and nothing else has broken"
        return _made(receipt, now_ns, Verdict.PASS, predicted, course, nan, why, extended)
    if course.n < _LEAST or not isfinite(course.risk):
        why = "too few decisions since then"
        return _made(receipt, now_ns, Verdict.INCONCLUSIVE, predicted, course, nan, why, extended) if late else None
    # Both means are estimates: that of the rehearsal rests on as many decisions as it replayed.
    rehearsed_n = max(1, step.rehearsed.n)
    error = sqrt(course.spread**2 / course.n + _number(expects, "spread", 0.0) ** 2 / rehearsed_n)
    middle, gap = (before + predicted) / 2, abs(predicted - before)
    if gap < 2 * _Z * error or isnan(before):
        if not late:
            return None
        # The step moves too little to be seen in the mean: the symptoms decide.
        if course.ended >= 0.5:
            why = "the signals that led to it have ended"
            return _made(receipt, now_ns, Verdict.PASS, predicted, course, error, why, extended)
        why = "its effect is too small to be seen"
        return _made(receipt, now_ns, Verdict.INCONCLUSIVE, predicted, course, error, why, extended)
    low, high = course.risk - _Z * error, course.risk + _Z * error
    on_its_side = low > middle if predicted > before else high < middle
    on_the_other = high < middle if predicted > before else low > middle
    if on_its_side:
        return _made(receipt, now_ns, Verdict.PASS, predicted, course, error, "the predicted effect was seen", extended)
    if on_the_other and late and not expects.get("labels_only"):
        why = "decisions are as they were before"
        return _made(receipt, now_ns, Verdict.FAIL, predicted, course, error, why, extended)
    if late:
        why = "the effect can't be seen by now"
        return _made(receipt, now_ns, Verdict.INCONCLUSIVE, predicted, course, error, why, extended)
    return None


def by_undoing(found: Verified, plan: Plan, undone: Rehearsed, moved: float) -> Verified:
    """A verdict that the mean could not give, from a replay of the same events without the step.

    undone : the cost an hour that undoing it would have saved since then
    moved : the share of decisions that would have been others
    """
    step = plan.steps[found.step]
    if found.verdict != Verdict.INCONCLUSIVE or undone.n < _LEAST or undone.how != "replay":
        return found
    if moved == 0:
        if step.blast.decisions > 0:
            return found  # It was to change decisions, and has not yet.
        why = "it was to change no decision, and without it each would have been the same"
        return replace(found, verdict=Verdict.PASS, why=why)
    if undone.high <= 0:
        why = f"without it, decisions since then would have cost {-undone.effect:.3g} an hour more"
        return replace(found, verdict=Verdict.PASS, why=why)
    if undone.low > 0:
        why = f"without it, decisions since then would have cost {undone.effect:.3g} an hour less"
        return replace(found, verdict=Verdict.FAIL, why=why)
    return found


def _harm(expects: Mapping[str, object], course: Course) -> str:
    mix = expects.get("mix")
    if not isinstance(mix, tuple | list) or len(mix) < 2 or len(course.mix) != len(mix) or course.n < _LEAST:
        return ""
    wanted, seen = float(mix[-1]), course.mix[-1]
    bound = max(_HARM_FLOOR, _HARM_BEYOND * wanted)
    error = _HARM_Z * sqrt(seen * (1 - seen) / course.n)
    if seen - error > bound:
        return f"the harshest action is taken in {seen:.1%} of decisions, where {wanted:.1%} was predicted"
    return ""


def _made(
    receipt: Receipt, now_ns: int, verdict: Verdict, predicted: float, course: Course, error: float, why: str,
    extended: bool,
) -> Verified:  # fmt: skip
    seen = course.risk
    low, high = (nan, nan) if isnan(error) else (seen - _Z * error, seen + _Z * error)
    return Verified(receipt.step, now_ns, verdict, predicted, seen, low, high, course.n, why, extended, receipt.key)


def _number(expects: Mapping[str, object], name: str, default: float = nan) -> float:
    value = expects.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default

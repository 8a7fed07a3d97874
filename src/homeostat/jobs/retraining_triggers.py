"""The reasons to train again: the calendar, outcomes, feedback, quality below a bound, or a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from homeostat.config.retraining import QualityTrigger, Retrain
from homeostat.config.scalars import duration_text
from homeostat.jobs.retraining_record import ENDED, Round
from homeostat.jobs.retraining_traffic import Counted, Traffic
from homeostat.records.times import time_text

REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Due:
    """A trigger, or why nothing is due.

    trigger : its name, empty where nothing is due; why : in words
    tunes : whether the round is to tune
    """

    trigger: str
    why: str
    tunes: bool = False


@dataclass(frozen=True, slots=True)
class Enough:
    """The data that a training would learn from, and whether that is enough.

    until_ns, from_ns : the training window
    """

    until_ns: int
    from_ns: int | None
    counted: Counted
    why_not: str


def enough(traffic: Traffic, retrain: Retrain, until_ns: int | None = None) -> Enough:
    """Whether there is enough data to train.

    until_ns : the moment of training; that of now, before the events that judge, when None
    """
    moment = traffic.newest_ns - retrain.validation if until_ns is None else until_ns
    from_ns = None if retrain.window is None else moment - retrain.window
    found, least = traffic.teaching(from_ns, moment), retrain.least
    missing = [
        f"{have:,} of {need:,} {name}"
        for name, have, need in (
            ("outcomes", found.outcomes, least.outcomes), ("positive ones", found.positives, least.positives)
        )
        if have < need
    ]  # fmt: skip
    return Enough(moment, from_ns, found, f"not enough data to train on: {' and '.join(missing)}" if missing else "")


def cooling(last: Round | None, retrain: Retrain, now_ns: int) -> str:
    """Why it is too early after the last round; empty where it is not."""
    if last is None or not last.over:
        return ""
    until_ns = last.steps[ENDED].at_ns + retrain.cool_down
    return f"round {last.number} has just ended: it cools down until {time_text(until_ns)}" if now_ns < until_ns else ""


def due(
    retrain: Retrain, traffic: Traffic, last: Round | None, since_ns: int | None, now_ns: int,
    feedback: Callable[[int], float], first: Iterable[Due] = (),
) -> Due:  # fmt: skip
    """The first trigger that asks for a round, or why none does.

    last : the newest round, which is over; since_ns : when something was last trained or deployed; None for never
    feedback : its weight since a time
    first : triggers that come before those of retraining
    """
    waits = []
    for one in chain(first, _looks(retrain, traffic, last, since_ns, now_ns, feedback)):
        if one.trigger:
            return one
        waits.append(one.why)
    return Due("", "; ".join(waits) or "no trigger is declared: ask with --now")


def _looks(
    retrain: Retrain, traffic: Traffic, last: Round | None, since_ns: int | None, now_ns: int,
    feedback: Callable[[int], float],
) -> Iterator[Due]:  # fmt: skip
    if retrain.every is not None:
        if since_ns is None:
            yield Due("every", "nothing was trained here before")
        elif now_ns >= since_ns + retrain.every:
            yield Due("every", f"{duration_text(retrain.every)} have passed since {time_text(since_ns)}")
        else:
            yield Due("", f"due by the calendar at {time_text(since_ns + retrain.every)}")
    if retrain.outcomes is not None:
        before = 0 if last is None else traffic.counted(int(last.began["entry"])).outcomes
        new = traffic.counted().outcomes - before
        yield Due("outcomes" if new >= retrain.outcomes else "", f"{new:,} of {retrain.outcomes:,} new outcomes")
    if retrain.feedback is not None:
        weight = feedback(since_ns or 0)
        needed = retrain.feedback.weight
        yield Due("feedback" if weight >= needed else "", f"feedback of weight {weight:.4g} of {needed:.6g}")
    if retrain.quality is not None:
        yield of_quality(retrain.quality, traffic)


def of_quality(spec: QualityTrigger, traffic: Traffic) -> Due:
    """Whether the decisions are surely worse than a bound."""
    found, name = traffic.quality(spec.metric, spec.over, spec.confidence), spec.metric.replace("_", " ")
    if found.bounds is None:
        return Due("", f"{name} can't be judged on {found.outcomes:,} outcomes: {found.why or 'too few'}")
    low, high = found.bounds
    facts = f"{name} is {found.value:.4g}, between {low:.4g} and {high:.4g} on {found.outcomes:,} outcomes"
    if spec.below is not None and high < spec.below:
        return Due("quality", f"{facts}, below {spec.below:g}")
    if spec.above is not None and low > spec.above:
        return Due("quality", f"{facts}, above {spec.above:g}")
    return Due("", facts)

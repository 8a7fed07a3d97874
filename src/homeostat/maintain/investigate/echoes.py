"""An incident that another one explains: outcomes of events of that time come in, or its remedy shows.

The outcomes of the events under a fault become known for as long as outcomes take, also when the fault is mended. And
a remedy moves decisions, which its own verdict judges. A remedy that mends what comes in ends no fault outside: events
that are late, or that say a wrong time, have outcomes of another age for as long as it stands.
"""

from __future__ import annotations

from homeostat.maintain.contracts import Case, Elsewhere
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind, Signal
from homeostat.records.times import time_text

_HOUR_NS = 3_600 * 10**9
_SLACK_NS = 24 * _HOUR_NS  # How far the change point of a signal may be off.
_OUTCOMES_SLACK_NS = 72 * _HOUR_NS  # The same of outcomes, which are looked at over days.
_OF_OUTCOMES = frozenset({"outcome", "segment", "labels"})
_LAWS = frozenset(
    map(
        str,
        (Cause.CONCEPT, Cause.REGIME, Cause.SEGMENT, Cause.BASE_RATE, Cause.POPULATION, Cause.ADVERSARY),
    )
)
_OF_TIME = frozenset(map(str, (Cause.LATE, Cause.CLOCK, Cause.DUPLICATES)))  # They make outcomes a little older.
_A_LITTLE = 0.05  # Of outcomes, or of the age at which they are mature. A label pipeline that breaks moves more.


def echo_of(case: Case, matures_ns: int) -> str:
    """The known cause that explains every signal that makes an incident, in a sentence; empty where none does.

    matures_ns : the age from which on outcomes are known
    """
    main = [one for one in case.signals if one.series.alone and one.still] or list(case.signals)
    for known in case.elsewhere:
        if main and all(_explains(known, one, matures_ns) for one in main):
            if any(_of_age(known, one) for one in main):
                return f"{known.kind} at {known.node} explains it: outcomes are a little older while its remedy stands"
            until = time_text(known.until_ns + matures_ns + _OUTCOMES_SLACK_NS)
            return f"{known.kind} at {known.node} explains it: outcomes of that time come in until {until}"
    return ""


def _explains(known: Elsewhere, signal: Signal, matures_ns: int) -> bool:
    at = signal.since_ns
    of_outcomes = signal.series.node.partition(":")[0] in _OF_OUTCOMES
    over = known.mended or known.kind not in _LAWS  # Another law goes on to show in outcomes until it is answered.
    if of_outcomes and over and known.since_ns <= at <= known.until_ns + matures_ns + _OUTCOMES_SLACK_NS:
        return True
    if _of_age(known, signal):
        return True
    return any(-2 * _HOUR_NS <= at - act <= _SLACK_NS for act in known.acts_ns)


def _of_age(known: Elsewhere, signal: Signal) -> bool:
    """Whether outcomes are a little older since events come late, or with wrong times, under a remedy that stands."""
    little = signal.series.kind == Kind.DELAY and abs(signal.effect) <= _A_LITTLE
    return little and known.mended and known.kind in _OF_TIME and known.since_ns <= signal.since_ns

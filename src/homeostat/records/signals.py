"""The figures that loop 2 takes, and the signals that they raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from homeostat.records.arrays import Float


class Kind(StrEnum):
    """The kind of a change that a series can show. Each names a cause, not a statistic."""

    MISSING = "missing"  # More or fewer values are absent.
    UNIT = "unit"  # Values are those of another scale.
    SCHEMA = "schema"  # A field has another name, type, format or range, or an unknown category.
    FROZEN = "frozen"  # A value sticks.
    DISTRIBUTION = "distribution"  # Values lie otherwise, and none of the above explains it.
    VOLUME = "volume"  # More or fewer events than the season has.
    SILENCE = "silence"  # A source sends nothing.
    DUPLICATES = "duplicates"  # Events come again, under their own ids or new ones.
    LATE = "late"  # Events come late or out of order.
    CLOCK = "clock"  # Times are skewed, or of another time zone.
    CONCEPT = "concept"  # Outcomes follow otherwise from the same inputs.
    BASE_RATE = "base_rate"  # More or fewer positives, of the same kind.
    CALIBRATION = "calibration"  # Risk is higher or lower than the share of positives.
    QUALITY = "quality"  # Decisions rank or cost worse than they did.
    DELAY = "delay"  # Outcomes take longer to be known, or are missing.
    FLIPS = "flips"  # Labels contradict their neighbours.
    POISONING = "poisoning"  # Few accounts give odd feedback.
    SKEW = "skew"  # Served and replayed features differ.
    VERSION = "version"  # Another version decides, and decides otherwise.
    CONFIGURATION = "configuration"  # Settings differ, and decisions with them.
    OUTAGE = "outage"  # A part or a dependency fails or is away.
    LATENCY = "latency"  # Decisions take longer.
    ACTIONS = "actions"  # Another mix of actions.
    FLOOD = "flood"  # A burst of events of few entities.
    PROBING = "probing"  # Events gather just below a threshold.
    FAIRNESS = "fairness"  # A group is treated otherwise than the app's bounds allow.
    SEGMENT = "segment"  # One part of the traffic goes wrong.


BROKEN = "assumption broken"
"""A note of signals and incidents: mature outcomes contradict the law by which quality is estimated without labels."""

Side = Literal["up", "down", "both"]
Scale = Literal["share", "mean", "count", "fact"]


@dataclass(frozen=True, slots=True)
class Series:
    """One figure that a monitor takes at every tick.

    monitor : who takes it
    node : where in the app's causal graph it is taken: see `records.causes.CausalGraph`
    kind : of the change that it shows
    name : tells it from others of the same node and kind, in words of the field: `null share`, `median ratio`
    unit : of the value: `share`, `ratio`, `events`, `us`
    side : the direction that is trouble
    scale : a share of n (binomial), a mean of n, a count (Poisson), or a fact, which is 0 unless something is wrong
    seasonal : whether hour and weekday move it
    weight : its part of the budget of false alarms, against 1 of an ordinary series
    alone : whether a signal of it makes an incident by itself; if not, it is evidence beside others
    """

    monitor: str
    node: str
    kind: Kind
    name: str
    unit: str = "share"
    side: Side = "both"
    scale: Scale = "share"
    seasonal: bool = False
    weight: float = 1.0
    alone: bool = True

    @property
    def key(self) -> str:
        """Its identity, as text.

        >>> Series("contract", "field:amount", Kind.MISSING, "null share").key
        'contract/field:amount/missing/null share'
        """
        return f"{self.monitor}/{self.node}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of some series at one tick.

    value : (k,) NaN where there was nothing to measure
    n : (k,) how many observations it rests on
    spread : (k,) the standard error that follows from its own n alone, NaN where that is to be learned from the past
    """

    value: Float
    n: Float
    spread: Float


@dataclass(frozen=True, slots=True)
class Signal:
    """A series left its past. While that goes on, later signals of the series have the same `since_ns`.

    id : follows from app, series and `since_ns`, so that the same signal after a crash is the same
    at_ns : event time of the tick that raised it
    since_ns, since_low_ns, since_high_ns : when the change began, with its 95 % interval
    e_value : evidence against "as before"; an alarm is at 1 / (share of the budget)
    p_value : of the tick alone, by rank among the series' own past
    value, before, effect, low, high : the value now, that of its past, and their difference with its 95 % interval,
        in the series' unit
    n : observations since the change
    method : how it was found, by its usual name
    from_ns, to_ns : the span that was looked at
    decisions : the share of decisions by which it moves the mix of actions, so at least so many came out otherwise;
        NaN where that is not known
    cost_per_hour : the realised cost beyond that of its past, in the app's currency, NaN where that is not known
    still : whether it holds on; a signal that has ended is raised once more with False
    notes : what else is known (the new category, the account), for people; where `decisions` were measured, `risk` and
        `actions`: the mean risk and the share of each action, before and with the change
    """

    id: str
    series: Series
    at_ns: int
    since_ns: int
    since_low_ns: int
    since_high_ns: int
    e_value: float
    p_value: float
    value: float
    before: float
    effect: float
    low: float
    high: float
    n: int
    method: str
    from_ns: int
    to_ns: int
    decisions: float = float("nan")
    cost_per_hour: float = float("nan")
    still: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict)

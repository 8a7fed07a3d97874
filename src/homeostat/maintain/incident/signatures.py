"""The marks that each kind of cause leaves: which signals it raises, where, and how often.

One table, which the ranking reads. A number is the share of cases with this cause in which a signal of that kind comes
up at such a place; they are judgements from how the parts work, rounded, and not fitted to single cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from homeostat.records.causes import Cause
from homeostat.records.signals import Kind, Signal

HERE: Final = "here"
"""The place of the cause itself. Other places are classes of nodes: `field`, `feature`, `outcome`."""

LABELLED: Final = "labelled"
"""Features that read labels, where the cause is at the outcome: what is known late comes back through windows."""


UNEXPLAINED: Final = "unexplained"
"""Scores and risks that the features do not explain: another model or another library gives others for the same."""


SOONER: Final = "sooner"
"""Outcomes that are known sooner than before: where positives are reported first, more positives do that."""

OWN_PLACES: Final = frozenset({UNEXPLAINED, SOONER})


@dataclass(frozen=True, slots=True)
class Signature:
    """The marks of one kind of cause.

    where : the classes of nodes at which it can be
    prior : how common it is against others, before anything is seen
    raises : (kind, place) -> share of cases
    logged : the node of the change log in which it shows, "" where no log knows of it
    """

    where: tuple[str, ...]
    prior: float
    raises: Mapping[tuple[Kind, str], float]
    logged: str = ""

    def own(self, kind: Kind, node: str) -> float:
        """The share of cases in which a signal of a kind comes up at the node of the cause."""
        return max(self.raises.get((kind, HERE), 0.0), self.raises.get((kind, class_of(node)), 0.0))


CONSEQUENCES: Final = frozenset({
    Kind.DISTRIBUTION, Kind.ACTIONS, Kind.QUALITY, Kind.CALIBRATION, Kind.CONCEPT, Kind.BASE_RATE, Kind.SEGMENT,
    Kind.FAIRNESS, Kind.VOLUME,
})  # fmt: skip
"""Kinds of signals that a fault elsewhere can raise. The others name a cause where they stand."""


@lru_cache(maxsize=4096)
def class_of(node: str) -> str:
    """The class of a node.

    >>> class_of("feature:night"), class_of("outcome")
    ('feature', 'outcome')
    """
    return node.partition(":")[0]


def place_of(signal: Signal) -> str:
    """The place at which the table looks a signal up: the class of its node, or a place of its own."""
    series = signal.series
    if series.kind == Kind.DELAY and (signal.effect > 0) == series.name.startswith("known"):
        return SOONER
    return UNEXPLAINED if series.name.startswith(UNEXPLAINED) else class_of(series.node)


def _at(place: str, **shares: float) -> dict[tuple[Kind, str], float]:
    return {(Kind(kind), place): share for kind, share in shares.items()}


_DECIDED = (
    _at("scorer", distribution=0.3) | _at("fusion", distribution=0.4, calibration=0.2) | _at("action", actions=0.35)
    | _at("policy", actions=0.35) | _at("guards", actions=0.35, distribution=0.1)
)  # fmt: skip
"""Where inputs differ, scores, risk and actions often do."""

_HARMED = _at("outcome", quality=0.3, calibration=0.25, concept=0.15, base_rate=0.15) | _at("segment", segment=0.15)
"""Where decisions differ for a bad reason, outcomes are often worse."""

_MOVED = (
    _at("feature", distribution=0.6, missing=0.1) | _at(UNEXPLAINED, distribution=0.2) | _DECIDED | _HARMED
)  # fmt: skip

_OUTCOMES = (
    _at(LABELLED, distribution=0.5) | _at("scorer", distribution=0.25) | _at("source", distribution=0.15)
    | _at("fusion", distribution=0.3, calibration=0.5) | _at("action", actions=0.3) | _at("policy", actions=0.3)
    | _at(SOONER, delay=0.3)
)  # fmt: skip
"""Another law of outcomes, or other labels, come back through the features that read labels, and all that follows."""


def _of(where: str, prior: float, *parts: Mapping[tuple[Kind, str], float], logged: str = "") -> Signature:
    raises: dict[tuple[Kind, str], float] = {}
    for part in parts:
        raises |= part
    return Signature(tuple(where.split()), prior, raises, logged)


SIGNATURES: Final[Mapping[Cause, Signature]] = {
    Cause.POPULATION: _of(
        "source", 2.0, _MOVED, _at("source", distribution=0.7, volume=0.15),
        _at("field", distribution=0.6, schema=0.05), _at("entity", distribution=0.5, volume=0.1),
        _at("outcome", quality=0.3, base_rate=0.3, calibration=0.25),
    ),
    Cause.CALENDAR: _of(
        "source", 0.7, _MOVED, _at("source", volume=0.95, distribution=0.5),
        _at("field", distribution=0.4), _at("entity", distribution=0.4, volume=0.4), _at("serving", latency=0.1),
    ),
    Cause.FLOOD: _of(
        "source", 0.7, _MOVED, _at("source", flood=0.8, volume=0.9, distribution=0.4, duplicates=0.1),
        _at("entity", flood=0.8, distribution=0.6, volume=0.3), _at("field", distribution=0.4, frozen=0.1),
        _at("serving", latency=0.15),
    ),
    Cause.DUPLICATES: _of(
        "source", 0.8, _MOVED, _at("source", duplicates=0.95, volume=0.4, distribution=0.2),
        _at("entity", distribution=0.2, flood=0.1, duplicates=0.3),
    ),
    Cause.LATE: _of(
        "source", 0.8, _MOVED, _at("source", late=0.95, volume=0.3, silence=0.15), _at("time", late=0.5, clock=0.1),
        _at("feature", distribution=0.3),
    ),
    Cause.INJECTION: _of("source", 0.1, _at("field", schema=0.6, distribution=0.2), _at("source", schema=0.3)),
    Cause.CLOCK: _of(
        "time", 0.8, _at("feature", distribution=0.4), _DECIDED, _HARMED,
        _at(HERE, clock=0.9, distribution=0.3, late=0.3), _at("source", clock=0.6, late=0.4, volume=0.3),
    ),
    Cause.UNIT: _of(
        "field", 1.0, _MOVED, _at(HERE, unit=0.9, distribution=0.6, schema=0.25), _at("source", distribution=0.2),
        _at(UNEXPLAINED, distribution=0.35),
    ),
    Cause.SCHEMA: _of(
        "field", 1.0, _MOVED, _at(HERE, schema=0.9, missing=0.5, distribution=0.3, unit=0.05),
        _at("source", volume=0.3, schema=0.3, silence=0.1, distribution=0.2), _at("feature", missing=0.3),
    ),
    Cause.MISSING: _of(
        "field", 1.0, _MOVED, _at(HERE, missing=0.97, distribution=0.2), _at("source", distribution=0.2, volume=0.2),
        _at("feature", missing=0.4, distribution=0.5), _at(UNEXPLAINED, distribution=0.35),
    ),
    Cause.FROZEN: _of(
        "field", 1.0, _MOVED, _at(HERE, frozen=0.9, distribution=0.5), _at("source", distribution=0.2),
    ),
    Cause.ADVERSARY: _of(
        "entity field", 0.6, _MOVED, _at(HERE, distribution=0.5, probing=0.4, flood=0.25),
        _at("policy", probing=0.5), _at("fusion", probing=0.5, distribution=0.4), _at("action", probing=0.4),
        _at("source", probing=0.3, distribution=0.2), _at("outcome", quality=0.5, concept=0.3, base_rate=0.3),
    ),
    Cause.SKEW: _of(
        "feature field", 1.0, _DECIDED, _HARMED, _at(HERE, skew=0.97, distribution=0.4),
        _at(UNEXPLAINED, distribution=0.3),
        _at("feature", skew=0.3, distribution=0.2), _at("serving", skew=0.2),
    ),
    Cause.CONCEPT: _of(
        "outcome", 1.2, _OUTCOMES,
        _at(HERE, concept=0.7, quality=0.7, calibration=0.5, base_rate=0.4, actions=0.05),
        _at("segment", segment=0.3), _at("labels", flips=0.15),
    ),
    Cause.REGIME: _of(
        "outcome", 0.5, _OUTCOMES,
        _at(HERE, concept=0.7, quality=0.7, calibration=0.5, base_rate=0.4), _at("segment", segment=0.3),
        _at("labels", flips=0.15),
    ),
    Cause.BASE_RATE: _of(
        "outcome", 1.0, _OUTCOMES,
        _at(HERE, base_rate=0.95, calibration=0.6, quality=0.3, concept=0.3),
        _at("segment", segment=0.1),
    ),
    Cause.SEGMENT: _of(
        "segment", 1.0, _OUTCOMES, _at(HERE, segment=0.95),
        _at("outcome", quality=0.6, calibration=0.5, concept=0.65, base_rate=0.35), _at("segment", segment=0.5),
    ),
    Cause.LABEL_DELAY: _of(
        "labels", 1.0, _OUTCOMES, _at(HERE, delay=0.97, flips=0.05), _at(SOONER, delay=0.1),
        _at("outcome", base_rate=0.3, quality=0.15, calibration=0.25, concept=0.1),
    ),
    Cause.LABEL_FLIPS: _of(
        "labels", 1.0, _OUTCOMES, _at(HERE, flips=0.9, poisoning=0.1), _at(SOONER, delay=0.5),
        _at("outcome", base_rate=0.6, quality=0.5, calibration=0.5, concept=0.6), _at("segment", segment=0.4),
    ),
    Cause.POISONING: _of(
        "labels", 0.7, _OUTCOMES, _at(HERE, poisoning=0.9, flips=0.35), _at(SOONER, delay=0.5),
        _at("entity", poisoning=0.3), _at("segment", segment=0.3),
        _at("outcome", base_rate=0.35, quality=0.3, calibration=0.3, concept=0.3),
    ),
    Cause.VERSION: _of(
        "version", 1.0, _DECIDED, _HARMED, _at(HERE, version=0.8), _at("scorer", distribution=0.5),
        _at(UNEXPLAINED, distribution=0.8),
        _at("fusion", distribution=0.5, calibration=0.4), _at("serving", latency=0.1, version=0.3, outage=0.05),
        _at("outcome", quality=0.6, calibration=0.5, concept=0.4), _at("action", actions=0.5),
        logged="version",
    ),
    Cause.CONFIGURATION: _of(
        "settings", 1.0, _HARMED, _at(HERE, configuration=0.85, actions=0.3), _at("action", actions=0.8),
        _at("policy", actions=0.5, configuration=0.3), _at("guards", actions=0.5), _at("fusion", distribution=0.1),
        _at("serving", configuration=0.3),
        logged="settings",
    ),
    Cause.ENVIRONMENT: _of(
        "environment", 0.7, _DECIDED, _HARMED, _at(HERE, version=0.3, skew=0.3, distribution=0.3),
        _at("scorer", distribution=0.5), _at("fusion", distribution=0.5, calibration=0.5), _at("action", actions=0.6),
        _at(UNEXPLAINED, distribution=0.9),
        _at("outcome", quality=0.4, calibration=0.5, concept=0.3), _at("feature", skew=0.1, distribution=0.05),
        _at("serving", latency=0.1),
    ),
    Cause.OUTAGE: _of(
        "dependency", 1.0, _DECIDED, _at(HERE, outage=0.9, latency=0.2),
        _at("serving", outage=0.8, latency=0.4), _at(UNEXPLAINED, distribution=0.3), _at("scorer", outage=0.5),
        _at("guards", outage=0.4),
        _at("policy", outage=0.3), _at("feature", missing=0.4, outage=0.4, distribution=0.4, skew=0.1),
        _at("action", actions=0.5),
    ),
    Cause.LATENCY: _of(
        "serving", 1.0, _at(HERE, latency=0.97, outage=0.25), _at("scorer", latency=0.4, outage=0.2),
        _at("action", actions=0.15), _at("guards", outage=0.15, actions=0.15), _at("dependency", latency=0.3),
    ),
}  # fmt: skip
"""The signature of every cause."""

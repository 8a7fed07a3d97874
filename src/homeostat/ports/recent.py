"""Recent traffic as columns: all that a person who looks into an incident would ask the journal for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int, Mask, Small
from homeostat.records.unknown import UnknownName


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that could not be read: when, which field, why, and the value as it came."""

    at_ns: int
    field: str
    reason: str
    value: str


@dataclass(frozen=True)
class Recent:
    """The last days' decisions and outcomes, in order of arrival, in the app's present names. Columns are (n,).

    entities, fields, features, scorers, actions, versions : names of columns and numbers
    kinds : of the fields: number, integer, boolean, category
    time_ns, arrived_ns : when an event says that it happened, and when it was recorded (0 where nobody says)
    keys : (n, entities); numbers : (n, fields) as they came; served : (n, features); scores : (n, scorers)
    action, proposed, rule, fallback, took_us, settings, late : of the decision; `late` is 1 past the lateness bound
    version : index into `versions`
    label : NaN where no outcome is known; known_ns : when it became known, 0 where it is not
    texts : of categories, by code
    refused : events that could not be read
    unknown : names in events that nobody declared, with how many events had them, over time
    matures_ns : the age from which on both kinds of outcome are known
    """

    entities: tuple[str, ...]
    fields: tuple[str, ...]
    kinds: tuple[str, ...]
    features: tuple[str, ...]
    scorers: tuple[str, ...]
    actions: tuple[str, ...]
    versions: tuple[str, ...]
    now_ns: int
    matures_ns: int
    id_code: Int
    time_ns: Int
    arrived_ns: Int
    keys: Int
    numbers: Float
    served: Float
    scores: Float
    risk: Float
    action: Small
    proposed: Small
    rule: Small
    fallback: Bytes
    took_us: Float
    settings: Int
    late: Bytes
    version: Int
    label: Float
    known_ns: Int
    texts: Mapping[float, str]
    refused: tuple[Refused, ...]
    unknown: tuple[UnknownName, ...] = ()

    def __len__(self) -> int:
        return len(self.id_code)

    @cached_property
    def came_ns(self) -> Int:
        """(n,) when each event came, as far as that is known; never falls."""
        known = np.where(self.arrived_ns > 0, self.arrived_ns, self.time_ns)
        found: Int = np.maximum.accumulate(known) if len(known) else known
        return found

    def between(self, from_ns: int, until_ns: int) -> slice:
        """The rows that came in [from, until)."""
        first, last = np.searchsorted(self.came_ns, [from_ns, until_ns])
        return slice(int(first), int(last))

    def known(self, positive: bool) -> Mask:
        """(n,) whether an outcome is known, and is of this kind."""
        found: Mask = self.label == (1.0 if positive else 0.0)
        return found


class RecentTraffic(Protocol):
    """Gives the last days' traffic. It is bounded: of very many events, the newest."""

    def until(self, now_ns: int) -> Recent:
        """The traffic as it was known by a moment of event time. Raises Unavailable."""
        ...

"""Alerts that belong together are one episode; episodes are judged by the faults that were injected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from homeostat.records.arrays import Mask
from homeostat.sim.infra.faults import Fault

QUIET = 15
"""So many steps without an alert end an episode; also, an alert so soon after a fault still belongs to it."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Alerts with no longer pause than QUIET steps.

    first, last : steps with an alert, both counted
    hosts : those that alerted, in the order of their first alert
    """

    first: int
    last: int
    hosts: tuple[int, ...]


def episodes(alert: Mask) -> list[Episode]:
    """The episodes of (steps, hosts) alerts, over all hosts together.

    >>> alert = np.zeros((60, 2), bool)
    >>> alert[[3, 5, 40], [0, 1, 1]] = True
    >>> [(one.first, one.last, one.hosts) for one in episodes(alert)]
    [(3, 5, (0, 1)), (40, 40, (1,))]
    """
    steps = np.flatnonzero(alert.any(axis=1))
    if not len(steps):
        return []
    edges = [0, *(np.flatnonzero(np.diff(steps) > QUIET) + 1).tolist(), len(steps)]
    return [_episode(alert, int(steps[a]), int(steps[b - 1])) for a, b in pairwise(edges)]


def _episode(alert: Mask, first: int, last: int) -> Episode:
    part = alert[first : last + 1]
    hosts = np.flatnonzero(part.any(axis=0))
    order = np.argsort(part[:, hosts].argmax(axis=0), kind="stable")
    return Episode(first, last, tuple(int(host) for host in hosts[order]))


@dataclass(frozen=True, slots=True)
class Judged:
    """How well the alerts fit the faults.

    delays : by fault, the steps from its beginning to the first alert of a host that it reaches; None if missed
    true, false : episodes that fall upon a fault, and those that do not
    false_of_hosts : false episodes counted for each host by itself
    host_weeks : how long all hosts were watched
    """

    delays: tuple[int | None, ...]
    true: int
    false: tuple[Episode, ...]
    false_of_hosts: int
    host_weeks: float

    @property
    def recall(self) -> float:
        """The share of the faults that were found; NaN without faults."""
        return sum(one is not None for one in self.delays) / len(self.delays) if self.delays else np.nan

    @property
    def precision(self) -> float:
        """The share of the episodes that fall upon a fault; NaN without episodes."""
        total = self.true + len(self.false)
        return self.true / total if total else np.nan

    @property
    def delay(self) -> float:
        """The median delay of the faults that were found, in steps; NaN without any."""
        found = [one for one in self.delays if one is not None]
        return float(median(found)) if found else np.nan

    @property
    def false_a_week(self) -> float:
        """False alarms of a host in a week."""
        return self.false_of_hosts / self.host_weeks


def judged(alert: Mask, reached: Sequence[Mask], faults: Sequence[Fault], first: int, step_s: int) -> Judged:
    """Judge (steps, hosts) alerts from the step `first` on.

    reached : by fault, (steps of the fault, hosts) where it reaches a host
    """
    alert = alert.copy()
    alert[:first] = False
    delays = tuple(_delay(alert, mask, fault) for mask, fault in zip(reached, faults, strict=True))
    found = episodes(alert)
    false = tuple(one for one in found if not _upon(one, faults))
    of_hosts = (episode for host in range(alert.shape[1]) for episode in episodes(alert[:, [host]]))
    weeks = alert.shape[1] * (len(alert) - first) * step_s / (7 * 86_400)
    return Judged(delays, len(found) - len(false), false, sum(not _upon(one, faults) for one in of_hosts), weeks)


def _delay(alert: Mask, reached: Mask, fault: Fault) -> int | None:
    rows = np.flatnonzero((alert[fault.start : fault.end] & reached).any(axis=1))
    return int(rows[0]) if len(rows) else None


def _upon(episode: Episode, faults: Sequence[Fault]) -> bool:
    return any(episode.first <= fault.end + QUIET and episode.last >= fault.start for fault in faults)

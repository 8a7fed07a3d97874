"""Which service began an episode: loop 2's ranking of causes, over how far each host is out of its bands."""

from __future__ import annotations

from collections import Counter

import numpy as np

from homeostat.jobs.infra.deciding import OUT_OF, Seen
from homeostat.maintain.investigate import rank_causes
from homeostat.records.arrays import Float, Int
from homeostat.sim.infra.centre import CALLS, SERVICES, service_of

BEFORE, PAUSE, AFTER = 120, 10, 6
"""Steps of the normal period, of the pause before an episode, and of an episode that are looked at."""
SHARED = ("latency", "errors")
"""Metrics that callers feel; all others, but the number of requests, are a host's own."""
# The ranking takes a processor as strange at 8 standard deviations and a duration at 100, and a standard deviation is
# at least .05 of the usual. With these as the usual, both are 4 spreads out of the band: that of an alert.
_OWN_USUAL, _SHARED_USUAL = 4 / (8 * 0.05), 4 / (100 * 0.05)


class _Frame:
    """Of each host, how far its own metrics are out, as a resource, and its shared ones, as a duration."""

    def __init__(self, out: Float) -> None:
        shared = [OUT_OF.index(name) for name in SHARED]
        own = [at for at, name in enumerate(OUT_OF) if name not in (*SHARED, "requests")]
        hosts = range(out.shape[1])
        self.index = range(len(out))
        self.columns = [(host, "cpu") for host in hosts] + [(host, "latency") for host in hosts]
        out = np.nan_to_num(out)
        parts = _OWN_USUAL + out[:, :, own].max(axis=2), _SHARED_USUAL + out[:, :, shared].max(axis=2)
        self._values = np.concatenate(parts, axis=1)

    def to_numpy(self) -> Float:
        """(steps, columns)"""
        return self._values


def causes(seen: Seen, first: int) -> list[tuple[str | None, float]]:
    """The services and None, each with the probability that it began what is seen from a step on, highest first."""
    steps, hosts = seen.action.shape
    normal = slice(max(0, first - PAUSE - BEFORE), max(2, first - PAUSE))
    window = slice(max(0, first - 1), min(steps, first + AFTER))
    runs = [SERVICES[service_of(host)].name for host in range(hosts)]
    calls = [(a, b) for a in range(hosts) for b in range(hosts) if (runs[a], runs[b]) in CALLS]
    found: Counter[str | None] = Counter()
    for host, probability in rank_causes(_Frame(seen.out[normal]), _Frame(seen.out[window]), calls):
        found[None if host is None else runs[int(str(host))]] += probability  # type: ignore[assignment]
    return sorted(found.items(), key=lambda one: (-one[1], str(one[0])))


def loudest(seen: Seen, first: int, hosts: tuple[int, ...] | Int) -> tuple[int, int, str]:
    """The step, host and metric that is farthest out of its band in the first steps of an episode.

    hosts : those that are looked at
    """
    out = np.nan_to_num(seen.out[first : first + AFTER][:, list(hosts)])
    step, host, metric = np.unravel_index(out.argmax(), out.shape)
    return first + int(step), int(hosts[host]), OUT_OF[metric]

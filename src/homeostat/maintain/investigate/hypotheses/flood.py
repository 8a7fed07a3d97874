"""A few entities send a multiple of the traffic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.inquiry import HOUR_NS, Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "source"
_FEW = 20


class FloodHypothesis:
    """See the module."""

    kind: str = Cause.FLOOD
    beats = frozenset(
        map(
            str,
            (
                Cause.CALENDAR,
                Cause.POPULATION,
                Cause.DUPLICATES,
                Cause.BASE_RATE,
                Cause.ADVERSARY,
                Cause.FROZEN,
                Cause.CONCEPT,
                Cause.LATENCY,
                Cause.POISONING,
            ),
        )
    )

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The source, where a signal says that there are more events, or that few entities send them."""
        if inquiry.signals(Kind.FLOOD, Kind.VOLUME):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """How many more events there are, and the share of the busiest entities in what came on top."""
        inquiry.steps += 1
        times = volume(inquiry)
        yield Answer(
            "events of the busiest hours since the onset, against those before", times, "times",
            1.0 if times > 2 else -4.0, False, inquiry.command,
        )  # fmt: skip
        _, share, before = busiest(inquiry)
        decides = share > 0.4 and share > 4 * before and times > 2
        yield Answer(
            f"share of the {_FEW} busiest entities, {before:.2%} before", share, "share", 5.0 if decides else -4.0,
            decides, inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The entity of a rate limit, and a count an hour that nobody but they exceeds."""
        recent = inquiry.recent
        if not recent.entities:
            return {}
        hour = recent.came_ns[inquiry.before] // HOUR_NS
        _, counts = np.unique(np.stack([hour, recent.keys[inquiry.before, 0]]), axis=1, return_counts=True)
        usual = int(np.quantile(counts, 0.9999)) if len(counts) else 1
        keys, _, _ = busiest(inquiry)
        return {
            "entity": recent.entities[0],
            "count": max(5, 2 * usual),
            "per": "1h",
            "per_ns": HOUR_NS,
            "entities": keys,
        }


def volume(inquiry: Inquiry) -> float:
    """Events of the busiest tenth of the hours since the onset, against those of the busiest tenth before."""
    now, then = (_busy(inquiry, rows) for rows in (inquiry.after, inquiry.before))
    return now / then if then > 0 else float("nan")


def _busy(inquiry: Inquiry, rows: slice) -> float:
    """The mean count of the busiest tenth of the hours in which anything came."""
    counts = np.unique(inquiry.recent.came_ns[rows] // HOUR_NS, return_counts=True)[1]
    return float(np.sort(counts)[-max(1, len(counts) // 10) :].mean()) if len(counts) else 0.0


def busiest(inquiry: Inquiry) -> tuple[list[int], float, float]:
    """The busiest keys of the first entity since the onset, their share, and the share of the busiest ones before."""
    keys = inquiry.recent.keys
    if not keys.shape[1]:
        return [], 0.0, 0.0
    found = []
    for rows in (inquiry.after, inquiry.before):
        known, counts = np.unique(keys[rows, 0], return_counts=True)
        top = np.argsort(-counts, kind="stable")[:_FEW]
        found.append((known[top].tolist(), float(counts[top].sum()) / max(1, int(counts.sum()))))
    return found[0][0], found[0][1], found[1][1]

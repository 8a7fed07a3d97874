"""Events come later than the app waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.inquiry import HOUR_NS, Answer, Inquiry
from homeostat.records.arrays import Float
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "source"
_MINUTE_NS = 60 * 10**9


class LateHypothesis:
    """See the module."""

    kind: str = Cause.LATE
    beats = frozenset(map(str, (Cause.POPULATION, Cause.CALENDAR, Cause.CONCEPT, Cause.SCHEMA, Cause.FLOOD)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The source, where a signal says that events are late, or clocks seem wrong."""
        if inquiry.signals(Kind.LATE, Kind.CLOCK):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The share of late events, against before; and whether their delays differ: those of a wrong clock do not."""
        inquiry.steps += 1
        late, was = inquiry.recent.late[inquiry.after] == 1, inquiry.recent.late[inquiry.before] == 1
        share = float(late.mean()) if len(late) else 0.0
        more = share_z(int(late.sum()), len(late), int(was.sum()), len(was)) > 5
        spread = spread_of(behind_ns(inquiry)[late])
        decides = more and spread > 0.15
        yield Answer("events past the lateness bound", share, "share", 3.0 if more else -4.0, False, inquiry.command)
        if more:
            yield Answer(
                "how much the delays of late events differ, against the largest", spread, "of 1",
                3.0 if decides else -5.0, decides, inquiry.command,
            )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The lateness bound within which nearly all late events come."""
        late = inquiry.recent.late[inquiry.after] == 1
        behind = behind_ns(inquiry)[late]
        if not len(behind):
            return {}
        return {"lateness": f"{ceil(float(np.quantile(behind, 0.995)) / (0.5 * HOUR_NS)) * 30}m"}


def behind_ns(inquiry: Inquiry) -> Float:
    """(m,) of the rows since the onset, how long after its event time each came."""
    recent, rows = inquiry.recent, inquiry.after
    found: Float = (recent.came_ns[rows] - recent.time_ns[rows]).astype(np.float64)
    return found


def spread_of(behind: Float) -> float:
    """The middle half of delays against their 95 % point: small where all come by the same.

    >>> spread_of(np.full(20, 3600e9)), round(spread_of(np.linspace(0, 100, 101)), 2)
    (0.0, 0.53)
    """
    if len(behind) < 5:
        return 0.0
    low, high, most = np.quantile(behind, [0.25, 0.75, 0.95])
    return (
        float((high - low) / max(abs(most), _MINUTE_NS)) if most > _MINUTE_NS else float((high - low) / max(most, 1e-9))
    )

"""Clocks of sources are wrong, by minutes or time zones: events come the same while before or after their time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.late import behind_ns
from homeostat.maintain.investigate.hypotheses.unit import sticks_to_sources
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.arrays import Float, Mask
from homeostat.records.causes import Cause
from homeostat.records.reasons import Reason
from homeostat.records.signals import Kind

NODE = "time"
_MINUTE_NS = 60 * 10**9
_NEAR_NS = 16 * _MINUTE_NS  # Journal entries are a quarter of an hour apart in quiet traffic.


class ClockHypothesis:
    """See the module."""

    kind: str = Cause.CLOCK
    beats = frozenset(
        map(str, (Cause.LATE, Cause.POPULATION, Cause.CALENDAR, Cause.CONCEPT, Cause.FLOOD, Cause.SCHEMA))
    )

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The time, where a signal says that clocks are wrong or events late."""
        if inquiry.signals(Kind.CLOCK, Kind.LATE) or inquiry.signals(Kind.SCHEMA, node=NODE):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Events off by one and the same time; events ahead of the clock; and whether sources are off as a whole."""
        inquiry.steps += 1
        recent = inquiry.recent
        ahead = sum(
            one.reason in (Reason.TOO_EARLY, Reason.BAD_TIME) and one.at_ns > inquiry.since_ns for one in recent.refused
        )
        earlier = sum(
            one.reason in (Reason.TOO_EARLY, Reason.BAD_TIME) and one.at_ns <= inquiry.low_ns for one in recent.refused
        )
        off = self._off(inquiry)
        n = len(off) + ahead
        if ahead > 5 * earlier + 5:
            share = ahead / n
            yield Answer(
                "events refused for a time ahead of the clock", share, "share", 5.0, share > 0.005, inquiry.command
            )
        by, together = shift_ns(inquiry)
        share = float(off.mean()) if len(off) else 0.0
        was = float(self._off_before(inquiry).mean()) if inquiry.before.stop > inquiry.before.start else 0.0
        m = inquiry.before.stop - inquiry.before.start
        more = share_z(share * len(off), len(off), was * m, m) > 5
        decides = more and together > 0.7
        yield Answer(
            f"events off by about {by / _MINUTE_NS:.0f} minutes, of those that are off", together, "share",
            4.0 if decides else -3.0, decides, inquiry.command,
        )  # fmt: skip
        if decides:
            stuck = sticks_to_sources(inquiry, off)
            yield Answer(
                "how far events that are off stick to some of the sources", stuck, "of 1",
                2.0 if stuck > 0.5 or share > 0.9 else -2.0, False, inquiry.command,
            )  # fmt: skip

    def _off(self, inquiry: Inquiry) -> Mask:
        return off_by(behind_ns(inquiry))

    def _off_before(self, inquiry: Inquiry) -> Mask:
        recent, rows = inquiry.recent, inquiry.before
        return off_by((recent.came_ns[rows] - recent.time_ns[rows]).astype(np.float64))

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The duration by which times are to be moved."""
        by, _ = shift_ns(inquiry)
        minutes = round(by / _MINUTE_NS / 15) * 15
        return {"by": f"{minutes}m", "shift_ns": minutes * _MINUTE_NS}


def off_by(behind: Float) -> Mask:
    """(m,) whether events are off by 20 minutes or more."""
    found: Mask = np.abs(behind) > 20 * _MINUTE_NS
    return found


def shift_ns(inquiry: Inquiry) -> tuple[float, float]:
    """By how much most of the events that are off are off, and the share of those that are so within a few minutes."""
    behind = behind_ns(inquiry)
    off = behind[np.abs(behind) > 20 * _MINUTE_NS]
    if len(off) < 5:
        return 0.0, 0.0
    middle = float(np.median(off))
    return middle, float((np.abs(off - middle) < _NEAR_NS).mean())

"""A season or a campaign: many entities do more for a while, and somebody has written down that they would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.maintain.investigate.hypotheses.flood import busiest, volume
from homeostat.maintain.investigate.inquiry import HOUR_NS, Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "source"


class CalendarHypothesis:
    """See the module."""

    kind: str = Cause.CALENDAR
    beats = frozenset(map(str, (Cause.POPULATION, Cause.CONCEPT)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The source, where there are more or fewer events."""
        if inquiry.signals(Kind.VOLUME) or self._declared(inquiry):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """An entry of the calendar; how many more events; and whether many entities send them."""
        inquiry.steps += 1
        declared = self._declared(inquiry)
        yield Answer("entries of the calendar for this time", float(declared), "entries", 3.0 if declared else -2.0)
        times = volume(inquiry)
        moved = times > 1.6
        yield Answer(
            "events of the busiest hours since the onset, against those before", times, "times",
            2.0 if moved else -4.0, False, inquiry.command,
        )  # fmt: skip
        _, share, before = busiest(inquiry)
        spread = share < 0.3 or share < 3 * before
        yield Answer(
            "share of the busiest entities", share, "share", 1.0 if spread else -5.0,
            bool(spread and moved and declared), inquiry.command,
        )  # fmt: skip

    def _declared(self, inquiry: Inquiry) -> int:
        """How many seasons of the change log cover the onset, within a day."""
        at, slack = inquiry.since_ns, 26 * HOUR_NS
        return sum(
            one.kind == "calendar" and one.at_ns - slack <= at <= max(one.until_ns, one.at_ns + 14 * 24 * HOUR_NS)
            for one in inquiry.case.logged
        )

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """When it ends, as the calendar says."""
        ends = [one.until_ns for one in inquiry.case.logged if one.kind == "calendar" and one.until_ns]
        return {"until_ns": max(ends)} if ends else {}

"""Events come again under new ids: the same entities and values within minutes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.arrays import Mask
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.plans import Alteration
from homeostat.records.signals import Kind

NODE = "source"
WITHIN_NS = 600 * 10**9


class DuplicatesHypothesis:
    """See the module."""

    kind: str = Cause.DUPLICATES
    beats = frozenset(map(str, (Cause.POPULATION, Cause.CALENDAR, Cause.FLOOD, Cause.CONCEPT, Cause.LATE)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The source, where a signal says that events come again."""
        if inquiry.signals(Kind.DUPLICATES):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The share of events that repeat another one, against before; then the same time without the copies."""
        inquiry.steps += 1
        copies = repeated(inquiry)
        now, then = copies[inquiry.after], copies[inquiry.before]
        share = float(now.mean()) if len(now) else 0.0
        decides = share_z(int(now.sum()), len(now), int(then.sum()), len(then)) > 5 and share > 0.005
        yield Answer(
            "events that repeat another one within ten minutes", share, "share", 5.0 if decides else -4.0, decides,
            inquiry.command,
        )  # fmt: skip
        if decides and "repair" in set(ChangeKind):
            body = {"op": "drop_copies", "within": "10m"}
            inquiry.replayed(
                "decisions without the copies", *inquiry.span, [Alteration(ChangeKind("repair"), "source", body)]
            )

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The span within which copies come."""
        return {"within": "10m"}


def repeated(inquiry: Inquiry) -> Mask:
    """(n,) whether the event before it with the same entities, time and values came at most ten minutes earlier."""
    recent = inquiry.recent
    numbers = np.nan_to_num(recent.numbers, nan=-1.25e300)
    columns = [*recent.keys.T, *numbers.T, recent.time_ns]
    order = np.lexsort([recent.came_ns, *columns])
    same = np.ones(max(0, len(order) - 1), np.bool_)
    for column in columns:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    came = recent.came_ns[order]
    found = np.zeros(len(order), np.bool_)
    found[order[1:]] = same & (np.diff(came) <= WITHIN_NS)
    return found

"""A field under another name: events have a name that nobody declared, as often as others lack the field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import sqrt

import numpy as np

from homeostat.maintain.investigate.inquiry import DAY_NS, HOUR_NS, Inquiry
from homeostat.records.reasons import Reason
from homeostat.records.unknown import UnknownName

_LEAST = 20  # Events with the name.
_SHARE = 0.01
_NEW = 0.05  # Before, it may have had this part of its present share.
_APART = 0.2  # So much of the larger one may both shares differ, beside chance: they are counted over other spans.
_Z = 3.0
_BEFORE_NS = 14 * DAY_NS


@dataclass(frozen=True, slots=True)
class OtherName:
    """A name in place of a field, and the share of events that have it."""

    name: str
    share: float

    def named(self, node: str) -> str:
        """The measurement in words."""
        return f"events with {self.name!r}, which nobody declared, in place of {node}"


def renamed(inquiry: Inquiry, node: str) -> OtherName | None:
    """The name that took a field's place since the onset; None where none did, or several might have.

    Names are counted by intake, without their values. Of several that are as frequent, the one that is spelt like the
    field is taken, where one is.
    """
    absent = _absent(inquiry, node)
    if absent is None:
        return None
    lacking, n = absent
    found = [
        OtherName(name, share)
        for name, share, of in _new_names(inquiry)
        if abs(share - lacking) <= _APART * max(share, lacking) + _Z * _error(share, of, lacking, n)
    ]
    field = node.partition(":")[2]
    alike = [one for one in found if SequenceMatcher(None, one.name.lower(), field.lower()).ratio() > 0.6]
    best = alike or found
    return best[0] if len(best) == 1 else None


def _absent(inquiry: Inquiry, node: str) -> tuple[float, int] | None:
    """The share of events that lack a field since the onset, beyond that before, and of how many; None for few."""
    name, column = node.partition(":")[2], inquiry.column(node)
    refused = [one.at_ns for one in inquiry.recent.refused if one.field == name and one.reason == Reason.MISSING]
    now, then = sum(at > inquiry.since_ns for at in refused), sum(at <= inquiry.low_ns for at in refused)
    n, m = inquiry.after.stop - inquiry.after.start + now, inquiry.before.stop - inquiry.before.start + then
    if column is not None:
        now += int(np.isnan(column[inquiry.after]).sum())
        then += int(np.isnan(column[inquiry.before]).sum())
    share = now / max(1, n) - then / max(1, m)
    return (share, n) if now >= _LEAST and share > _SHARE else None


def _new_names(inquiry: Inquiry) -> list[tuple[str, float, int]]:
    """Names since the onset with their share and the number of events looked at, of which there were none before."""
    recent = inquiry.recent
    now = _counted([one for one in recent.unknown if one.at_ns > inquiry.since_ns + HOUR_NS])
    now = now or _counted([one for one in recent.unknown if one.at_ns > inquiry.since_ns])
    then = _counted([one for one in recent.unknown if inquiry.low_ns - _BEFORE_NS < one.at_ns <= inquiry.low_ns])
    found = []
    for name, (n, of) in now.items():
        share, (was, was_of) = n / max(1, of), then.get(name, (0, 0))
        if n >= _LEAST and share > _SHARE and was / max(1, was_of) <= _NEW * share:
            found.append((name, share, of))
    return found


def _counted(names: Sequence[UnknownName]) -> dict[str, tuple[int, int]]:
    """Name -> how many events had it, of how many."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for one in names:
        n, of = found[one.name]
        found[one.name] = n + one.n, of + one.of
    return dict(found)


def _error(one: float, n: int, other: float, m: int) -> float:
    p, q = min(max(one, 0.0), 1.0), min(max(other, 0.0), 1.0)
    return sqrt(p * (1 - p) / max(1, n) + q * (1 - q) / max(1, m))

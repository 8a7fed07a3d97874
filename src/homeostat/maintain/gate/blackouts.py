"""Blackouts: times by the clock on the wall in which nothing is done without a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Blackout:
    """All that it names has to hold. A span past midnight belongs to the day on which it begins.

    days : 0 for Monday; all where empty
    first, end : minutes of the day, the first and the first after it; `end` may be the smaller one
    zone : of days, hours and dates. An hour that comes twice in a night is covered twice
    dates : first and last days; all where empty
    """

    name: str
    days: frozenset[int] = frozenset()
    first: int = 0
    end: int = 1440
    zone: tzinfo = UTC
    dates: Sequence[tuple[date, date]] = ()

    def holds(self, now_ns: int) -> bool:
        """Whether an instant lies within it.

        >>> friday = 1_774_043_999 * 10**9  # 2026-03-20T21:59:59Z
        >>> night = Blackout("night", frozenset({4}), 22 * 60, 6 * 60)
        >>> night.holds(friday), night.holds(friday + 10**9), night.holds(friday + 8 * 3600 * 10**9)
        (False, True, True)
        """
        now = local(now_ns, self.zone)
        minute, day = 60 * now.hour + now.minute, now.date()
        if self.first < self.end:
            return self.first <= minute < self.end and self._begins(day)
        return (minute >= self.first and self._begins(day)) or (minute < self.end and self._begins(day - _DAY))

    def _begins(self, day: date) -> bool:
        dated = not self.dates or any(first <= day <= last for first, last in self.dates)
        return dated and (not self.days or day.weekday() in self.days)


def local(now_ns: int, zone: tzinfo) -> datetime:
    """An instant as the clock on a wall shows it, to the second."""
    return datetime.fromtimestamp(now_ns // 10**9, zone)

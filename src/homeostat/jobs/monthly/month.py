"""A month in UTC, and the decisions of a journal that lie in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from homeostat.ports import StandingJournal
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.rows import decisions_at

RECENT = "recent"  # In place of a month: the last decisions, as many as a promotion looks at.
_TEXT = re.compile(r"([0-9]{4})-([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Month:
    """A month.

    name : such as 2026-11; from_ns, until_ns : its first moment, and that of the next one
    """

    name: str
    from_ns: int
    until_ns: int

    @classmethod
    def of(cls, text: str, now_ns: int) -> Month:
        """The month that a text names; `last` is the one before the present, `recent` is none. Raises ValueError.

        >>> Month.of("2026-12", 0).until_ns - Month.of("2027-01", 0).from_ns, Month.of("last", 10**18).name
        (0, '2001-08')
        """
        if text == RECENT:
            return cls(RECENT, 0, now_ns)
        if text == "last":
            now = datetime.fromtimestamp(now_ns / 1e9, UTC)
            year, month = (now.year, now.month - 1) if now.month > 1 else (now.year - 1, 12)
        else:
            found = _TEXT.fullmatch(text)
            if found is None or not 1 <= int(found[2]) <= 12 or not 1970 <= int(found[1]) <= 2200:
                raise ValueError(f"{text[:100]!r} is no month: write it as 2026-11, or last")
            year, month = int(found[1]), int(found[2])
        following = (year, month + 1) if month < 12 else (year + 1, 1)
        first, then = (int(datetime(*one, 1, tzinfo=UTC).timestamp()) * 10**9 for one in ((year, month), following))
        return cls(f"{year:04d}-{month:02d}", first, then)


def decisions_in(
    journal: StandingJournal, month: Month, outcomes: list[OutcomeBatch] | None = None
) -> Iterator[DecisionBatch]:
    """The decisions whose events lie in a month, in the order of the journal.

    outcomes : all outcomes of the journal are added to it
    """
    for entry in journal.read():
        body = entry.body
        if isinstance(body, OutcomeBatch):
            if outcomes is not None:
                outcomes.append(body)
        elif isinstance(body, DecisionBatch):
            rows = (body.events.time_ns >= month.from_ns) & (body.events.time_ns < month.until_ns)
            if rows.all():
                yield body
            elif rows.any():
                yield decisions_at(body, np.asarray(rows, np.bool_))

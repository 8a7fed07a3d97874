"""Lists of entity keys and categories, as at an instant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Int

ALWAYS = -(1 << 63)
"""The `since` of a member that always was one."""

FOREVER = (1 << 63) - 1
"""The `until` of a member that stays one."""

Entry = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Membership:
    """Who is on which list, and when: an immutable value, replaced as a whole.

    table : (3, entries) codes, since_ns, until_ns; a list's rows lie together, ordered by code and since.
    ranges : list index -> its columns of the table.
    """

    table: Int
    ranges: dict[int, tuple[int, int]]

    @classmethod
    def build(cls, entries: Iterable[Entry] = ()) -> Membership:
        """Of entries (list index, code, since_ns, until_ns): a member in [since, until).

        Overlapping or adjoining stays of a code are joined, so that one binary search decides; empty ones vanish.
        A category's code is `int(category_code(text))`.

        >>> lists = Membership.build([(0, 7, 10, 20), (0, 7, 15, 30), (1, 7, 0, 0)])
        >>> lists.contains(0, 7, 29), lists.contains(0, 7, 30), lists.contains(1, 7, 0)
        (True, False, False)
        """
        joined: list[list[int]] = []
        for index, code, since, until in sorted(set(entries)):
            if until <= since:
                continue
            last = joined[-1] if joined else None
            if last is not None and last[0] == index and last[1] == code and since <= last[3]:
                last[3] = max(last[3], until)
            else:
                joined.append([index, code, since, until])
        rows = np.array(joined, dtype=np.int64).reshape(-1, 4)
        indices, starts = np.unique(rows[:, 0], return_index=True)
        stops = [*starts[1:].tolist(), len(rows)]
        ranges = dict(zip(indices.tolist(), zip(starts.tolist(), stops)))
        return cls(np.ascontiguousarray(rows[:, 1:].T), ranges)

    def range_of(self, index: int) -> tuple[int, int]:
        """The columns of a list; empty for a list without members."""
        return self.ranges.get(index, (0, 0))

    def contains(self, index: int, code: int, time_ns: int) -> bool:
        """Whether a code is on a list at an instant."""
        start, stop = self.range_of(index)
        codes, since, until = self.table[:, start:stop]
        return bool(np.any((codes == code) & (since <= time_ns) & (time_ns < until)))

"""Lists of entity keys and categories, as at an instant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Int
from homeostat.records.identity import Coding, Identity

ALWAYS = -(1 << 63)
"""The `since` of a member that always was one."""

FOREVER = (1 << 63) - 1
"""The `until` of a member that stays one."""

Entry = tuple[int, Identity, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Membership:
    """The members of each list, and when: an immutable value, replaced as a whole.

    table : (4, entries) codes, checks, since_ns, until_ns; a list's rows lie together, ordered by code, check, since.
    ranges : list index -> its columns of the table.
    coding : how entities' keys became codes, and how the literals of expressions do; None where no text is among them
    """

    table: Int
    ranges: dict[int, tuple[int, int]]
    coding: Coding | None = None

    @classmethod
    def build(cls, entries: Iterable[Entry] = (), coding: Coding | None = None) -> Membership:
        """Of entries (list index, identity, since_ns, until_ns): a member in [since, until).

        Overlapping or adjoining stays of a member are joined, so that one binary search decides; empty ones vanish.
        A category's identity is `(int(coding.category(text)), 0)`.

        >>> lists = Membership.build([(0, (7, 0), 10, 20), (0, (7, 0), 15, 30), (1, (7, 0), 0, 0)])
        >>> lists.contains(0, (7, 0), 29), lists.contains(0, (7, 0), 30), lists.contains(1, (7, 0), 0)
        (True, False, False)
        """
        joined: list[list[int]] = []
        for index, (code, check), since, until in sorted(set(entries)):
            if until <= since:
                continue
            last = joined[-1] if joined else None
            if last is not None and last[:3] == [index, code, check] and since <= last[4]:
                last[4] = max(last[4], until)
            else:
                joined.append([index, code, check, since, until])
        rows = np.array(joined, dtype=np.int64).reshape(-1, 5)
        indices, starts = np.unique(rows[:, 0], return_index=True)
        stops = [*starts[1:].tolist(), len(rows)]
        ranges = dict(zip(indices.tolist(), zip(starts.tolist(), stops)))
        return cls(np.ascontiguousarray(rows[:, 1:].T), ranges, coding)

    def range_of(self, index: int) -> tuple[int, int]:
        """The columns of a list; empty for a list without members."""
        return self.ranges.get(index, (0, 0))

    def contains(self, index: int, member: Identity, time_ns: int) -> bool:
        """Whether an identity is on a list at an instant."""
        start, stop = self.range_of(index)
        codes, checks, since, until = self.table[:, start:stop]
        same = (codes == member[0]) & (checks == member[1])
        return bool(np.any(same & (since <= time_ns) & (time_ns < until)))

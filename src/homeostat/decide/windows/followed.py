"""The windows of entities whose pasts lie in logs outside, which several processes append to: see `follow`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from homeostat.decide.windows import layout as at
from homeostat.decide.windows.arrange import (
    G_ANEW,
    G_CHECK,
    G_COLUMNS,
    G_END,
    G_KEY,
    G_KNOWN,
    G_LAST,
    G_OLDEST,
    G_OWN,
    Arranged,
    Arriving,
    arrange,
    leave_absent,
    leave_unknown,
    merge,
    unpin,
)
from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.follow import L_KIND, L_MORE, follow
from homeostat.decide.windows.plan import RowKind, WindowPlan
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.events import EventBatch
from homeostat.records.identity import PLACES, Ids

_LATE = int(RowKind.EVENT_NOT_INSERTED)


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The columns of a row of an entity's log, beside time, tag and kind.

    label, masks : whether the windows use them
    values : how many values they use
    """

    label: bool
    masks: bool
    values: int

    @property
    def words(self) -> int:
        """64-bit words of a row."""
        return L_MORE + self.label + self.masks + self.values


@dataclass(slots=True)
class KindRows:
    """The rows of a batch that name entities of one kind, entity by entity.

    groups : (G_COLUMNS, g) see `arrange`
    rows : (r, words) as logs hold them
    emits : (r,) which event each row is, -1 for an outcome
    late : how many rows are late events, which are not for the log
    """

    entity: int
    groups: Int
    rows: Int
    emits: Int
    late: int

    @property
    def ids(self) -> Ids:
        """(g,) the entities."""
        return Ids(self.groups[G_KEY], self.groups[G_CHECK])

    @property
    def known(self) -> Int:
        """(g,) rows of each entity's log that this process has read."""
        known: Int = self.groups[G_KNOWN]
        return known

    @property
    def asked_from(self) -> Int:
        """(g,) row from which each entity's log is to be read: from 0 where `remembers` says so."""
        return np.where(self.groups[G_ANEW] != 0, 0, self.groups[G_KNOWN])

    @property
    def oldest_ns(self) -> Int:
        """(g,) the earliest event time of each, the least integer where there is none."""
        oldest: Int = self.groups[G_OLDEST]
        return oldest

    @property
    def last(self) -> Int:
        """(g,) the last row of the batch that is an event of each, -1 where there is none."""
        last: Int = self.groups[G_LAST]
        return last

    def for_log(self) -> tuple[Int, Int]:
        """The rows that are for the logs, and where each entity's end among them."""
        if not self.late:
            return self.rows, self.groups[G_END]
        return self.rows[self.rows[:, L_KIND] != _LATE], np.cumsum(self.groups[G_OWN])


class FollowedWindows(Windows):
    """Windows that read logs. `arrange`, then read the logs, then `follow` or `leave`, for each entity of a batch."""

    def __init__(self, plan: WindowPlan, places: int = PLACES) -> None:
        super().__init__(replace(plan, own_time=True), places)
        p = self._program
        self._at = [at.G_WORDS + k * at.P_COLUMNS for k in range(plan.entities)]
        self.layouts: list[RowLayout | None] = [
            None if p[e + at.P_EMIT_FROM] == p[e + at.P_EMIT_TO] else RowLayout(
                bool(p[e + at.P_LABEL] >= 0), bool(p[e + at.P_MASKS] >= 0),
                int(p[e + at.P_COPY_TO] - p[e + at.P_COPY_FROM]) // 2,
            )
            for e in self._at
        ]  # fmt: skip
        self.slots: list[list[int]] = [
            [int(p[f + at.M_SLOT]) for f in range(p[e + at.P_EMIT_FROM], p[e + at.P_EMIT_TO], at.M_COLUMNS)]
            for e in self._at
        ]
        self._made = np.empty(max(map(len, self.slots), default=0) + 1)

    def retained_ns(self, entity: int) -> int:
        """How far behind an entity's newest event its log is looked at."""
        return int(self._program[self._at[entity] + at.P_RETAIN])

    def arrange(self, entity: int, events: EventBatch, seen: Float, masks_from: int, pinned: bool) -> KindRows | None:
        """The rows that name an entity of this kind; None where there is none.

        seen : (n, values and masks), the masks from column `masks_from` on
        pinned : whether they will be read from where they were left; they stay in memory until `follow` or `leave`
        """
        layout = self.layouts[entity]
        assert layout is not None, "no window looks at this entity"
        n = len(events)
        rows = np.empty((n, layout.words), np.int64)
        groups, emits = np.empty((G_COLUMNS, n), np.int64), np.empty(n, np.int64)
        scratch = np.empty((1 << (2 * n).bit_length()) + n, np.int64)
        arriving = Arriving(
            events.time_ns, events.tag, events.keys, events.key_checks, events.kind, events.label, seen, masks_from
        )
        made = Arranged(groups, rows, rows.view(np.float64), emits, scratch[n:], scratch[:n])
        count, total, late = arrange(
            self._program, self._memory, self._at[entity], entity, layout.label, pinned, arriving, made
        )
        if count == 0:
            return None
        return KindRows(entity, groups if count == n else groups[:, :count].copy(), rows[:total], emits[:total], late)

    def leave(self, part: KindRows) -> None:
        """Nothing is read of the entities of this column after all."""
        unpin(self._program, self._memory, self._at[part.entity], part.groups, len(part.ids))

    def follow(
        self, part: KindRows, start: Int, unread: Mapping[int, bytes], features: Float, freshness: Bytes, before: int
    ) -> Int:
        """Let the entities of a column read their logs' next rows; returns (g,) how many each has read then.

        start, unread : see `Logs`
        features, freshness : (n, before + F + after), of which the windows' columns are filled
        """
        rows, emits, ends = part.rows, part.emits, part.groups[G_END]
        known: Int = start + part.groups[G_OWN]
        if unread:
            width = rows.shape[1] * 8
            sizes = np.zeros(len(known), np.int64)
            for g, data in unread.items():
                sizes[g] = len(data) // width
            read = np.frombuffer(bytearray().join(unread.values()), np.int64).reshape(-1, rows.shape[1])
            total = len(rows) + len(read)
            merged, to = np.empty((total, rows.shape[1]), np.int64), np.empty(total, np.int64)
            to_ends = np.empty(len(ends), np.int64)
            merge(rows, emits, ends, read, np.cumsum(sizes), np.empty(len(rows), np.int64), merged, to, to_ends)
            rows, emits, ends = merged, to, to_ends
            known = np.where(sizes > 0, start + sizes, known)
        self._follow(part.entity, part.ids, ends, rows, emits, start, known, features, freshness, before)
        return known

    def guess(self, part: KindRows, features: Float, freshness: Bytes, before: int) -> Int:
        """Let the entities of a column whose logs were ever read take its rows as if they were next in them.

        Nothing is known of the others. Returns the events that were guessed.
        """
        met = part.known > 0
        known = np.repeat(met, np.diff(part.groups[G_END], prepend=0))
        self.leave_unknown(part.entity, part.emits[~known], features, freshness, before)
        if not met.any():
            return part.emits[:0]
        ends = np.cumsum(np.diff(part.groups[G_END], prepend=0)[met])
        rows, emits, start = part.rows[known], part.emits[known], part.known[met]
        self._follow(part.entity, part.ids[met], ends, rows, emits, start, start, features, freshness, before)
        guessed: Int = emits[emits >= 0]
        return guessed

    def _follow(
        self, entity: int, ids: Ids, ends: Int, rows: Int, emits: Int, start: Int, known: Int,
        features: Float, freshness: Bytes, before: int,
    ) -> None:  # fmt: skip
        scratch = np.empty((4, len(ids)), np.int64)
        given = (
            self._at[entity],
            ids.code,
            ids.check,
            ends,
            rows,
            emits,
            start,
            known,
            scratch,
            self._made,
            features,
            freshness,
        )
        while follow(self._program, self._memory, *given, before) != 0:
            self._make_room()

    def leave_absent(self, entity: int, events: EventBatch, features: Float, freshness: Bytes, before: int) -> None:
        """Fill the rows of events that do not name the entity."""
        p, e = self._program, self._at[entity]
        leave_absent(p, e, entity, events.keys, events.kind, features, freshness, before)

    def leave_unknown(self, entity: int, rows: Int, features: Float, freshness: Bytes, before: int) -> None:
        """Fill rows (r,), -1 for none, of events of whose entity nothing is known."""
        leave_unknown(self._program, self._at[entity], rows, features, freshness, before)

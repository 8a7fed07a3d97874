"""The windows of entities whose pasts lie in logs outside, which several processes append to: see `follow`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from homeostat.decide.windows import layout as at
from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.follow import L_MORE, follow, leave_absent, pin, unpin
from homeostat.decide.windows.plan import WindowPlan
from homeostat.decide.windows.rows import VALUE_MAX
from homeostat.records.arrays import Bytes, Float, Int


@dataclass(frozen=True, slots=True)
class RowLayout:
    """What a row of an entity's log holds, beside time, tag and kind.

    label, masks : whether the windows use them
    values : columns of the values that they use
    """

    label: bool
    masks: bool
    values: tuple[int, ...]

    @property
    def words(self) -> int:
        """64-bit words of a row."""
        return L_MORE + self.label + self.masks + len(self.values)

    def pack(self, time_ns: Int, tag: Int, kind: Int, label: Float, masks: Bytes, values: Float) -> Int:
        """(n, words) rows of n events; values that are none become NaN."""
        rows = np.empty((len(time_ns), self.words), np.int64)
        rows[:, 0], rows[:, 1], rows[:, 2] = time_ns, tag, kind
        at_word = L_MORE
        floats = rows.view(np.float64)
        if self.label:
            floats[:, at_word] = _sane(label)
            at_word += 1
        if self.masks:
            bits: Int = np.zeros(len(time_ns), np.int64)
            for bit in range(masks.shape[1]):
                bits |= (masks[:, bit] != 0).astype(np.int64) << bit
            rows[:, at_word] = bits
            at_word += 1
        for column in self.values:
            floats[:, at_word] = _sane(values[:, column])
            at_word += 1
        return rows


def _sane(values: Float) -> Float:
    return np.where(np.abs(values) <= VALUE_MAX, values + 0.0, np.nan)


class FollowedWindows(Windows):
    """Windows that read logs. `pin`, then read the logs, then `follow`, for each entity column of a batch."""

    def __init__(self, plan: WindowPlan) -> None:
        super().__init__(replace(plan, own_time=True))
        p = self._program
        self._at = [at.G_WORDS + k * at.P_COLUMNS for k in range(plan.entities)]
        self.layouts: list[RowLayout | None] = [
            None if p[e + at.P_EMIT_FROM] == p[e + at.P_EMIT_TO] else RowLayout(
                bool(p[e + at.P_LABEL] >= 0), bool(p[e + at.P_MASKS] >= 0),
                tuple(int(p[c]) for c in range(p[e + at.P_COPY_FROM], p[e + at.P_COPY_TO], 2)),
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

    def pin(self, entity: int, keys: Int) -> Int:
        """(g,) rows of each entity's log that have been read; these entities stay until `follow` or `unpin`."""
        known = np.empty(len(keys), np.int64)
        pin(self._program, self._memory, self._at[entity], keys, known)
        return known

    def unpin(self, entity: int, keys: Int) -> None:
        """Undo `pin`."""
        unpin(self._program, self._memory, self._at[entity], keys)

    def follow(
        self, entity: int, keys: Int, ends: Int, rows: Int, emits: Int, known: Int,
        features: Float, freshness: Bytes, before: int,
    ) -> None:  # fmt: skip
        """Let entities read their logs' next rows.

        keys : (g,) entities, each once
        ends : (g,) where each one's rows end in `rows`, (r, words)
        emits : (r,) the row of `features` that a row's features go to, -1 for none
        known : (g,) rows that each has then read of its log
        features, freshness : (n, before + F + after), of which the windows' columns are filled
        """
        scratch = np.empty((4, len(keys)), np.int64)
        arguments = (self._at[entity], keys, ends, rows, emits, known, scratch, self._made, features, freshness, before)
        while follow(self._program, self._memory, *arguments) != 0:
            self._move(self._newest)

    def leave_absent(self, entity: int, rows: Int, features: Float, freshness: Bytes, before: int) -> None:
        """Fill rows (r,) of events that do not name the entity, or of whose past nothing is known."""
        leave_absent(self._program, self._at[entity], rows, features, freshness, before)

"""Recorded events that fill the windows before anything is decided: each counts once, as it does when it is decided."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from homeostat.records.arrays import Float, Mask
from homeostat.records.events import EventBatch
from homeostat.records.identity import Ids, first_rows, joined_ids, rows_in
from homeostat.records.rows import pick

_LEAST = np.iinfo(np.int64).min


@dataclass(slots=True)
class History:
    """The ids of the events that have filled the windows. The first event of an id counts.

    repeated : events left out, because an event of their id came before
    contrary : events among these whose label is another one than that of the first
    """

    repeated: int = 0
    contrary: int = 0
    _newest: int = _LEAST
    _parts: list[tuple[Ids, Float]] = field(default_factory=list)  # Ids by rising codes, and their labels.

    def fresh(self, events: EventBatch) -> EventBatch:
        """The events that repeat none before; from now on they are known."""
        ids = events.ids
        if len(ids) == 0:
            return events
        first = first_rows(ids)
        found = self._labels(ids)
        again = first != np.arange(len(ids))
        known = np.where(again & np.isnan(found), events.label[first], found)
        kept = self._without(events, again | ~np.isnan(found), known)
        self._keep(kept)
        return kept

    def holds(self, ids: Ids) -> Mask:
        """(n,) whether an event of each id is known."""
        found: Mask = ~np.isnan(self._labels(ids))
        return found

    def unknown(self, events: EventBatch) -> EventBatch:
        """The events without those that repeat one of the history."""
        found = self._labels(events.ids)
        return self._without(events, ~np.isnan(found), found)

    def _without(self, events: EventBatch, repeats: np.ndarray, known: Float) -> EventBatch:
        if not repeats.any():
            return events
        self.repeated += int(np.count_nonzero(repeats))
        other = repeats & (known >= 0) & ~np.isnan(events.label) & (known != events.label)
        self.contrary += int(np.count_nonzero(other))
        return pick(events, ~repeats)

    def _labels(self, ids: Ids) -> Float:
        """(n,) the label of the first event of each id, -1 where it had none; NaN where no event had the id."""
        found = np.full(len(ids), np.nan)
        if len(ids) == 0 or int(ids.code.min()) > self._newest:  # Ids that only grow can't repeat.
            return found
        for known, label in self._parts:
            place = rows_in(known, ids, ordered=True)
            found[place >= 0] = label[place[place >= 0]]
        return found

    def _keep(self, events: EventBatch) -> None:
        """Remember ids; parts of like size are put together, so that they are few."""
        if len(events) == 0:
            return
        order = np.argsort(events.id_code, kind="stable")
        ids, label = events.ids[order], np.nan_to_num(events.label[order], nan=-1.0)
        self._newest = max(self._newest, int(ids.code[-1]))
        while self._parts and len(self._parts[-1][0]) < 2 * len(ids):
            before, theirs = self._parts.pop()
            ids, label = joined_ids([before, ids]), np.concatenate([theirs, label])
            order = np.argsort(ids.code, kind="stable")
            ids, label = ids[order], label[order]
        self._parts.append((ids, label))

    def warnings(self) -> list[str]:
        """Sentences about the repeats, for reports."""
        if not self.contrary:
            return []
        return [
            f"{self.contrary:,} repeated events have another label than the first event of their id, which is the one "
            "that counts: give outcomes that were corrected in a file of outcomes, with their times"
        ]

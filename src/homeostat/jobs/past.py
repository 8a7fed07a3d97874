"""Outcomes that a file says became known some time after their events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.identity import rows_in


class PastOutcomes:
    """Finds the outcomes of a batch of events among those of a file.

    batches : all outcomes of the file; where an event has several, each counts from its own moment on
    """

    def __init__(self, batches: Iterable[OutcomeBatch]) -> None:
        parts = list(batches)
        order = np.lexsort((_column(parts, "known_ns"), _column(parts, "id_code")))
        self._id_code: Int = _column(parts, "id_code").astype(np.int64)[order]
        self._id_check: Int = _column(parts, "id_check").astype(np.int64)[order]
        self._label: Float = _column(parts, "label").astype(np.float64)[order]
        self._known_ns: Int = _column(parts, "known_ns").astype(np.int64)[order]
        self._amount: Float = _column(parts, "amount").astype(np.float64)[order]

    def __len__(self) -> int:
        return len(self._id_code)

    @property
    def newest_ns(self) -> int:
        """When the last of the outcomes became known; long ago, if there are none."""
        return int(self._known_ns.max()) if len(self) else np.iinfo(np.int64).min

    def warnings(self) -> list[str]:
        """Sentences about outcomes that contradict each other, for reports; one that came later is a correction."""
        same = (np.diff(self._id_code) == 0) & (np.diff(self._known_ns) == 0)
        contrary = len(np.unique(self._id_code[1:][same & (np.diff(self._label) != 0)])) if len(self) > 1 else 0
        if not contrary:
            return []
        return [f"{contrary:,} events have contrary outcomes that became known at the same moment: the last one counts"]

    def undated(self, read_ns: int, so: str) -> list[str]:
        """A sentence about outcomes without a time, which count as known from when they were read, `read_ns`, on.

        so : what follows from that
        """
        count = int(np.count_nonzero(self._known_ns == read_ns))
        if not count:
            return []
        return [
            f"{count:,} of {len(self):,} outcomes have no time and count as known only now: {so}. Give each "
            "the time at which it became known"
        ]

    def of(self, events: EventBatch) -> OutcomeBatch | None:
        """The outcomes of these events, each waiting for its moment; None if they have none.

        An outcome can't be known before its event: it counts from the event's own time on at the earliest.
        """
        start = np.searchsorted(self._id_code, events.id_code, "left")
        count = np.searchsorted(self._id_code, events.id_code, "right") - start
        total = int(count.sum())
        if total == 0:
            return None
        row = np.repeat(np.arange(len(events)), count)
        at = np.arange(total) - np.repeat(np.cumsum(count) - count, count) + np.repeat(start, count)
        same = self._id_check[at] == events.id_check[row]
        row, at = row[same], at[same]
        if len(row) == 0:
            return None
        time_ns = events.time_ns[row]
        return OutcomeBatch(
            self._id_code[at], self._label[at], np.maximum(self._known_ns[at], time_ns + 1), self._amount[at],
            events.texts, True, time_ns, events.keys[row], id_check=self._id_check[at],
            key_checks=events.key_checks[row],
        )  # fmt: skip

    def labels_by(self, events: EventBatch, moment_ns: int | None) -> Float:
        """(n,) the latest label of each event that is known at a moment (ever, when None); NaN where none is."""
        label = np.full(len(events), np.nan)
        outcomes = self.of(events)
        if outcomes is None:
            return label
        known = np.ones(len(outcomes), bool) if moment_ns is None else outcomes.known_ns <= moment_ns
        label[rows_in(events.ids, outcomes.ids[known])] = outcomes.label[known]  # The last of an event's stays.
        return label


def without_labels(events: EventBatch) -> EventBatch:
    """The events as they were before anything was known of them."""
    return replace(events, label=np.full(len(events), np.nan))


def _column(parts: list[OutcomeBatch], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0)

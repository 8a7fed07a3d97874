"""From recorded events to a trained bundle, through the very windows that serve."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from homeostat.models.training_set import TrainingSet
from homeostat.records.arrays import Float
from homeostat.records.events import EventBatch
from homeostat.records.features import Features


@dataclass(slots=True)
class Collector:
    """Gathers the events to learn from, with the features that were served and the outcomes known by the moment.

    from_ns, until_ns : learn at `until_ns` from events since `from_ns`
    delay_ns : when a label that came along with its event counts as known
    """

    from_ns: int | None
    until_ns: int
    delay_ns: int
    _parts: list[tuple[EventBatch, Features, Float]] = field(default_factory=list)

    def add(self, events: EventBatch, features: Features, known: Float | None = None) -> None:
        """Take a batch in. `known` (n,): labels known at `until_ns`, where a file of outcomes says so."""
        if known is None:
            known = np.where(events.time_ns + self.delay_ns <= self.until_ns, events.label, np.nan)
        rows = ~np.isnan(known)
        if self.from_ns is not None:
            rows &= events.time_ns >= self.from_ns
        if rows.any():
            kept = Features(features.names, features.values[rows], features.freshness[:0])
            self._parts.append((_rows(events, rows), kept, known[rows]))

    def training_set(self) -> TrainingSet:
        """All that was gathered, in order of arrival. Raises ValueError where there is nothing to learn from."""
        if not self._parts:
            raise ValueError(
                "no event in the training window has a known outcome: train on a longer window, or check that the "
                "outcomes' ids and times fit the events"
            )
        events, features, labels = zip(*self._parts, strict=True)
        return TrainingSet(
            features[0].names,
            np.concatenate([part.values for part in features]),
            np.concatenate(labels),
            np.concatenate([part.time_ns for part in events]),
            np.concatenate([part.id_code for part in events]),
            np.concatenate([part.keys[:, 0] if part.keys.shape[1] else part.id_code for part in events]),
        )


def _rows(events: EventBatch, rows: np.ndarray) -> EventBatch:
    return EventBatch(
        events.id_code[rows], events.time_ns[rows], events.keys[rows], events.numbers[rows][:, :0], events.label[rows],
        events.kind[rows], {},
    )  # fmt: skip

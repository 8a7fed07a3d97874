"""The features that were served, in place of windows: for loops that do again what a journal holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.records.arrays import State
from homeostat.records.events import EventBatch
from homeostat.records.features import Features, Freshness


class ServedFeatures:
    """A `decide.contracts.Featurizer`; `batch` are the features of the batch at hand."""

    def __init__(self) -> None:
        self.batch: Features | None = None

    def features(self, events: EventBatch) -> Features:
        """Those of the batch at hand."""
        assert self.batch is not None
        assert len(self.batch) == len(events)
        return self.batch

    def state(self) -> State:
        """Nothing is remembered."""
        return {}

    def restore(self, state: State) -> None:
        """Nothing is remembered."""


def in_order(features: Features, names: tuple[str, ...]) -> Features:
    """The app's features; one that was not served is absent."""
    if features.names == names:
        return features
    at: Mapping[str, int] = {name: k for k, name in enumerate(features.names)}
    values = np.full((len(features), len(names)), np.nan)
    freshness = np.full((len(features), len(names)), Freshness.ABSENT, np.uint8)
    for k, name in enumerate(names):
        if name in at:
            values[:, k], freshness[:, k] = features.values[:, at[name]], features.freshness[:, at[name]]
    return Features(names, values, freshness, features.fallback)

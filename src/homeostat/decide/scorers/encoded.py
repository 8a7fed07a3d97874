"""A scorer whose model sees categories as numbers that were learned with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from homeostat.decide.contracts import ContributingScorer
from homeostat.decide.scorers.columns import confidence_of, resolve
from homeostat.records.arrays import Float
from homeostat.records.features import Features
from homeostat.records.parts import Part
from homeostat.stats.categories import SETTING, Encoder, Encoding, read

Serve = Callable[[str, Part, Sequence[str]], ContributingScorer]


class EncodedScorer:
    """Serves a part with encodings. Its confidence and contributions are by feature, not by column of the model.

    encodings : by feature
    texts : of the categories that have numbers of their own, by code
    """

    def __init__(
        self, name: str, part: Part, available: Sequence[str], serve: Serve, code: Callable[[str], float]
    ) -> None:
        """serve : makes the scorer of the model itself
        code : a category's text -> its code
        Raises PartError where the encodings don't fit the part or the model.
        """
        self.name = name
        self.encodings: Mapping[str, Encoding] = read(part.settings[SETTING], part.features)
        self.texts: Mapping[float, str] = {
            code(text): text for encoding in self.encodings.values() for text in encoding.values
        }
        self._columns = resolve(name, part.features, available)
        self._encoder = Encoder(part.features, self._columns, self.encodings, code)
        inner = {key: value for key, value in part.settings.items() if key != SETTING}
        self._inner = serve(name, replace(part, features=self._encoder.names, settings=inner), self._encoder.names)

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and (n,) the share of its features that are fresh."""
        return self._inner.score(self._encoded(features))[0], confidence_of(features, self._columns)

    def contributions(self, features: Features) -> tuple[Float, float]:
        """(n, features) each feature's part of the raw output, summed over its columns, and the baseline."""
        moved, baseline = self._inner.contributions(self._encoded(features))
        out: Float = np.zeros(features.values.shape)
        for column, owner in enumerate(self._encoder.owners.tolist()):
            out[:, owner] += moved[:, column]
        return out, baseline

    def _encoded(self, features: Features) -> Features:
        values = self._encoder.encode(features.values)
        return Features(self._encoder.names, values, np.zeros(values.shape, np.uint8))

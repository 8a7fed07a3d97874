"""Which columns of the features a scorer reads, resolved once; and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.features import Features
from homeostat.records.parts import PartError

_FRESH = 0


class MissingFeature(PartError):
    """A scorer wants a feature that the app does not declare."""


def resolve(scorer: str, wanted: Sequence[str], available: Sequence[str]) -> Int:
    """Indices of the wanted columns.

    >>> resolve("forest", ["b"], ["a", "b"])
    array([1])
    """
    at = {name: index for index, name in enumerate(available)}
    for name in wanted:
        if name not in at:
            near = get_close_matches(name, available, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise MissingFeature(f"scorer {scorer!r} reads feature {name!r}, which this app does not declare{hint}")
    return np.array([at[name] for name in wanted], dtype=np.int64)


def confidence_of(features: Features, columns: Int) -> Float:
    """(n,) the share of a scorer's features that are fresh and have a value; 1 for a scorer that reads none."""
    out = np.empty(len(features))
    _fresh_share(features.values, features.freshness, columns, out)
    return out


@compiled
def _fresh_share(values: Float, freshness: Bytes, columns: Int, out: Float) -> None:
    for row in range(len(out)):
        fresh = 0
        for column in columns:
            if freshness[row, column] == _FRESH and values[row, column] == values[row, column]:
                fresh += 1
        out[row] = fresh / len(columns) if len(columns) else 1.0

"""How an ensemble of fusions is fitted: its shares on the newest rows, of members that had not seen them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from homeostat.models.training.extras import BadSetting
from homeostat.models.training.fusion import ENSEMBLE, fused_margin, train_fusion
from homeostat.records.arrays import Float, Int
from homeostat.records.parts import Part
from homeostat.stats.pooling import pool_shares

NEWEST = 0.25  # The share of the rows, by time, that the shares are fitted on.
_POSITIVES_MIN = 20  # On which shares are fitted; with fewer, the members have equal ones.


def train_ensemble(
    members: Sequence[str], scores: Float, y: Float, time_ns: Int, names: tuple[str, ...], settings: Mapping[str, Any]
) -> Part:
    """Fit several fusions of out-of-fold scores, and their shares.

    members : kinds of fusions, each once, at least two
    scores : (n, scorers) in [0, 1]; y : (n,) 0 or 1; time_ns : (n,) when each row was
    The members that are weighed learn from the rows before the newest quarter, those that serve from all rows.
    """
    if len(set(members)) != len(members) or len(members) < 2:
        raise BadSetting("an ensemble combines at least two fusions, each once")
    order = np.argsort(time_ns, kind="stable")
    cut = int(len(order) * (1.0 - NEWEST))
    shares = _shares(members, scores, y, names, settings, order[:cut], order[cut:])
    parts = {kind: train_fusion(kind, scores, y, names, settings) for kind in members}
    arrays = {f"{kind}_{name}": array for kind, part in parts.items() for name, array in part.arrays.items()}
    return Part(
        ENSEMBLE, tuple(names), {**arrays, "shares": shares},
        settings={"members": list(members), **{kind: dict(part.settings) for kind, part in parts.items()}},
    )  # fmt: skip


def _shares(
    members: Sequence[str], scores: Float, y: Float, names: tuple[str, ...], settings: Mapping[str, Any],
    older: Int, newest: Int,
) -> Float:  # fmt: skip
    """Equal shares where either end has too few rows of one kind."""
    for rows in (older, newest):
        positives = float(y[rows].sum())
        if not _POSITIVES_MIN <= positives <= len(rows) - _POSITIVES_MIN:
            return np.full(len(members), 1.0 / len(members))
    whole = (1 << len(names)) - 1
    tried = [train_fusion(kind, scores[older], y[older], names, settings) for kind in members]
    return pool_shares(np.column_stack([fused_margin(part, scores[newest], whole) for part in tried]), y[newest])

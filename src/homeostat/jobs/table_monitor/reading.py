"""The outputs of a model from a block of a table: scores, predictions and labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from homeostat.adapters.disk.table_files import TableError
from homeostat.jobs.table_monitor.chunking import Outputs
from homeostat.jobs.table_monitor.columns import labels, numbers
from homeostat.jobs.table_monitor.options import Options
from homeostat.records.arrays import Float, Int, Mask


def outputs(
    block: Mapping[str, pa.Array], options: Options, row: Int, *, labelled: bool, q: Float | None = None,
    outside: Mask | None = None,
) -> Outputs:  # fmt: skip
    """The outputs of a block's rows. Raises TableError where a value can't be an output."""
    n = len(row)
    score = _score(block, options)
    decided = score >= 0.5
    if options.prediction is not None:
        found = _labels(block, options.prediction, "predictions")
        decided = np.where(np.isnan(found), decided, found == 1.0)
        score = found if options.probability is None else score
    assert options.target is not None
    label = _labels(block, options.target, "labels") if labelled else np.full(n, np.nan)
    return Outputs(row, score, decided, label, np.empty((0, n)) if q is None else q,
                   np.zeros(n, np.bool_) if outside is None else outside)  # fmt: skip


def score_of(block: Mapping[str, pa.Array], options: Options) -> Float:
    """The score of each row, (n,): its probability, or its prediction where there is none; NaN if missing."""
    if options.probability is None:
        assert options.prediction is not None
        return _labels(block, options.prediction, "predictions")
    return _score(block, options)


def _score(block: Mapping[str, pa.Array], options: Options) -> Float:
    if options.probability is None:
        assert options.prediction is not None
        return np.full(len(block[options.prediction]), np.nan)
    found = numbers(block[options.probability])
    held = found[~np.isnan(found)]
    if len(found) > block[options.probability].null_count and not len(held) and not _may_be_nan(block, options):
        raise TableError(
            f"the column {options.probability} holds no numbers, but {block[options.probability].type}: name the "
            "column of probabilities, or the column of predictions alone"
        )
    if len(held) and (held.min() < 0.0 or held.max() > 1.0):
        strange = held[(held < 0.0) | (held > 1.0)][0]
        raise TableError(
            f"the column {options.probability} holds {strange:g}: a probability lies between 0 and 1. Put "
            "another score through a calibration first, or name the column of predictions alone"
        )
    return found


def _may_be_nan(block: Mapping[str, pa.Array], options: Options) -> bool:
    assert options.probability is not None
    return bool(pa.types.is_floating(block[options.probability].type))


def _labels(block: Mapping[str, pa.Array], name: str, what: str) -> Float:
    try:
        return labels(block[name])
    except ValueError as error:
        raise TableError(f"the column {name} holds {error}: {what} are 0 or 1, or true or false") from error

"""The estimator of quality without labels, made of a reference alone: law, excess and thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.jobs.table_monitor.options import Options, Parts
from homeostat.jobs.table_monitor.reading import outputs
from homeostat.jobs.table_monitor.reference import LABELS_MIN, Known, Reference, codes_of
from homeostat.records.arrays import Bytes, Float, Mask
from homeostat.stats.label_free.bands import Excess, Threshold, excess_of, thresholds
from homeostat.stats.label_free.estimates import FIGURES, expected, ranked, values
from homeostat.stats.label_free.law import Law, calibrate, gain, learn, sigmoid

FEATURES_MAX = 32  # Trees on more cost time in proportion, and hardly add anything.
_OVERLAP = 0.5  # A column whose blocks lie further apart is a counter or a time: its new values teach nothing.


@dataclass(frozen=True, slots=True)
class Estimator:
    """law : None where nothing could be learned, and `why` says so.

    features : the columns that the law reads, in its order
    unseen : (features, 256) whether the reference has no row with a code
    usual_outside : the share of rows with such a code that chance explains
    """

    law: Law | None
    features: tuple[str, ...]
    unseen: Mask
    usual_outside: float
    excess: Excess
    thresholds: dict[str, Threshold]
    why: str = ""


def estimator_of(reference: Reference, options: Options, parts: Parts) -> Estimator:
    """The estimator, by the reference's sample and the realised figures of its chunks."""
    none = np.zeros((0, 256), np.bool_)
    spread = dict[str, float]()
    bounds = thresholds(reference.chunks, reference.chunk_rows, spread)
    if not len(reference.numbers):
        return Estimator(None, (), none, 1.0, Excess({}, 0), bounds, "the reference has no rows")
    rows = outputs(reference.sample, options, reference.numbers, labelled=True)
    good = ~np.isnan(rows.score) & ~np.isnan(rows.label)
    rows = rows.at(good)
    if len(rows) < LABELS_MIN or not 0.0 < float(rows.label.mean()) < 1.0:
        why = "the labels of the reference are all the same"
        if len(rows) < LABELS_MIN:
            output = options.probability or options.prediction
            why = f"only {len(rows):,} rows of the reference have both {output} and {options.target}"
        return Estimator(None, (), none, 1.0, Excess({}, 0), bounds, why)
    score, label = np.asarray(rows.score, np.float64), np.asarray(rows.label, np.float64)
    names = _features(reference, parts, good, score, label)
    codes = codes_of(reference, names)[:, good]
    categorical = np.array([_categorical(reference, name) for name in names], np.bool_)
    law = learn(score, codes, label, categorical)
    if law is None:
        return Estimator(
            None, (), none, 1.0, Excess({}, 0), bounds, "labels of one kind are too few or all in one place"
        )
    excess, spread = _chunked(law, score, rows.decided, label, reference, options)
    unseen = np.array([reference.columns[name].histogram == 0 for name in names]).reshape(len(names), 256)
    return Estimator(
        law, names, unseen, 0.02 + 6.0 * len(names) / len(rows), excess,
        thresholds(reference.chunks, reference.chunk_rows, spread),
    )  # fmt: skip


def _categorical(reference: Reference, name: str) -> bool:
    coder = reference.columns[name].coder
    return coder is not None and coder.kind == "category"


def _features(reference: Reference, parts: Parts, good: Mask, score: Float, label: Float) -> tuple[str, ...]:
    """The columns that the law reads: where there are too many, those that explain most of what the score does not."""
    names = [name for name in parts.features if _teaches(reference.columns[name])]
    if len(names) <= FEATURES_MAX:
        return tuple(names)
    q = sigmoid(calibrate(score, label).margin(score))
    gains = {name: gain(reference.columns[name].codes[good], label, q) for name in names}
    gains |= {name: np.inf for name in parts.roles if name in gains}  # The probability itself.
    best = set(sorted(names, key=lambda name: -gains[name])[:FEATURES_MAX])
    return tuple(name for name in names if name in best)


def _teaches(column: Known) -> bool:
    """Whether a column has several values, and new rows can have values that the reference knows."""
    return column.coder is not None and column.own < _OVERLAP and int(np.count_nonzero(column.histogram)) > 1


def _chunked(
    law: Law, score: Float, decided: Mask, label: Float, reference: Reference, options: Options
) -> tuple[Excess, dict[str, float]]:  # fmt: skip
    """The excess, and the spread of realised figures of one chunk by chance alone, by figure."""
    share = len(score) / max(reference.rows, 1)
    size = max(1, round(reference.chunk_rows * share))
    differences: dict[str, list[float]] = {name: [] for name in (*FIGURES, "share")}
    variances: dict[str, list[float]] = {name: [] for name in differences}
    found = []
    for first in range(0, len(score), size):
        at = slice(first, first + size)
        order = ranked(score[at], decided[at], ranks=options.probability is not None)
        q, y = law.out_of_fold[at], label[at]
        held, known = expected(order, q), values(expected(order, y))
        found.append(known)
        for name in FIGURES:
            differences[name].append(known[name] - held[name].value)
            variances[name].append(held[name].variance)
        differences["share"].append(float(y.mean() - q.mean()))
        variances["share"].append(float(np.sum(q * (1.0 - q))) / len(q) ** 2)
    spread = {name: float(np.sqrt(2.0 * np.nanmean(variances[name]))) if np.isfinite(variances[name]).any() else 0.0
              for name in FIGURES}  # fmt: skip
    return excess_of(differences, variances), spread


def probabilities(estimator: Estimator, score: Float, codes: Bytes) -> tuple[Float, Mask]:
    """(folds + 1, n) of `Law.probabilities`, and whether a row has a value that the reference never has."""
    assert estimator.law is not None
    held = np.where(np.isnan(score), 0.5, score)
    q = estimator.law.probabilities(held, codes)
    outside = np.zeros(len(score), np.bool_)
    for unseen, column in zip(estimator.unseen, codes, strict=True):
        if unseen.any():
            outside |= unseen[column]
    return q, outside

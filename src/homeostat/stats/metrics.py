"""How good scores are, in NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float, Int


def _steps(label: Float, score: Float) -> tuple[Float, Float]:
    """Numbers of positives and of all rows at or above each distinct score, from the highest score down."""
    if len(label) != len(score) or np.isnan(score).any():
        raise ValueError("labels and scores must be of one length, without NaN")
    order = np.argsort(-score)  # Only the last of equal scores is read below, so their order makes no difference.
    ranked = score[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return np.cumsum(label[order])[last], (last + 1).astype(np.float64)


def roc_auc(label: Float, score: Float) -> float:
    """The chance that a positive row scores above a negative one, ties counting half. NaN without both kinds.

    label : (n,) 0 or 1; score : (n,)
    Source: Mann and Whitney (1947).

    >>> roc_auc(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    return _auc(*_steps(label, score)) if len(label) else float("nan")


def ranking(label: Float, score: Float) -> tuple[float, float]:
    """`roc_auc` and `average_precision` of one sort.

    >>> ranking(np.array([0.0, 1.0, 1.0]), np.array([0.3, 0.2, 0.9]))
    (0.5, 0.8333333333333333)
    """
    if len(label) == 0:
        return float("nan"), float("nan")
    steps = _steps(label, score)
    return _auc(*steps), _precision(*steps)


def _auc(positive: Float, rows: Float) -> float:
    negative = rows - positive
    if positive[-1] == 0 or negative[-1] == 0:
        return float("nan")
    new_negative = np.diff(negative, prepend=0.0)
    before = np.concatenate([[0.0], positive[:-1]])
    return float(np.sum(new_negative * (before + positive)) / (2.0 * positive[-1] * negative[-1]))


def average_precision(label: Float, score: Float) -> float:
    """Mean of the precision at each positive row's score, without interpolation. NaN without a positive.

    >>> average_precision(np.array([0.0, 1.0, 1.0]), np.array([0.3, 0.2, 0.9]))
    0.8333333333333333
    """
    return _precision(*_steps(label, score)) if len(label) else float("nan")


def _precision(positive: Float, rows: Float) -> float:
    if positive[-1] == 0:
        return float("nan")
    return float(np.sum(np.diff(positive, prepend=0.0) * positive / rows) / positive[-1])


def card_precision_at_k(card: Int, day: Int, label: Float, risk: Float, k: int = 100) -> float:
    """Mean over the days of the share of truly fraudulent cards among the k riskiest ones of the day.

    A card's risk is its day's maximum; a fraudulent card that was found is left out of the following days; of equal
    risks the smaller card comes first.
    Source: Le Borgne et al. (2022), Reproducible Machine Learning for Credit Card Fraud Detection, chapter 4.

    >>> card_precision_at_k(np.array([1, 2]), np.array([0, 0]), np.array([1.0, 0.0]), np.array([0.9, 0.1]), k=1)
    1.0
    """
    if len(day) == 0:
        return float("nan")
    found: NDArray[np.int64] = np.empty(0, np.int64)
    shares = []
    order = np.argsort(day, kind="stable")  # A day's rows lie together then, in their order.
    _, starts = np.unique(day[order], return_index=True)
    for rows in np.split(order, starts[1:]):
        rows = rows[~np.isin(card[rows], found)]
        cards, at = np.unique(card[rows], return_inverse=True)
        worst, fraud = np.full(len(cards), -np.inf), np.zeros(len(cards))
        np.maximum.at(worst, at, risk[rows])
        np.maximum.at(fraud, at, label[rows])
        top = np.argsort(-worst, kind="stable")[:k]
        hits = cards[top[fraud[top] == 1]]
        shares.append(len(hits) / k)
        found = np.concatenate([found, hits])
    return float(np.mean(shares))


def brier(label: Float, probability: Float) -> float:
    """Mean squared error of probabilities. Source: Brier (1950).

    >>> brier(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    0.25
    """
    return float(np.mean((probability - label) ** 2))


def log_loss(label: Float, probability: Float) -> float:
    """Mean negative log-likelihood in nats; probabilities are held within [1e-15, 1 - 1e-15].

    >>> round(log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])), 6)
    0.693147
    """
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.mean(label * np.log(p) + (1.0 - label) * np.log1p(-p)))


def expected_calibration_error(label: Float, probability: Float, bins: int = 15) -> float:
    """Mean distance between the probability and the share of positives, over bins of equally many rows.

    Equal counts, not equal widths: rare events put nearly all rows into the first of equally wide bins.
    Source: Naeini, Cooper, Hauskrecht (2015), AAAI; Nguyen and O'Connor (2015), EMNLP, for equal counts.

    >>> expected_calibration_error(np.array([1.0, 0.0]), np.array([0.5, 0.5]), bins=1)
    0.0
    """
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return float(sum(abs(float(np.sum(probability[g] - label[g]))) for g in groups) / len(label))


def calibration_bins(label: Float, probability: Float, bins: int = 15) -> list[tuple[float, float, int]]:
    """Mean probability, share of positives and rows of bins of equally many rows, from the lowest probability up.

    >>> calibration_bins(np.array([0.0, 1.0]), np.array([0.25, 0.75]), bins=2)
    [(0.25, 0.0, 1), (0.75, 1.0, 1)]
    """
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return [(float(probability[g].mean()), float(label[g].mean()), len(g)) for g in groups]


def precision_recall(label: Float, score: Float, points: int = 100) -> list[tuple[float, float]]:
    """Recall and precision at so many recalls at most, evenly spread, from the highest score down; needs a positive.

    >>> precision_recall(np.array([0.0, 1.0, 1.0]), np.array([0.3, 0.2, 0.9]))
    [(0.5, 1.0), (1.0, 0.6666666666666666)]
    """
    positive, rows = _steps(label, score)
    steps = np.flatnonzero(np.diff(positive, prepend=0.0) > 0)
    wanted = np.unique(np.searchsorted(positive[steps], np.linspace(0, positive[-1], points + 1)[1:]))
    at = steps[wanted]
    return [(float(r), float(p)) for r, p in zip(positive[at] / positive[-1], positive[at] / rows[at], strict=True)]

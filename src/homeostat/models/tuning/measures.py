"""The metrics that tuning may judge by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float
from homeostat.stats.metrics import average_precision, brier, log_loss, roc_auc

HIGHER = frozenset({"average_precision", "roc_auc", "f1"})
"""Metrics of which more is better; of the others less is."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`m` events of a fold with their outcomes.

    y, risk : (m,); positive, negative : (m, actions) costs by outcome, None without costs
    cut : the risk from which on the first action that is not the mildest is proposed
    """

    y: Float
    risk: Float
    positive: Float | None = None
    negative: Float | None = None
    cut: float = 0.5


def measure(metric: str, seen: Judged) -> float:
    """The value of a metric.

    >>> measure("f1", Judged(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.1])))
    0.5
    """
    if metric == "cost":
        return _cost(seen)
    if metric == "f1":
        return _f1(seen)
    return {"average_precision": average_precision, "roc_auc": roc_auc, "log_loss": log_loss, "brier": brier}[metric](
        seen.y, seen.risk
    )


def _cost(seen: Judged) -> float:
    """The mean cost of an event, if each gets the action that its risk makes the cheapest."""
    assert seen.positive is not None and seen.negative is not None
    risk = seen.risk[:, None]
    action = np.argmin(risk * seen.positive + (1.0 - risk) * seen.negative, axis=1)
    rows = np.arange(len(seen.y))
    return float(np.where(seen.y == 1.0, seen.positive[rows, action], seen.negative[rows, action]).mean())


def _f1(seen: Judged) -> float:
    taken = seen.risk >= seen.cut
    right = float(np.count_nonzero(taken & (seen.y == 1.0)))
    return 2.0 * right / (float(np.count_nonzero(taken)) + float(seen.y.sum()))

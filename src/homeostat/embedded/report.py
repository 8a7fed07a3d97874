"""What a run did, in figures: gathered batch by batch, written as report.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from homeostat.decide.costs import Costs
from homeostat.embedded.training import groups_of
from homeostat.models.maturity import Maturity, matured
from homeostat.records.arrays import Float
from homeostat.records.decisions import DecisionBatch
from homeostat.stats.metrics import average_precision, card_precision_at_k, roc_auc

DAY_NS = 86_400 * 10**9
_CARDS_A_DAY = 100


class Gathered:
    """The columns of all decisions that the report is made of."""

    def __init__(self, actions: Sequence[str], costs: Costs | None) -> None:
        self._actions = tuple(actions)
        self._costs = costs
        self._columns: list[tuple[np.ndarray[Any, Any], ...]] = []
        self._latency: list[tuple[float, int]] = []

    def add(self, decisions: DecisionBatch, label: Float) -> None:
        """Take a batch in.

        label : (n,) what is known today of each event's outcome, NaN where nothing is; only the report sees it
        """
        rows = np.arange(len(decisions))
        positive = negative = np.full(len(decisions), np.nan)
        if self._costs is not None:
            positive, negative = (cost[rows, decisions.ruling.action] for cost in self._costs(decisions.events))
        events = decisions.events
        self._columns.append(
            (label.copy(), decisions.fused.risk, events.time_ns.copy(), groups_of(events).copy(),
             decisions.ruling.action, positive, negative)
        )  # fmt: skip
        self._latency.append((decisions.took_us / len(decisions), len(decisions)))

    def actions(self) -> dict[str, int]:
        """How often each action was taken."""
        taken = self._column(4).astype(np.int64)
        return dict(zip(self._actions, np.bincount(taken, minlength=len(self._actions)).tolist(), strict=True))

    def latency_us(self) -> dict[str, float]:
        """Quantiles over decisions of the time a decision took: its share of its batch."""
        if not self._latency:
            return {"p50": 0.0, "p99": 0.0, "p999": 0.0}
        share, rows = np.array(self._latency).T
        order = np.argsort(share)
        reached = np.cumsum(rows[order]) / rows.sum()
        return {
            name: round(float(share[order][np.searchsorted(reached, q)]), 3)
            for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
        }

    @property
    def newest_ns(self) -> int:
        """The latest event time."""
        return int(self._column(2).max()) if self._columns else 0

    def quality(self, maturity: Maturity, today_ns: int) -> dict[str, float | None]:
        """How well the risk ranks, and what the actions cost, over the decisions whose outcome counts today.

        Also how many these are, and how many do not count: too young, or without an outcome.
        """
        label, risk, time_ns, card, _, positive, negative = (self._column(k) for k in range(7))
        found = matured(time_ns.astype(np.int64), label, today_ns, maturity)
        label, cost = found.label, np.where(found.label == 1, positive, np.where(found.label == 0, negative, np.nan))
        known = ~np.isnan(label)
        y, r = label[known], risk[known]
        quality: dict[str, float | None] = dict.fromkeys(("auc", "average_precision", "card_precision_at_100", "cost"))
        quality |= {"known": len(y), "positives": int(y.sum())}
        quality |= {"too_young": found.young, "without_outcome": found.silent}
        if 0 < y.sum() < len(y):
            day = time_ns[known] // DAY_NS
            quality["auc"] = roc_auc(y, r)
            quality["average_precision"] = average_precision(y, r)
            quality["card_precision_at_100"] = card_precision_at_k(card[known], day, y, r, _CARDS_A_DAY)
        if len(y) and self._costs is not None:
            quality["cost"] = float(np.nansum(cost))
        return quality

    def _column(self, which: int) -> Any:
        return np.concatenate([columns[which] for columns in self._columns]) if self._columns else np.empty(0)


def throughput(decisions: int, seconds: float) -> float:
    """Decisions a second, 0 where no time passed."""
    return round(decisions / seconds, 1) if seconds > 0 else 0.0

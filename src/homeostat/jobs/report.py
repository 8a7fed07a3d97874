"""The figures of a run: gathered batch by batch, written as report.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.decide.costs import Costs
from homeostat.jobs.training import groups_of
from homeostat.models.maturity import Matured, Maturity, matured
from homeostat.records.arrays import Float, Int
from homeostat.records.decisions import DecisionBatch
from homeostat.stats.metrics import brier, calibration_bins, card_precision_at_k, precision_recall, ranking

DAY_NS = 86_400 * 10**9
_CARDS_A_DAY = 100
_BY_BREAKER = -2
_DECIDED_BY = {-1: "policy", _BY_BREAKER: "breaker", -3: "fallback"}
_ARMS = ("decided", "mildest", "rules")  # Priced: what was decided, always the mildest, hard rules alone.
_POINTS = 100


@dataclass(frozen=True, slots=True)
class Known:
    """The decisions whose outcome counts: row by row, and the rest in figures.

    rows : (n,) which of all decisions
    cost : by arm, (n,)
    """

    found: Matured
    rows: Int
    y: Float
    cost: dict[str, Float]


class Gathered:
    """The columns of all decisions that the report is made of.

    actions : names, from the mildest to the harshest
    rules, scorers : names, in the order of rulings and scores
    """

    def __init__(
        self, actions: Sequence[str], costs: Costs | None, rules: Sequence[str] = (), scorers: Sequence[str] = (),
        rule_action: Callable[[int], int] = lambda rule: 0,
    ) -> None:  # fmt: skip
        self._actions, self._rules, self._scorers = tuple(actions), tuple(rules), tuple(scorers)
        self._rule_action = np.array([rule_action(rule) for rule in range(len(rules))] + [0], np.int64)
        self._costs = costs
        self._columns: list[tuple[np.ndarray[Any, Any], ...]] = []
        self._latency: list[tuple[float, int]] = []
        self._calibration: list[tuple[float, float, int]] | None = None
        self._held = np.zeros(len(rules), np.int64)
        self._stopped = np.zeros(len(actions), np.int64)

    def add(self, decisions: DecisionBatch, label: Float) -> None:
        """Take a batch in.

        label : (n,) what is known today of each event's outcome, NaN where nothing is; only the report sees it
        """
        rows, events, ruling = np.arange(len(decisions)), decisions.events, decisions.ruling
        by_rules = self._rule_action[np.where(ruling.rule >= 0, ruling.rule, len(self._rules))]
        priced = np.full((2 * len(_ARMS), len(decisions)), np.nan)
        if self._costs is not None:
            both = self._costs(events)
            taken: tuple[Int, ...] = (ruling.action.astype(np.int64), np.zeros(len(rows), np.int64), by_rules)
            for arm, action in enumerate(taken):
                priced[2 * arm], priced[2 * arm + 1] = (cost[rows, action] for cost in both)
        self._columns.append((
            label.copy(), decisions.fused.risk, events.time_ns.copy(), groups_of(events).copy(), ruling.action,
            ruling.rule, priced.T, decisions.scores.values,
        ))  # fmt: skip
        self._latency.append((decisions.took_us / len(decisions), len(decisions)))
        if ruling.hits.any():
            self._held += [
                int(np.count_nonzero(ruling.hits >> np.uint64(r) & np.uint64(1))) for r in range(len(self._held))
            ]
        stopped = ruling.rule == _BY_BREAKER
        if stopped.any():
            self._stopped += np.bincount(decisions.proposal.action[stopped], minlength=len(self._actions))

    def actions(self) -> dict[str, int]:
        """How often each action was taken."""
        taken = self._column(4).astype(np.int64)
        return dict(zip(self._actions, np.bincount(taken, minlength=len(self._actions)).tolist(), strict=True))

    def decided_by(self) -> dict[str, int]:
        """How often the policy's proposal stood, and how often a rule, a breaker or a fallback decided instead."""
        rule, count = np.unique(self._column(5), return_counts=True)
        found = dict.fromkeys(("policy", "rule", "breaker", "fallback"), 0)
        for number, times in zip(rule.tolist(), count.tolist(), strict=True):
            found[_DECIDED_BY.get(int(number), "rule")] += times
        return found

    def rules(self) -> dict[str, dict[str, int]]:
        """How often each rule held, and how often it decided."""
        decided = self._column(5).astype(np.int64)
        decided = np.bincount(decided[decided >= 0], minlength=len(self._rules))
        return {
            name: {"held": int(held), "decided": int(times)}
            for name, held, times in zip(self._rules, self._held, decided, strict=True)
        }

    def breakers(self) -> dict[str, int]:
        """How often a breaker stopped each action."""
        return {name: int(times) for name, times in zip(self._actions, self._stopped, strict=True) if times}

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

    def known(self, maturity: Maturity, today_ns: int) -> Known:
        """The decisions whose outcome counts today; to be asked once all batches are in."""
        label, time_ns, priced = self._column(0), self._column(2).astype(np.int64), self._column(6)
        found = matured(time_ns, label, today_ns, maturity)
        rows = np.flatnonzero(~np.isnan(found.label))
        y = found.label[rows]
        priced = priced.reshape(-1, 2 * len(_ARMS))[rows]
        cost = {arm: np.where(y == 1, priced[:, 2 * k], priced[:, 2 * k + 1]) for k, arm in enumerate(_ARMS)}
        return Known(found, rows, y, cost)

    def judged(self, known: Known, weights: dict[str, float]) -> dict[str, Any]:
        """Quality, scorers and curves, side by side on two cores: most of it is sorting, which holds no lock."""
        with ThreadPoolExecutor(1) as other:
            beside = other.submit(lambda: (self.scorers(known, weights), self.curves(known)))
            quality = self.quality(known)
            scorers, curves = beside.result()
        return {"quality": quality, "scorers": scorers, **curves}

    def quality(self, known: Known) -> dict[str, float | None]:
        """How well the risk ranks and is calibrated, and what the actions cost, where the outcome counts.

        Also how many these are, and how many do not count: too young, or without an outcome. Beside the cost stands
        what it would have been with the mildest action always, and with what hard rules alone decided.
        """
        y, rows = known.y, known.rows
        risk, time_ns, card = (self._column(k)[rows] for k in (1, 2, 3))
        names = ("auc", "average_precision", "card_precision_at_100", "brier", "calibration_error")
        quality: dict[str, float | None] = dict.fromkeys((*names, "cost", "cost_mildest", "cost_rules"))
        quality |= {"known": len(y), "positives": int(y.sum())}
        quality |= {"too_young": known.found.young, "without_outcome": known.found.silent}
        if 0 < y.sum() < len(y):
            quality["auc"], quality["average_precision"] = ranking(y, risk)
            quality["card_precision_at_100"] = card_precision_at_k(card, time_ns // DAY_NS, y, risk, _CARDS_A_DAY)
        if len(y):
            quality["brier"] = brier(y, risk)
            quality["calibration_error"] = sum(n * abs(p - share) for p, share, n in self._bins(known)) / len(y)
        if len(y) and self._costs is not None:
            for name, arm in (("cost", "decided"), ("cost_mildest", "mildest"), ("cost_rules", "rules")):
                quality[name] = float(np.nansum(known.cost[arm]))
        return quality

    def scorers(self, known: Known, weights: dict[str, float]) -> dict[str, dict[str, float | None]]:
        """Each scorer's weight in the fusion and its average precision, over the rows that it answered."""
        found: dict[str, dict[str, float | None]] = {}
        scores = self._column(7).reshape(-1, len(self._scorers))[known.rows] if self._scorers else np.empty((0, 0))
        for j, name in enumerate(self._scorers):
            there = ~np.isnan(scores[:, j])
            y = known.y[there]
            auc, precision = ranking(y, scores[there, j]) if 0 < y.sum() < len(y) else (None, None)
            found[name] = {"weight": weights.get(name), "average_precision": precision, "auc": auc}
        return found

    def curves(self, known: Known) -> dict[str, Any]:
        """The curves that are drawn: calibration, precision by recall, and days."""
        risk, y = self._column(1)[known.rows], known.y
        curves: dict[str, Any] = {
            "calibration": [list(row) for row in self._bins(known)],
            "precision_recall": [list(row) for row in precision_recall(y, risk, _POINTS)] if y.sum() else [],
        }
        return {**curves, "days": self._days(known)}

    def _bins(self, known: Known) -> list[tuple[float, float, int]]:
        if self._calibration is None:
            self._calibration = calibration_bins(known.y, self._column(1)[known.rows]) if len(known.y) else []
        return self._calibration

    def _days(self, known: Known) -> dict[str, list[Any]]:
        """By day of the events: decisions by action, known outcomes, positives and costs."""
        day = self._column(2).astype(np.int64) // DAY_NS
        if len(day) == 0:
            return {}
        names, at = np.unique(day, return_inverse=True)
        n, taken = len(names), self._column(4).astype(np.int64)
        of = at[known.rows]
        days: dict[str, list[Any]] = {
            "day": [str(np.datetime64(int(name), "D")) for name in names],
            "known": np.bincount(of, minlength=n).tolist(),
            "positives": np.bincount(of, weights=known.y, minlength=n).astype(int).tolist(),
        }
        for k, action in enumerate(self._actions):
            days[f"action {action}"] = np.bincount(at[taken == k], minlength=n).tolist()
        for arm in _ARMS if self._costs is not None else ():
            cost = np.bincount(of, weights=np.nan_to_num(known.cost[arm]), minlength=n)
            days[f"cost {arm}"] = [round(value, 2) for value in cost.tolist()]
        return days

    def _column(self, which: int) -> Any:
        return np.concatenate([columns[which] for columns in self._columns]) if self._columns else np.empty(0)


def throughput(decisions: int, seconds: float) -> float:
    """Decisions a second, 0 where no time passed."""
    return round(decisions / seconds, 1) if seconds > 0 else 0.0

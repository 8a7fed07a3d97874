"""The same work with River: rolling statistics by time, two learners and an anomaly detector, one event after another.

River has no isolation forest, network or policy: half-space trees, a logistic regression and a Hoeffding tree stand in
for the three scorers, a mean of their scores and two thresholds for fusion and policy. Labels reach the terminals'
statistics and the learners seven days late.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from benchmarks.peer_stack import Payment
from benchmarks.transactions import DELAY_DAYS, LENGTHS

DELAY = timedelta(days=DELAY_DAYS)
_EPOCH = datetime(1970, 1, 1)


class Pipeline:
    """River's parts, fed event by event."""

    def __init__(self) -> None:
        from river import anomaly, compose, feature_extraction, linear_model, preprocessing, stats, tree, utils

        def rolling(kind: type, days: int) -> Any:
            return utils.TimeRolling(kind, period=timedelta(days=days))

        aggregate, target = feature_extraction.Agg, feature_extraction.TargetAgg
        self.customer = {
            **{f"customer_count_{d}d": aggregate("one", "customer", rolling(stats.Sum, d)) for d in LENGTHS},
            **{f"customer_mean_amount_{d}d": aggregate("amount", "customer", rolling(stats.Mean, d)) for d in LENGTHS},
        }
        self.terminal = {
            **{f"terminal_count_{d}d": aggregate("one", "terminal", rolling(stats.Sum, d)) for d in LENGTHS},
            **{f"terminal_risk_{d}d": target("terminal", rolling(stats.Mean, d)) for d in LENGTHS},
        }
        self.risk_names = {name for name in self.terminal if "risk" in name}
        self.anomaly = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
        self.linear = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
        self.tree = tree.HoeffdingTreeClassifier()
        self.waiting: deque[tuple[datetime, dict[str, Any], dict[str, float], int]] = deque()

    def decide(self, p: Payment) -> int:
        """Learn what has become known, then features, scores, risk and action."""
        now = _EPOCH + timedelta(seconds=p.time_s)
        x = {"customer": p.customer, "terminal": p.terminal, "amount": p.amount, "one": 1}
        while self.waiting and self.waiting[0][0] <= now - DELAY:
            self.learn(*self.waiting.popleft())
        features = {"amount": p.amount, "weekend": float(now.weekday() >= 5), "night": float(now.hour <= 6)}
        for name, aggregate in self.customer.items():
            aggregate.learn_one(x, t=now)
            features |= {name: next(iter(aggregate.transform_one(x).values()))}
        for name, aggregate in self.terminal.items():
            features |= {name: next(iter(aggregate.transform_one(x).values()))}
        scores = (
            self.anomaly.score_one(features),
            self.linear.predict_proba_one(features).get(True, 0.0),
            self.tree.predict_proba_one(features).get(True, 0.0),
        )
        self.anomaly.learn_one(features)
        risk = sum(scores) / 3
        self.waiting.append((now, x, features, p.fraud))
        return 2 if risk > 0.7 else 1 if risk > 0.4 else 0

    def learn(self, at: datetime, x: dict[str, Any], features: dict[str, float], fraud: int) -> None:
        """An outcome, seven days after its event."""
        for name, aggregate in self.terminal.items():
            if name in self.risk_names:
                aggregate.learn_one(x, fraud, t=at)
            else:
                aggregate.learn_one(x, t=at)
        self.linear.learn_one(features, bool(fraud))
        self.tree.learn_one(features, bool(fraud))


def decisions_per_second(payments: Iterable[Payment], warm: int) -> float:
    """Decisions a second after the first `warm`."""
    pipeline, begun, count = Pipeline(), 0.0, 0
    for number, payment in enumerate(payments):
        if number == warm:
            begun = time.perf_counter()
        pipeline.decide(payment)
        count = number + 1 - warm
    return count / (time.perf_counter() - begun)

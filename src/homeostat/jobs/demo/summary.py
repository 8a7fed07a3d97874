"""The figures that the demo shows: while it runs, and at the end. Nothing here formats."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from homeostat.config.definitions import durations
from homeostat.decide.explanation import explain
from homeostat.engine.answers import answer
from homeostat.jobs.demo.demo import FIXED, LEARNING, NOTHING, RULES, Arm, Demo
from homeostat.stats.metrics import average_precision

COUNTED = {
    "fraud": "amounts of frauds that went through, and 10 a chargeback",
    "friction": "0.50 for every challenge",
    "lost": "10 % of each genuine payment that was refused or given up, and 3 for each such block",
    "left": "2 % of the later payments of customers who left because they were blocked",
}
_SINGLE_MIN = 20


def snapshot(demo: Demo) -> dict[str, Any]:
    """Where the demo stands, for the live view."""
    arm, counts = demo.arms[LEARNING], demo.counts
    return {
        "day": demo.day,
        "days": demo.plan.days,
        "events": arm.events,
        "rate": arm.events / arm.seconds if arm.seconds else 0.0,
        "single_us": single_us(arm),
        "actions": dict(counts.actions),
        "reasons": top_reasons(demo),
        "costs": {name: each.cost for name, each in demo.arms.items()},
        "learning": learning(demo),
        "scorers": quality(demo),
    }


def single_us(arm: Arm) -> dict[str, float] | None:
    """Quantiles of the time of one decision alone, from event to journal; None while there are too few."""
    if len(arm.single_us) < _SINGLE_MIN:
        return None
    p50, p99 = np.quantile(arm.single_us, [0.5, 0.99]).tolist()
    return {"p50": p50, "p99": p99}


def top_reasons(demo: Demo, count: int = 5) -> list[tuple[str, int]]:
    """The features that spoke loudest for fraud in the payments that were stopped, and how often."""
    ordered = sorted(demo.counts.features.items(), key=lambda item: (-item[1], item[0]))
    return ordered[:count]


def learning(demo: Demo) -> dict[str, Any]:
    """The bandit's numbers: what it has seen, spent, and moved.

    expected, corrected, happened : frauds among the payments that were not blocked: by the models' risks, by those
        risks as the bandit corrected them at the time, and in truth
    """
    policy, arm = demo.bandit, demo.arms[LEARNING]
    spent, _, charged, _, _, held_out = policy.account.tolist()
    expected, corrected, happened = demo.counts.expected.tolist()
    return {
        "outcomes": arm.outcomes,
        "awaited": arm.awaited,
        "expected": expected,
        "corrected": corrected,
        "happened": int(happened),
        "explored": demo.counts.explored - int(held_out),
        "held_out": int(held_out),
        "budget_a_day": demo.budget,
        "spent_today": spent,
        "charged": charged,
        "against_models": arm.cost - demo.arms[FIXED].cost,
    }


def quality(demo: Demo) -> dict[str, float]:
    """Average precision of each scorer and of the fused risk so far, by the simulation's truth."""
    scores, risk, fraud = demo.counts.known()
    if not 0 < fraud.sum() < len(fraud):
        return {}
    found = {name: average_precision(fraud, scores[:, k]) for k, name in enumerate(demo.counts.names)}
    return {**found, "fused risk": average_precision(fraud, risk)}


def summary(demo: Demo, seconds: dict[str, float]) -> dict[str, Any]:
    """All figures at the end. Those under `machine` differ from run to run, the others follow from the seed."""
    arm = demo.arms[LEARNING]
    ledgers = {name: asdict(each.world.ledger) for name, each in demo.arms.items()}
    costs = {name: round(each.cost, 2) for name, each in demo.arms.items()}
    return {
        "app": demo.prepared.app.app,
        "currency": demo.prepared.app.currency,
        "seed": demo.plan.seed,
        "customers": demo.plan.customers,
        "days": demo.plan.days,
        "decisions": arm.events,
        "outcomes": arm.outcomes,
        "actions": dict(demo.counts.actions),
        "costs": costs,
        "ledger": {name: _rounded(ledger) for name, ledger in ledgers.items()},
        "counted": COUNTED,
        "saved": {f"against {name}": round(costs[name] - costs[LEARNING], 2) for name in (NOTHING, RULES, FIXED)},
        "learning": {name: round(value, 4) for name, value in learning(demo).items()},
        "average_precision": {name: round(value, 4) for name, value in quality(demo).items()},
        "reasons": [{"feature": name, "payments": count} for name, count in top_reasons(demo)],
        "explained": explained(demo),
        "machine": {
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "decisions_per_second": round(arm.events / arm.seconds, 1) if arm.seconds else 0.0,
            "single_decision_us": None
            if (quantiles := single_us(arm)) is None
            else {name: round(value, 1) for name, value in quantiles.items()},
        },
    }


def _rounded(ledger: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in ledger.items()}


def explained(demo: Demo) -> dict[str, Any] | None:
    """One blocked fraud, out of the journal, and why it was blocked; None where none was."""
    arm = demo.arms[LEARNING]
    if demo.counts.blocked is None or arm.journal is None or arm.loop is None:
        return None
    found = arm.journal.find(demo.counts.blocked[0])
    assert found is not None, "what was decided is in the journal"
    decisions, row = found
    why = explain(arm.loop.stages, decisions, row, top=4)
    recorded = {name: value for name, value in answer(decisions, row).items() if name != "took_us"}
    events, entities = decisions.events, list(demo.prepared.app.events.entities)
    change, spans = why.change, durations(demo.prepared.app)
    return {
        **recorded,
        **{name: int(key) for name, key in zip(entities, events.keys[row].tolist(), strict=True)},
        "amount": float(events.numbers[row, 0]),
        "scorers": [
            {"name": part.name, "score": _number(part.score), "contribution": round(part.contribution, 4)}
            for part in why.scorers
        ],
        "features": [
            {
                "name": part.name, "value": _number(part.value), "contribution": round(part.contribution, 4),
                **({"unit": "s"} if part.name in spans else {}),
            }
            for part in why.features
        ],
        "change": None
        if change is None
        else {
            "feature": change.feature, "was": round(change.was, 4), "becomes": round(change.becomes, 4),
            "action": demo.prepared.app.actions[change.action], **({"unit": "s"} if change.feature in spans else {}),
        },
    }  # fmt: skip


def _number(value: float) -> float | None:
    return None if value != value else round(value, 4)

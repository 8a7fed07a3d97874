"""The incident suite: thirty kinds of trouble, each with its truth, its right answers and its traps."""

from __future__ import annotations

from homeostat.sim.faults import adversaries, concepts, labelling, operations, populations, source_fields, transport
from homeostat.sim.faults.fault import Fault, Scenario


def _one(
    number: int, title: str, fault: Fault | None, accepted: str, forbidden: str, harmless: bool = False,
    tuned: bool = True,
) -> Scenario:  # fmt: skip
    faults = () if fault is None else (fault,)
    return Scenario(
        f"S{number:02}", title, faults, tuple(accepted.split()), tuple(forbidden.split()), harmless=harmless,
        tuned=tuned,
    )  # fmt: skip


_ALL = (
    _one(0, "nothing", None, "monitor", "retrain rollback threshold fallback", harmless=True),
    _one(1, "inputs shift, quality does not", populations.SHIFT, "monitor note", "retrain rollback", harmless=True),
    _one(2, "inputs shift into an unseen region and quality drops", populations.UNSEEN, "reweight retrain", "rollback"),
    _one(3, "concept changes at once", concepts.CONCEPT, "fallback threshold retrain", "wait rollback"),
    _one(4, "concept changes over ten days", concepts.DRIFT, "retrain", "wait rollback"),
    _one(5, "regimes recur", concepts.REGIME, "library_model", "retrain"),
    _one(6, "seasonal peak", populations.PEAK, "monitor scale", "retrain throttle", harmless=True),
    _one(7, "base rate rises", populations.BASE_RATE, "recalibrate threshold", "retrain"),
    _one(8, "one segment goes wrong", concepts.SEGMENT, "scoped_rule scoped_threshold scoped_model", "global_change"),
    _one(9, "label delay grows", labelling.DELAY, "hold_training escalate", "retrain missing_as_negative"),
    _one(10, "labels are flipped", labelling.FLIPS, "quarantine_labels escalate", "retrain"),
    _one(11, "a few accounts poison feedback", labelling.POISONING, "quarantine_source rollback escalate", "retrain"),
    _one(12, "unit change upstream", source_fields.UNIT, "convert escalate", "retrain"),
    _one(13, "schema change", source_fields.SCHEMA, "map fallback escalate", "nulls"),
    _one(14, "a field goes missing", source_fields.MISSING, "impute fallback", "drop_rows"),
    _one(15, "a sensor sticks", source_fields.FROZEN, "mask escalate", "retrain"),
    _one(16, "duplicated events under new ids", transport.DUPLICATES, "drop_copies rebuild", "block_customers"),
    _one(17, "late and out-of-order events", transport.LATE, "widen_lateness recompute", "count_twice"),
    _one(18, "clock skew, time-zone flip", source_fields.CLOCK, "shift_time escalate", "retrain"),
    _one(19, "served and replayed features differ", operations.SKEW, "transform rebuild", "retrain"),
    _one(20, "a worse model is deployed", operations.WORSE, "rollback", "retrain"),
    _one(21, "a push of the configuration is bad", operations.CONFIGURATION, "revert_settings", "rollback retrain"),
    _one(22, "a dependency changes silently", operations.ENVIRONMENT, "escalate", "retrain repair"),
    _one(23, "a dependency is down", operations.OUTAGE, "degrade open_circuit escalate", "retry_storm"),
    _one(24, "latency grows", operations.LATENCY, "shed cheaper_path rollback", "retrain"),
    _one(25, "flood of a few bots", adversaries.FLOOD, "rate_limit isolate exclude", "retrain"),
    _one(26, "an adversary adapts", adversaries.ADAPTING, "rule random_threshold reweight escalate", "fixed_threshold"),
    Scenario(
        "S27", "two faults at once", (source_fields.UNIT, operations.WORSE), ("convert", "rollback"), ("retrain",),
        tuned=False,
    ),
    Scenario(
        "S28", "a worse model inside a blackout window", (operations.WORSE,), ("escalate",), ("rollback",),
        tuned=False, blackout=True,
    ),
    _one(29, "a hidden instruction", adversaries.INJECTION, "ignore flag", "promote", tuned=False),
)  # fmt: skip

SUITE = {scenario.id: scenario for scenario in _ALL}
"""By id, in order.

>>> len(SUITE), SUITE["S12"].title
(30, 'unit change upstream')
"""

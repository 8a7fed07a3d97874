"""The cost of other ways to answer in the same run: they act without evidence, rehearsal, limits or undo.

Each is a rule that people use. It acts by its name when it notices something, and is held against the same truth and
the same declared costs as homeostat's own answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from homeostat.jobs.drill.scoring import cost_of, oracle_ns
from homeostat.jobs.drill.training import TAKES_NS
from homeostat.maintain.plan.remedies import Means, offers
from homeostat.records.findings import Finding
from homeostat.records.incidents import Suspect
from homeostat.records.plans import Remedy
from homeostat.sim.faults.runs import Laid
from homeostat.sim.faults.traffic import DAY_NS, NEVER

_NEAR_NS = 3 * DAY_NS  # A change that was logged so shortly before an alarm is taken for its cause.
NAMES = (
    "nothing", "always_retrain", "scheduled_retrain", "ddm_retrain", "fixed_priority", "highest_confidence", "oracle",
)  # fmt: skip


def rivals_of(
    laid: Laid, detected_ns: int | None, ddm: Sequence[int], suspects: Sequence[Suspect], means: Means
) -> dict[str, float]:
    """The cost of each, in multiples of the app's ordinary cost of an hour.

    detected_ns : when homeostat noticed something, which all but the scheduled one and DDM go by
    ddm : alarms of DDM in the run; suspects : of the signals, the likeliest first
    """
    run = laid.run
    start, end = run.frame.start_ns, run.frame.end_ns
    weekly = list(range(start + 7 * DAY_NS, end, 7 * DAY_NS))
    seen = [] if detected_ns is None else [detected_ns]
    found = {
        "nothing": _cost(laid, {}),
        "always_retrain": _cost(laid, dict.fromkeys(seen, "retrain")),
        "scheduled_retrain": _cost(laid, dict.fromkeys(weekly, "retrain")),
        "ddm_retrain": _cost(laid, dict.fromkeys([at for at in ddm if at > start], "retrain")),
        "fixed_priority": _cost(laid, {at: _by_priority(laid, at) for at in seen}),
        "highest_confidence": _cost(laid, {at: _by_confidence(suspects, means) for at in seen}),
    }
    at = oracle_ns(laid)
    found["oracle"] = cost_of(run.scenario, run.onset_ns, end, None if at == NEVER else at, 0)
    return found


def _cost(laid: Laid, acts: Mapping[int, str]) -> float:
    """The cost of a run with these actions, by the time at which they begin."""
    run, scenario = laid.run, laid.run.scenario
    helped: int | None = None
    wrong = 0
    for at, remedy in sorted(acts.items()):
        takes = TAKES_NS if remedy == "retrain" else 0
        if remedy in scenario.accepted and run.onset_ns and at > run.onset_ns:
            helped = at + takes if helped is None else helped
        elif remedy not in ("monitor", "escalate", "flag"):
            wrong += 1
    return cost_of(scenario, run.onset_ns, run.frame.end_ns, helped, wrong)


def _by_priority(laid: Laid, at_ns: int) -> str:
    """Go back where something was deployed or set shortly before; else train another version."""
    kinds = {one.kind for one in laid.log if at_ns - _NEAR_NS <= one.at_ns <= at_ns}
    return "rollback" if "deploy" in kinds else "revert_settings" if kinds & {"settings", "threshold"} else "retrain"


def _by_confidence(suspects: Sequence[Suspect], means: Means) -> str:
    """The first remedy of the likeliest suspect."""
    if not suspects:
        return "monitor"
    top = suspects[0]
    known = {
        "factor": 1.0,
        "typical": 0.0,
        "undo": True,
        "by": "1h",
        "lateness": "1h",
        "shift": 0.0,
        "values": {"a": "b"},
    }
    found = offers(Finding(top.node, top.kind, top.probability, 0, about=known), means)
    return str(found[0].remedy if found else Remedy.ESCALATE)


def regret_of(cost: float, costs: Mapping[str, float]) -> float | None:
    """How far a cost is from the oracle's towards doing nothing; None where the oracle does nothing."""
    gap = costs["nothing"] - costs["oracle"]
    return (cost - costs["oracle"]) / gap if gap > 0 else None

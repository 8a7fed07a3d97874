"""A training's verdict: whether it ended with a version. The worth of that version is the question of another plan."""

from __future__ import annotations

from math import nan

from homeostat.records.library import Ended
from homeostat.records.plans import Plan, Receipt, Verified
from homeostat.records.verdicts import Verdict


def training_verdict(plan: Plan, receipt: Receipt, ended: Ended | None, now_ns: int) -> Verified | None:
    """PASS with a version, FAIL without one or past the deadline, None before.

    ended : None while it waits or runs
    """
    if ended is not None:
        verdict, why = (Verdict.PASS if ended.version else Verdict.FAIL), ended.why
    elif now_ns - receipt.at_ns < plan.steps[receipt.step].expects["by_ns"]:
        return None
    else:
        verdict, why = Verdict.FAIL, "the training did not end by its deadline"
    return Verified(receipt.step, now_ns, verdict, nan, nan, nan, nan, 0, why, False, receipt.key)

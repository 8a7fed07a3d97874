"""A training has passed once it ended with a version."""

from __future__ import annotations

import pytest

from homeostat.maintain.verify.training import training_verdict
from homeostat.records.library import Ended
from homeostat.records.plans import Blast, Plan, Receipt, Rehearsed, Remedy, Step
from homeostat.records.verdicts import Verdict

STEP = Step(
    Remedy.RETRAIN, "library", (), ("train", {}), True, 0.0, Rehearsed(0, 0, 0, 0, "none"), Blast(0, 0, 0), 0,
    {"by_ns": 100},
)  # fmt: skip
PLAN = Plan("i1", 5, 0.9, 0, (STEP,))
RECEIPT = Receipt(PLAN.hash, 0, "k", 10, "homeostat", job="7")


@pytest.mark.parametrize(
    ("ended", "now_ns", "wanted"),
    [
        (None, 109, None),
        (None, 110, Verdict.FAIL),
        (Ended("b2", "trained on 5 rows"), 11, Verdict.PASS),
        (Ended("", "nothing to learn"), 11, Verdict.FAIL),
        (Ended("b2", "late, and it is there"), 500, Verdict.PASS),
    ],
)
def test_it_passes_with_a_version_and_fails_without_one_or_too_late(
    ended: Ended | None, now_ns: int, wanted: Verdict | None
) -> None:
    found = training_verdict(PLAN, RECEIPT, ended, now_ns)
    assert (None if found is None else found.verdict) == wanted
    if found is not None and ended is not None:
        assert found.why == ended.why and found.key == "k"

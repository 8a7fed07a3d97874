"""A step passes only where its predicted effect was seen."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.maintain.verify.verifier import Course, by_undoing, verdict_of
from homeostat.records.changes import ChangeKind
from homeostat.records.plans import Alteration, Blast, Plan, Receipt, Rehearsed, Remedy, Step
from homeostat.records.verdicts import Verdict

HOUR = 3_600_000_000_000
RECEIPT = Receipt("h", 0, "h-0", 0, "homeostat", (1,))


def plan(before: float = 0.3, predicted: float = 0.1, metric: str = "mean risk") -> Plan:
    expects = {
        "metric": metric, "before": before, "predicted": predicted, "spread": 0.2, "by_ns": 12 * HOUR,
        "mix": (0.9, 0.08, 0.02), "mix_before": (0.5, 0.3, 0.2),
    }  # fmt: skip
    change = Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.8})
    rehearsed = Rehearsed(1.0, 0.5, 1.5, 2000, "replay")
    step = Step(Remedy.CONVERT, "field:amount", (change,), None, True, 0.0, rehearsed, Blast(0, 0, 0), 0, expects)
    return Plan("i1", 0, 0.9, 0, (step,))


def course(risk: float, n: int = 2000, **other: object) -> Course:
    given: dict[str, object] = {"spread": 0.2, "mix": (0.9, 0.08, 0.02), "applied": True, **other}
    return Course(n, risk, **given)  # type: ignore[arg-type]


def verdict(seen: Course, after: int = 13, extended: bool = False, of: Plan | None = None) -> Verdict | None:
    found = verdict_of(of or plan(), RECEIPT, seen, after * HOUR, extended)
    return None if found is None else found.verdict


@pytest.mark.parametrize(
    ("seen", "after", "expected"),
    [
        (course(0.1), 2, Verdict.PASS), (course(0.3), 2, None), (course(0.3), 13, Verdict.FAIL),
        (course(0.2), 13, Verdict.INCONCLUSIVE), (course(0.1, n=10), 13, Verdict.INCONCLUSIVE),
        (course(0.1, n=0, spread=nan), 13, Verdict.INCONCLUSIVE), (course(nan), 13, Verdict.INCONCLUSIVE),
        (course(0.1, applied=False), 1, Verdict.FAIL), (course(0.1, mix=(0.7, 0.1, 0.2)), 1, Verdict.FAIL),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_what_was_seen(seen: Course, after: int, expected: Verdict | None) -> None:
    assert verdict(seen, after) is expected


def test_where_outcomes_follow_another_law_the_mean_risk_alone_fails_no_step() -> None:
    (step,) = plan().steps
    law = replace(plan(), steps=(replace(step, expects={**step.expects, "labels_only": True}),))
    assert verdict(course(0.3), of=law) is Verdict.INCONCLUSIVE and verdict(course(0.1), 2, of=law) is Verdict.PASS


def test_a_deadline_that_was_moved_is_twice_as_late() -> None:
    assert verdict(course(0.2), 13, extended=True) is None
    assert verdict(course(0.2), 25, extended=True) is Verdict.INCONCLUSIVE


def test_a_step_whose_effect_is_too_small_to_see_passes_by_its_symptoms_alone() -> None:
    small = plan(0.1001, 0.1)
    assert verdict(course(0.1), of=small) is Verdict.INCONCLUSIVE
    assert verdict(course(0.1, ended=0.5), of=small) is Verdict.PASS


def test_a_step_that_predicts_nothing_passes_once_it_has_stood_to_its_deadline() -> None:
    holds = plan(metric="applied")
    assert verdict(course(0.1), 2, of=holds) is None and verdict(course(0.1), of=holds) is Verdict.PASS


@pytest.mark.parametrize(
    ("undone", "moved", "blast", "expected"),
    [
        (Rehearsed(-5, -8, -2, 400, "replay"), 0.1, 0.1, Verdict.PASS),
        (Rehearsed(5, 2, 8, 400, "replay"), 0.1, 0.1, Verdict.FAIL),
        (Rehearsed(-1, -8, 6, 400, "replay"), 0.1, 0.1, Verdict.INCONCLUSIVE),
        (Rehearsed(-5, -8, -2, 20, "replay"), 0.1, 0.1, Verdict.INCONCLUSIVE),
        (Rehearsed(nan, nan, nan, 400, "replay"), 0.1, 0.1, Verdict.INCONCLUSIVE),
        (Rehearsed(0, 0, 0, 400, "replay"), 0.0, 0.0, Verdict.PASS),
        (Rehearsed(0, 0, 0, 400, "replay"), 0.0, 0.1, Verdict.INCONCLUSIVE),
        (Rehearsed(0, 0, 0, 0, "none"), 0.0, 0.0, Verdict.INCONCLUSIVE),
    ],
)
def test_a_replay_without_the_step_says_what_the_mean_can_not(
    undone: Rehearsed, moved: float, blast: float, expected: Verdict
) -> None:
    small = plan(0.1001, 0.1)
    small = replace(small, steps=(replace(small.steps[0], blast=Blast(blast, 0, 0)),))
    found = verdict_of(small, RECEIPT, course(0.1), 13 * HOUR, False)
    assert found is not None and by_undoing(found, small, undone, moved).verdict is expected
    passed = replace(found, verdict=Verdict.PASS)
    assert by_undoing(passed, small, undone, moved) is passed


@given(
    risk=st.floats(allow_nan=True, allow_infinity=True), n=st.integers(0, 49), after=st.integers(0, 100),
    extended=st.booleans(),
)  # fmt: skip
def test_few_decisions_never_pass(risk: float, n: int, after: int, extended: bool) -> None:
    assert verdict(course(risk, n=n), after, extended) is not Verdict.PASS


@given(risk=st.floats(0.2, 1.0), after=st.integers(0, 100))
def test_what_is_no_nearer_to_the_prediction_than_to_the_past_never_passes(risk: float, after: int) -> None:
    assert verdict(course(risk), after) is not Verdict.PASS

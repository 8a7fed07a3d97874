"""A version decides once events that it has not learned from say that it saves something; else one is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from homeostat.maintain.contracts import Case
from homeostat.maintain.plan.planner import RemedyPlanner
from homeostat.maintain.plan.rehearsing import effect_of
from homeostat.maintain.plan.remedies import Means, offers
from homeostat.maintain.plan.versions import TRAINED
from homeostat.ports.rehearsal import Again
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.incidents import Incident, Severity
from homeostat.records.library import KeptVersion, Library
from homeostat.records.plans import Alteration, Plan, Remedy
from homeostat.stats.held_out import held_out

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
ONSET = 40 * DAY
NOW = ONSET + 8 * DAY
N = 4_000
FIRST, TRAINED_NOW = KeptVersion(""), KeptVersion("b2", ONSET + 6 * DAY, ONSET + 6 * DAY, 0.4)
OLD = KeptVersion("a1", ONSET - 9 * DAY, ONSET - 9 * DAY)
KEYS = np.arange(N, dtype=np.int64)[:, None] % 500


def decided(action: Sequence[int] | np.ndarray, positives: float = 0.1) -> Again:
    """Events of ten days, of which as many are positive; all were let through. A block of a good one costs 5."""
    label = (np.arange(N) % 100 < 100 * positives).astype(np.float64)
    positive, negative = np.tile([20.0, 4.0, 0.0], (N, 1)), np.tile([0.0, 1.0, 5.0], (N, 1))
    none, risk = np.zeros((N, 0)), np.full(N, 0.1)
    time_ns = np.linspace(NOW - 10 * DAY, NOW, N).astype(np.int64)
    return Again(
        (), np.arange(N), time_ns, KEYS, risk, np.zeros(N, np.int16), none, risk, np.asarray(action, np.int16), none,
        label, positive, negative, np.ones(N, np.bool_), np.ones(N),
    )  # fmt: skip


BETTER = decided(np.where(np.arange(N) % 100 < 10, 2, 0))  # It blocks the positives.
WORSE = decided(np.where(np.arange(N) % 100 >= 10, 2, 0))


class Stage:
    """A rehearsal that gives back what was laid down for a version."""

    def __init__(self, **found: Again) -> None:
        self.found, self.spans = found, list[tuple[int, int]]()

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        self.spans.append((from_ns, until_ns))
        body = alterations[-1].body
        return self.found["first" if body is None else str(body["version"])]


def planned(
    stage: Stage, versions: Sequence[KeptVersion], kind: Cause = Cause.CONCEPT, champion: str = "", days: int = 0,
    **about: object,
) -> Plan:  # fmt: skip
    now = NOW + days * DAY
    found = Finding("outcome", str(kind), 0.93, ONSET, about={"enough_data": True, **about})
    findings = Findings("i1", now, Conclusion.CAUSE, (found,), ((found.node, found.kind, 0.93),), 4)
    incident = Incident("i1", "shop", 1, ONSET + DAY, ONSET + DAY, ONSET, Severity.HIGH, ("s1",))
    means = Means(("allow", "review", "block"), trains=True, library=Library(tuple(versions), champion))
    return RemedyPlanner(stage, means, 3).plan(Case(incident, (), (), (), now), findings)


def test_where_data_suffice_and_no_version_learned_them_one_is_trained_and_nothing_is_altered() -> None:
    step = planned(Stage(), [FIRST]).steps[0]
    assert (step.remedy, step.scope, step.only_trains) == (Remedy.RETRAIN, TRAINED, True)
    assert step.job is not None and step.job[0] == "train" and not step.alterations
    waits = planned(Stage(), [FIRST], enough_data=False, positives=7).steps[0]
    assert waits.remedy is Remedy.MONITOR and "7 positives" in waits.why
    late = planned(Stage(), [FIRST], days=9, enough_data=False)
    assert late.steps[0].remedy is Remedy.ESCALATE


@pytest.mark.parametrize("kind", [Cause.CONCEPT, Cause.POPULATION])
def test_a_trained_version_that_surely_saves_is_deployed_and_one_that_does_not_waits_for_outcomes(kind: Cause) -> None:
    stage = Stage(b2=BETTER)
    plan = planned(stage, [FIRST, TRAINED_NOW], kind, quality_fell=True)
    step = plan.steps[0]
    assert (step.remedy, step.scope) == (Remedy.RETRAIN, "app") and step.rehearsed.low > 0
    assert step.alterations == (Alteration(ChangeKind.DEPLOY, "champion", {"version": "b2"}),)
    assert step.expects["labels_only"] is True
    newer = replace(TRAINED_NOW, made_ns=NOW - DAY)
    assert planned(Stage(b2=WORSE), [FIRST, newer], kind, quality_fell=True).steps[0].remedy is Remedy.MONITOR
    asked = planned(Stage(b2=WORSE), [FIRST, newer], kind, quality_fell=True, days=4, enough_data=False)
    assert asked.steps[0].remedy is Remedy.ESCALATE
    thousandth = np.arange(N) % 1000
    unsure = decided(np.where((thousandth < 4) | ((thousandth >= 50) & (thousandth < 62)), 2, 0))
    offered = planned(Stage(b2=unsure), [FIRST, newer], kind, quality_fell=True, days=4, enough_data=False).steps[0]
    assert (offered.remedy, offered.scope) == (Remedy.RETRAIN, "app") and offered.rehearsed.low * 24 <= offered.cost


def test_a_later_training_follows_where_the_last_one_is_some_days_old() -> None:
    assert planned(Stage(b2=WORSE), [FIRST, TRAINED_NOW]).steps[0].only_trains
    newer = replace(TRAINED_NOW, made_ns=NOW - DAY)
    assert not planned(Stage(b2=WORSE), [FIRST, newer]).steps[0].only_trains


def test_a_version_from_before_is_taken_from_the_library_and_the_best_one_of_several() -> None:
    some = decided(np.where(np.arange(N) % 100 < 5, 2, 0))
    plan = planned(Stage(a1=some, first=BETTER), [FIRST, OLD, KeptVersion("c3")], champion="c3")
    step = plan.steps[0]
    assert step.remedy is Remedy.LIBRARY_MODEL and step.alterations[0].body is None
    back = planned(Stage(a1=BETTER, first=some), [FIRST, OLD, KeptVersion("c3")], champion="c3")
    assert back.steps[0].alterations[0].body == {"version": "a1"}


def test_where_laws_take_turns_a_version_of_the_library_answers_and_none_is_retrained_to_decide() -> None:
    step = planned(Stage(b2=BETTER, first=WORSE), [FIRST, TRAINED_NOW], Cause.REGIME).steps[0]
    assert step.remedy is Remedy.LIBRARY_MODEL and step.alterations[0].body == {"version": "b2"}
    found = Finding("outcome", str(Cause.REGIME), 0.9, ONSET, about={"enough_data": True})
    means = Means(("allow",), trains=True, library=Library((FIRST, TRAINED_NOW), "", NOW))
    assert all(one.remedy is not Remedy.RETRAIN or one.job for one in offers(found, means))


def test_events_that_a_version_has_learned_from_say_nothing_of_it() -> None:
    outside = held_out(KEYS, TRAINED_NOW.held_out)
    assert 0.3 < outside.mean() < 0.5
    good = np.where(np.arange(N) % 100 < 10, 2, 0)
    learned = ~outside & (BETTER.time_ns <= TRAINED_NOW.taught_ns)
    praised = decided(np.where(learned, good, np.where(np.arange(N) % 100 >= 10, 2, 0)))
    kept = effect_of(praised, 3, labels_only=True, unlearned=TRAINED_NOW)
    assert effect_of(decided(good), 3, labels_only=True).rehearsed.low > 0 > kept.rehearsed.high
    assert kept.rehearsed.n == int((~learned).sum())
    few = effect_of(decided(good, positives=0.0), 3, labels_only=True, unlearned=TRAINED_NOW, positives_least=12)
    assert np.isnan(few.rehearsed.effect)


def test_what_decisions_will_look_like_is_read_from_the_last_days() -> None:
    late = decided(np.where(BETTER.time_ns > NOW - 2 * DAY, 2, 0))
    assert effect_of(late, 3, expected_ns=NOW - 2 * DAY).mix == (0, 0, 1)
    assert effect_of(late, 3).mix[2] == pytest.approx(0.2, abs=0.01)

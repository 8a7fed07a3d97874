"""The kinds of trouble that nobody knows alter the traffic since their onset, and nothing before it."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.drill import OF_ANSWERS, answers_of
from benchmarks.unlisted import KINDS, figures_of, scenario_of

from homeostat.config.load import load_app
from homeostat.jobs.drill.rivals import NAMES
from homeostat.jobs.drill.running import Result, frame_of
from homeostat.sim.faults.runs import onset_of
from homeostat.sim.faults.scene import Frame, Scene, form_of
from homeostat.sim.faults.traffic import Traffic
from homeostat.sim.faults.worlds import payments_world

FRAME = frame_of(14, 7, 3)
FORM = form_of(load_app("payments"))


@pytest.fixture(scope="module")
def quiet() -> Traffic:
    return payments_world(FORM, FRAME, 5)


def _laid(quiet: Traffic, kind: str, frame: Frame = FRAME) -> tuple[Traffic, Scene]:
    scene = Scene.drawn(FORM, frame, onset_of(5, frame), 2, 5, [5, 41])
    return KINDS[kind](quiet, scene), scene


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_alters_traffic_since_its_onset_and_none_before(quiet: Traffic, kind: str) -> None:
    bad, scene = _laid(quiet, kind)
    before = quiet.sent_ns < scene.onset_ns
    kept = bad.sent_ns < scene.onset_ns
    assert np.array_equal(quiet.numbers[before], bad.numbers[kept]) and np.array_equal(quiet.id[before], bad.id[kept])
    same = (
        len(bad) == len(quiet) and np.array_equal(bad.numbers, quiet.numbers) and np.array_equal(bad.keys, quiet.keys)
    )
    assert not same
    assert scenario_of(kind).accepted == ("escalate",) and scenario_of(kind).id[1:].isdigit()


def test_cross_joined_rows_have_the_numbers_of_others_and_a_holiday_takes_events_away(quiet: Traffic) -> None:
    joined, _ = _laid(quiet, "cross-joined")
    assert np.allclose(np.sort(joined.numbers, axis=0), np.sort(quiet.numbers, axis=0))
    assert len(_laid(quiet, "holiday of some")[0]) < len(quiet)


def test_a_run_that_changed_something_is_counted() -> None:
    line = {
        "scenario": "U41",
        "detected": "2026-01-10",
        "actions": [{"kind": "convert"}],
        "causes": [],
        "by_itself": True,
    }
    calm = {**line, "actions": [], "by_itself": False}
    acted, noticed, asked, named = figures_of([Result(one, {}, [], {}) for one in (line, calm)])
    assert (acted.value, noticed.value, asked.value, named.value) == (1.0, 1.0, 0.5, 0.0)
    assert acted.verdict == "not reached" and "rounding: convert" in acted.note


def test_answers_of_pieces_of_a_drill_stand_beside_their_targets() -> None:
    line = {
        "scenario": "S12", "seed": 1, "truth": {"node": "field:amount", "kind": "unit"}, "detected": "x", "right": True,
        "harmful": False, "unauthorised": 0, "cause_first": True, "cause_in_three": True, "exact_set": True,
        "grounded": True, "by_itself": True, "may_act": True, "regret": 0.01, "confidence": 0.99,
        "actions": [{"kind": "convert"}], "recovered": 0, "others": {**dict.fromkeys(NAMES, 0.9), "oracle": 0.0},
    }  # fmt: skip
    found = {one.name: one for one in answers_of([line], [{"deciding": 2.0, "ruling": 0.5}])}
    assert all(name in found for _, name, _, _ in OF_ANSWERS)
    assert found["right action"].verdict == "ok" and found["incident to ruling"].value == 0.5
    assert found["regret beyond the best baseline's"].value == pytest.approx(0.01 - 0.9)
    assert found["right, of those at confidence .8 to .9"].verdict == "not measured"

"""Each fault leaves its mark on the traffic, and only its mark."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.config.load import load_app
from homeostat.sim.faults.runs import Run, lay_out, onset_of, run_of
from homeostat.sim.faults.scene import NEW_IDS, Form, Frame, form_of
from homeostat.sim.faults.suite import SUITE
from homeostat.sim.faults.traffic import Traffic
from homeostat.sim.faults.worlds import access_world, declared_world, infra_world, payments_world

START_NS = 1_767_571_200_000_000_000
FRAME = Frame(START_NS, 2, 7, 14)
COLUMNS = ("id", "sent_ns", "time_ns", "arrived_ns", "keys", "numbers", "form", "label", "reported", "known_ns")
# The columns that a fault may change of events which were there without it.
MARKS = {
    "S02": {"keys", "numbers", "label", "reported", "known_ns"}, "S03": {"label", "reported", "known_ns"},
    "S04": {"label", "reported", "known_ns"}, "S05": {"label", "reported", "known_ns"}, "S06": set(), "S07": set(),
    "S08": {"label", "reported", "known_ns"}, "S09": {"known_ns"}, "S10": {"reported"}, "S11": set(),
    "S12": {"numbers"}, "S13": {"form", "numbers"}, "S14": {"numbers"}, "S15": {"numbers"}, "S16": set(),
    "S17": {"arrived_ns"}, "S18": {"time_ns"}, "S25": set(), "S26": {"numbers", "keys"}, "S27": {"numbers"},
    "S29": {"form"},
}  # fmt: skip
BY_ACTS = {"S19", "S20", "S21", "S22", "S23", "S24", "S27", "S28"}


@pytest.fixture(scope="module")
def forms() -> dict[str, Form]:
    return {name: form_of(load_app(name)) for name in ("payments", "access", "infra")}


@pytest.fixture(scope="module")
def quiet(forms: dict[str, Form]) -> dict[str, Traffic]:
    return {
        "payments": payments_world(forms["payments"], FRAME, 3),
        "access": access_world(forms["access"], FRAME, 3),
        "infra": infra_world(forms["infra"], FRAME, 3),
    }


def without_extras(scenario: str, seed: int = 3) -> Run:
    run = run_of(scenario, seed, FRAME)
    return Run(run.scenario, seed, FRAME, run.onset_ns, 3, "", 0)


PAIRS = [(scenario, app) for app in ("payments", "access") for scenario in SUITE]
PAIRS += [(scenario, "infra") for scenario in ("S00", "S01", "S12", "S14", "S20", "S22")]


@pytest.mark.parametrize(("scenario", "app"), PAIRS)
def test_a_fault_leaves_its_mark_and_only_its_mark(
    scenario: str, app: str, forms: dict[str, Form], quiet: dict[str, Traffic]
) -> None:
    laid = lay_out(without_extras(scenario), quiet[app], forms[app])
    here, was = laid.traffic, quiet[app]
    own = here.rows(here.id < NEW_IDS)
    order, before = np.argsort(own.id), np.argsort(was.id)
    if scenario == "S01":  # Events come and go; none of them is altered.
        assert 0 < len(own) < len(was)
        return
    assert len(own) == len(was)
    changed = {
        name for name in COLUMNS
        if not np.array_equal(getattr(own, name)[order], getattr(was, name)[before], equal_nan=name == "numbers")
    }  # fmt: skip
    assert changed <= MARKS.get(scenario, set())
    marked = bool(changed) or len(here) > len(was) or bool(laid.acts)
    assert marked == (scenario != "S00")
    assert bool(laid.acts) == (scenario in BY_ACTS)
    assert len(laid.truths) == len(SUITE[scenario].faults)


@pytest.mark.parametrize("scenario", list(SUITE))
def test_nothing_happens_before_the_fork(scenario: str, forms: dict[str, Form], quiet: dict[str, Traffic]) -> None:
    run = run_of(scenario, 3, FRAME)
    laid = lay_out(run, quiet["payments"], forms["payments"])
    a, b = laid.traffic.since(run.fork_ns), quiet["payments"].since(run.fork_ns)
    assert a == b
    for name in ("id", "time_ns", "arrived_ns", "keys", "numbers", "form"):
        assert np.array_equal(getattr(laid.traffic, name)[:a], getattr(quiet["payments"], name)[:a], equal_nan=True)
    assert all(act.at_ns >= run.fork_ns for act in laid.acts)
    known = quiet["payments"].known_ns[:a] < run.fork_ns
    assert np.array_equal(laid.traffic.reported[:a][known], quiet["payments"].reported[:a][known])


def test_a_run_follows_from_scenario_and_seed(forms: dict[str, Form], quiet: dict[str, Traffic]) -> None:
    one, two = (lay_out(run_of("S16", 3, FRAME), quiet["payments"], forms["payments"]) for _ in range(2))
    assert one.acts == two.acts and one.log == two.log and one.truths == two.truths
    assert all(
        np.array_equal(getattr(one.traffic, name), getattr(two.traffic, name), equal_nan=name == "numbers")
        for name in COLUMNS
    )


def test_half_of_the_runs_have_a_decoy_and_a_quarter_have_noise() -> None:
    runs = [run_of(scenario, seed, FRAME) for scenario in SUITE for seed in range(40)]
    assert 0.45 < np.mean([bool(run.decoy) for run in runs]) < 0.55
    assert 0.2 < np.mean([bool(run.noise_ns) for run in runs]) < 0.3
    assert {run.severity for run in runs} == {1, 2, 3}


def test_onsets_lie_between_days_5_and_12_and_are_the_same_for_all_scenarios_of_a_seed() -> None:
    frame = Frame(START_NS, 2, 7, 30)
    onsets = {run_of(scenario, 7, frame).onset_ns for scenario in SUITE} - {0}
    assert onsets == {onset_of(7, frame)}
    assert all(frame.day(5) <= onset_of(seed, frame) <= frame.day(12) for seed in range(50))


def test_an_app_of_which_only_the_declaration_is_known_has_values_of_its_types(forms: dict[str, Form]) -> None:
    made = declared_world(forms["access"], FRAME, 1)
    assert made.numbers.shape[1] == 2 and made.words[0] and not made.words[1]
    assert set(np.unique(made.numbers[:, 0])) <= set(range(len(made.words[0])))
    assert (np.diff(made.arrived_ns) >= 0).all()

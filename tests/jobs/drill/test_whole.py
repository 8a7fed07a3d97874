"""The whole half: what is noticed is answered within limits, and counted from outside."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from homeostat.cli.schema import schema_of
from homeostat.config.gate import GateSpec
from homeostat.engine.unauthorised import beyond
from homeostat.jobs.drill.deciding import DrillApp
from homeostat.jobs.drill.rivals import NAMES
from homeostat.jobs.drill.running import Result, SeedTask, runs_of
from homeostat.jobs.drill.whole import DRILLED, Whole, limits_of
from homeostat.jobs.drill.whole_summary import whole_figures
from homeostat.sim.faults.suite import SUITE

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def results() -> list[Result]:
    task = SeedTask("payments", 0, ("S20", "S28"), days=9, past_days=28, warm_days=40, whole=True, baselines=True)
    return list(runs_of(task))


def test_a_worse_version_is_rolled_back_by_itself_and_verified(results: list[Result]) -> None:
    line = results[0].line
    assert [(one["kind"], one["tier"], one["by"]) for one in line["actions"]] == [("rollback", "execute", "homeostat")]
    assert line["right"] and not line["harmful"] and line["unauthorised"] == 0 and line["grounded"]
    assert line["causes"][0] == {"node": "version", "kind": "version"} and line["regret"] < 0.5
    executed = results[0].executed
    assert [(one["kind"], one["undone"]) for one in executed] == [("deploy", False)]
    assert executed[0]["change"]["scope"] == "champion" and executed[0]["actor"] == "homeostat"


def test_hours_that_are_decided_together_come_to_the_same(
    results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Whole, "_together", lambda self, deciding, end_ns: 1)
    task = SeedTask("payments", 0, ("S20",), days=9, past_days=28, warm_days=40, whole=True, baselines=True)
    alone = next(iter(runs_of(task)))
    assert alone.line == results[0].line and alone.executed == results[0].executed


def test_inside_a_blackout_a_person_is_asked_and_nothing_is_done(results: list[Result]) -> None:
    line = results[1].line
    assert line["actions"] == [] and line["unauthorised"] == 0 and results[1].executed == []
    assert line["tier"] == "escalate" and line["right"]


def test_the_figures_stand_beside_those_of_other_ways(results: list[Result]) -> None:
    found = whole_figures([one.line for one in results])
    assert found["overall"]["runs"] == 1 and found["held_out"]["runs"] == 1
    assert found["regret_of_others"]["nothing"] == 1.0 and found["regret_of_others"]["oracle"] == 0.0
    others = results[0].line["others"]
    assert set(others) == set(NAMES)
    retrained = others["always_retrain"]
    assert retrained is not None and retrained > 1  # It trains on what a worse version decided, which is forbidden.


def test_lines_and_figures_fit_their_schemas(results: list[Result]) -> None:
    lines = [one.line for one in results]
    for line in lines:
        Draft202012Validator(schema_of("drill-run")).validate(line)
    summary = schema_of("drill-summary")
    whole = {"$defs": summary["$defs"], **summary["properties"]["whole"]}
    Draft202012Validator(whole).validate(whole_figures(lines))


def test_an_app_that_declares_limits_is_drilled_within_these() -> None:
    drill = DrillApp("access")
    assert limits_of(drill, SUITE["S20"]) == DRILLED
    frozen = limits_of(drill, SUITE["S28"])
    assert frozen.blackouts and frozen.actions_per_day == 0
    app = drill.prepared.app
    own = app.model_copy(update={"maintain": app.maintain.model_copy(update={"gate": GateSpec(stop=True)})})
    object.__setattr__(drill.prepared, "app", own)
    assert limits_of(drill, SUITE["S20"]).stop


def test_actions_beyond_a_daily_budget_are_counted_from_outside() -> None:
    day = 86_400 * 10**9
    assert len(beyond([0, 1, 2], 2)) == 1 and beyond([0, day + 1, 2 * day + 2], 1) == beyond([], 0) == []

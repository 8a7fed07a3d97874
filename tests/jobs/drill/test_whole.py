"""The whole half: what is noticed is answered within limits, and counted from outside."""

from __future__ import annotations

from typing import Any
from weakref import ref

import pytest
from jsonschema import Draft202012Validator

from homeostat.cli.schema import schema_of
from homeostat.config.gate import GateSpec
from homeostat.engine.unauthorised import beyond
from homeostat.jobs.drill.deciding import Deciding, DrillApp
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.rivals import NAMES
from homeostat.jobs.drill.running import Result, SeedTask, runs_of
from homeostat.jobs.drill.whole import DRILLED, Whole, limits_of
from homeostat.jobs.drill.whole_summary import whole_figures
from homeostat.sim.faults.runs import Laid
from homeostat.sim.faults.suite import SUITE

pytestmark = pytest.mark.long


TASK = SeedTask("payments", 0, ("S20", "S28", "S20"), days=9, past_days=14, warm_days=30, whole=True, baselines=True)


@pytest.fixture(scope="module")
def ran() -> tuple[list[Result], list[int]]:
    """Three runs that go on from one quiet world, and how many loops of runs were in memory after each.

    In the last run no two hours are decided together.
    """
    runs, loops = runs_of(TASK), list[ref[Deciding]]()
    found, alive = list[Result](), list[int]()
    of = Whole.of

    def noted(drill: DrillApp, laid: Laid, cases: DrillCases, deciding: Deciding, models: Any) -> Whole:
        loops.append(ref(deciding))
        return of(drill, laid, cases, deciding, models)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Whole, "of", noted)
        for one in runs:
            found.append(one)
            alive.append(sum(each() is not None for each in loops))
            if len(found) == 2:
                patch.setattr(Whole, "_together", lambda self, deciding, end_ns: 1)
    return found, alive


@pytest.fixture
def results(ran: tuple[list[Result], list[int]]) -> list[Result]:
    """The results of the runs."""
    return ran[0]


def test_a_run_that_has_ended_holds_no_memory(ran: tuple[list[Result], list[int]]) -> None:
    assert ran[1] == [0, 0, 0]


def test_a_worse_version_is_rolled_back_by_itself_and_verified(results: list[Result]) -> None:
    line = results[0].line
    assert [(one["kind"], one["tier"], one["by"]) for one in line["actions"]] == [("rollback", "execute", "homeostat")]
    assert line["right"] and not line["harmful"] and line["unauthorised"] == 0 and line["grounded"]
    assert line["causes"][0] == {"node": "version", "kind": "version"} and line["regret"] < 0.5
    executed = results[0].executed
    assert [(one["kind"], one["undone"]) for one in executed] == [("deploy", False)]
    assert executed[0]["change"]["scope"] == "champion" and executed[0]["actor"] == "homeostat"


def test_hours_that_are_decided_together_come_to_the_same(results: list[Result]) -> None:
    together, _, alone = results
    assert alone.line == together.line and alone.executed == together.executed


def test_inside_a_blackout_a_person_is_asked_and_nothing_is_done(results: list[Result]) -> None:
    line = results[1].line
    assert line["actions"] == [] and line["unauthorised"] == 0 and results[1].executed == []
    assert line["tier"] == "escalate" and line["right"]


def test_the_figures_stand_beside_those_of_other_ways(results: list[Result]) -> None:
    found = whole_figures([one.line for one in results[:2]])
    assert found["overall"]["runs"] == 1 and found["held_out"]["runs"] == 1
    assert found["regret_of_others"]["nothing"] == 1.0 and found["regret_of_others"]["oracle"] == 0.0
    others = results[0].line["others"]
    assert set(others) == set(NAMES)
    retrained = others["always_retrain"]
    assert retrained is not None and retrained > 1  # It trains on what a worse version decided, which is forbidden.


def test_lines_and_figures_fit_their_schemas(results: list[Result]) -> None:
    lines = [one.line for one in results[:2]]
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

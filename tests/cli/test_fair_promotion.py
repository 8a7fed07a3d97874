"""A version that breaks a bound of fairness on the last outcomes is not promoted, unless a person says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat import load as open_app
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.cli import main
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.deployments import Unfair, promote, roll_back, stored
from homeostat.models.training_set import silent
from homeostat.records.changes import Change, ChangeKind
from homeostat.stats.chance import uniform

MOMENT_NS = 1_769_904_000 * 10**9
APP = """
homeostat: 1
app: loans
events:
  entities: {customer: {}}
  fields:
    score: {type: number}
    region: {type: category}
  label: {name: default}
scorers: {large: {kind: rules, rules: [{name: large, when: score > 0.6, score: 0.9}]}}
fusion: {kind: weighted}
actions: [grant, refuse]
costs: {grant: {positive: 10, negative: 0}, refuse: {positive: 0, negative: 6}}
outcomes: {maturity: 0s}
guards: {fallback: {scorers_absent: grant}}
fairness: {groups: region, bounds: [{measure: selection_rate, difference_max: BOUND}], binds: refuse}
"""


def loans(n: int) -> list[dict[str, Any]]:
    chance = [uniform(9, range(n), stream).tolist() for stream in range(2)]
    return [
        {
            "event_id": f"e{i}", "time": 1_767_225_600 + i, "customer": i, "region": ("north", "south")[i % 2],
            "score": min(1.0, chance[0][i] * (1.2 if i % 2 else 0.8)), "default": chance[1][i] < chance[0][i],
        }
        for i in range(n)
    ]  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A data folder with a version; returns a way to run a command, with the app's bound and how many events."""

    def made(bound: float, n: int):
        app, events = tmp_path / "loans.yaml", tmp_path / "events.jsonl"
        app.write_text(APP.replace("BOUND", str(bound)))
        rows = loans(1_000)
        events.write_text("".join(json.dumps(row) + "\n" for row in rows))
        train_on_events(app, TrainingRequest(events, tmp_path / "bundle", MOMENT_NS), silent)
        with open_app(app, bundle=tmp_path / "bundle", data=tmp_path / "data") as engine:
            engine.decide(rows[:n])
        assert called("import", tmp_path / "bundle")[0] == 0
        return called

    def called(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            main(["models", *map(str, arguments), "--data", str(tmp_path / "data")])
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        return (code, *capsys.readouterr())

    return made


def test_a_version_that_breaks_a_bound_is_refused_with_the_figure_and_a_person_may_override_it(world, tmp_path):
    call = world(0.05, 1_000)
    code, _, error = call("promote", "1", "--yes", "--app", tmp_path / "loans.yaml")
    assert code != 0 and "breaks a bound of fairness" in error
    assert "difference of selection rate between north and south lies outside of the bound: -0." in error
    assert call("promote", "1", "--yes", "--force", "--app", tmp_path / "loans.yaml")[0] != 0  # Without a reason.
    code, printed, _ = call("promote", "1", "--json", "--force", "--reason", "tried", "--app", tmp_path / "loans.yaml")
    found = json.loads(printed)["fairness"]
    assert code == 0 and found["verdict"] == "FAIL" and found["source"] == "fairness"
    assert found["low"] < found["estimate"] < found["high"] < -0.05
    assert set(found["n"]) == {"north", "south"} and found["effective"] == 500
    (change,) = SqliteSettings(tmp_path / "data").since(0)
    assert change.reason.startswith("tried (overridden: version ") and "lies outside of the bound" in change.reason


def test_a_version_that_keeps_to_the_bounds_is_promoted(world, tmp_path):
    call = world(0.9, 1_000)
    code, printed, _ = call("promote", "1", "--json", "--app", tmp_path / "loans.yaml")
    assert code == 0 and json.loads(printed)["fairness"]["verdict"] == "PASS"


def test_too_few_people_are_inconclusive_and_that_is_printed(world, tmp_path):
    call = world(0.05, 60)
    code, printed, error = call("promote", "1", "--json", "--app", tmp_path / "loans.yaml")
    assert code == 0 and json.loads(printed)["fairness"]["verdict"] == "INCONCLUSIVE"
    assert "fairness is INCONCLUSIVE: not enough data: north: 30 of 50 people" in error


def test_without_the_app_file_nothing_is_promoted_that_was_trained_under_a_bound(world):
    code, _, error = world(0.9, 1_000)("promote", "1", "--yes")
    assert code != 0 and "give --app with the app file" in error


def test_no_other_road_of_promotion_passes_by_and_the_way_back_is_open(world, tmp_path):
    world(0.9, 10)
    data = tmp_path / "data"
    registry, settings = SqliteRegistry(data), SqliteSettings(data)
    version = registry.versions()[0].version
    change = Change(ChangeKind.DEPLOY, "champion", {"version": version}, "ann", "by hand")
    with pytest.raises(Unfair, match="nobody looked"):
        promote(settings, registry, version, "ann", "by hand")
    with pytest.raises(Unfair, match="nobody looked"):
        stored(settings, registry, change, 0)
    assert settings.last == 0
    assert stored(settings, registry, Change(ChangeKind.DEPLOY, "challenger", change.body, "ann", "try"), 0).number == 1
    made = promote(settings, registry, version, "ann", "by hand", force=True)
    gone = roll_back(settings, registry, "ann", "back")
    again = stored(settings, registry, gone.undo("ann", "again"), gone.number)
    assert again.body == made.body

"""A replay's report has the figures of each group that the app file names, and a verdict of each bound."""

import json
from collections import defaultdict
from importlib.resources import files

import jsonschema
import pytest

from homeostat.config.load import AppFileError, load_app
from homeostat.config.tree import App
from homeostat.engine.assembly import prepare
from homeostat.jobs.replay import Request, replay_events
from homeostat.models.training_set import silent
from homeostat.stats.chance import uniform
from homeostat.stats.fairness import GROUPS_MAX, MEASURES

APP = """
homeostat: 1
app: loans
events:
  entities: {customer: {}}
  fields:
    score: {type: number}
    region: {type: category, required: false}
    branch: {type: integer, required: false}
    member: {type: boolean, required: false}
  label: {name: default}
scorers: {large: {kind: rules, rules: [{name: large, when: score > 0.6, score: 0.9}]}}
fusion: {kind: weighted}
actions: [grant, refuse]
costs: {grant: {positive: 10, negative: 0}, refuse: {positive: 0, negative: 2}}
guards: {fallback: {scorers_absent: grant}}
FAIRNESS
"""
BOUNDS = "[{measure: selection_rate, difference_max: 0.1}, {measure: cost_per_person, difference_max: 1000}]"


def loans(n=1_200):
    """Rows of two regions, some of none; one region has higher scores. A customer comes twice."""
    chance = [uniform(4, range(n), stream).tolist() for stream in range(3)]
    for i in range(n):
        region = ("north", "south", None)[0 if i % 10 < 5 else 1 if i % 10 < 9 else 2]
        score = min(1.0, chance[0][i] + (0.25 if region == "south" else 0.0))
        row = {
            "event_id": i + 1,
            "time": f"2026-01-01T00:{i // 60 % 60:02}:{i % 60:02}",
            "customer": i - i % 2 * 10 + 10,
        }
        row |= {"score": score, "default": chance[1][i] < 0.3, "branch": i, "member": chance[2][i] < 0.5}
        yield row if region is None else row | {"region": region}


def app_of(tmp_path, fairness):
    path = tmp_path / "loans.yaml"
    path.write_text(APP.replace("FAIRNESS", f"fairness: {fairness}" if fairness else ""))
    return load_app(path)


def replayed(tmp_path, fairness, rows):
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = replay_events(app_of(tmp_path, fairness), Request(events, tmp_path / "out"), silent)
    jsonschema.validate(report, json.loads((files("homeostat") / "schemas" / "report.json").read_text()))
    return report


def test_the_report_has_each_group_and_the_verdict_of_each_bound(tmp_path):
    rows = list(loans())
    found = replayed(tmp_path, f"{{groups: region, bounds: {BOUNDS}}}", rows)["fairness"]
    assert found["groups"] == "region" and found["without_group"] == sum("region" not in row for row in rows)
    by = {(f["measure"], f["group"]): f for f in found["figures"]}
    assert set(by) == {(measure, group) for measure in MEASURES for group in ("north", "south")}
    for group in ("north", "south"):
        mine = [row for row in rows if row.get("region") == group]
        refused = [row["score"] > 0.6 for row in mine]
        people = len({row["customer"] for row in mine})
        rate = by["selection_rate", group]
        assert (rate["value"], rate["rows"], rate["persons"]) == (
            pytest.approx(sum(refused) / len(mine)),
            len(mine),
            people,
        )
        assert rate["low"] < rate["value"] < rate["high"] and rate["not_enough_data"] is None
        positive = [r for r, row in zip(refused, mine, strict=True) if row["default"]]
        assert by["true_positive_rate", group]["value"] == pytest.approx(sum(positive) / len(positive))
        spent = sum(
            (0 if r else 10) if row["default"] else (2 if r else 0) for r, row in zip(refused, mine, strict=True)
        )
        assert by["cost_per_person", group]["value"] == pytest.approx(spent / people)
    assert [bound["verdict"] for bound in found["bounds"]] == ["FAIL", "PASS"] and found["verdict"] == "FAIL"
    assert "north and south lies outside" in found["bounds"][0]["why"]


def test_groups_that_are_too_small_are_not_enough_data(tmp_path):
    found = replayed(tmp_path, f"{{groups: region, persons_min: 2000, bounds: {BOUNDS}}}", loans(200))["fairness"]
    assert found["verdict"] == "INCONCLUSIVE" and {b["verdict"] for b in found["bounds"]} == {"INCONCLUSIVE"}
    assert all("of 2000 people" in figure["not_enough_data"] for figure in found["figures"])


def test_more_groups_than_can_be_compared_are_no_pass(tmp_path):
    bounds = "[{measure: selection_rate, difference_max: 1}]"
    found = replayed(tmp_path, f"{{groups: branch, persons_min: 2, bounds: {bounds}}}", loans(300))["fairness"]
    assert found["groups_left_out"] == 300 - GROUPS_MAX and found["verdict"] == "INCONCLUSIVE"


def test_yes_and_no_are_groups_and_the_mildest_action_can_be_what_is_compared(tmp_path):
    found = replayed(tmp_path, "{groups: member, selected: [grant]}", loans(400))["fairness"]
    rates = {f["group"]: f["value"] for f in found["figures"] if f["measure"] == "selection_rate"}
    of = defaultdict(list)
    for row in loans(400):
        of["true" if row["member"] else "false"].append(row["score"] <= 0.6)
    assert rates == {name: pytest.approx(sum(kept) / len(kept)) for name, kept in of.items()}
    assert found["verdict"] == "INCONCLUSIVE" and found["bounds"] == []


def test_without_the_section_nothing_is_reported_and_the_version_stays(tmp_path):
    assert "fairness" not in replayed(tmp_path, "", loans(50))
    assert "fairness" not in App.model_dump(app_of(tmp_path, ""))
    assert prepare(app_of(tmp_path, "{groups: region}")).app.fairness.persons_min == 50


@pytest.mark.parametrize(
    ("fairness", "words"),
    [
        ("{groups: region, every: 30s}", "1m is the most"),
        ("{groups: regoin}", "did you mean|region"),
        ("{groups: score}", "no field of type category, boolean or integer 'score'"),
        ("{groups: region, selected: [refus]}", "no action 'refus'"),
        ("{groups: region, bounds: [{measure: selection_rate}]}", "either difference_max or ratio_min"),
        ("{groups: region, bounds: [{measure: calibration, ratio_min: 0.8}]}", "calibration is no rate"),
        ("{groups: region, bounds: [{measure: selection_rate, ratio_min: 1.5}]}", "less than or equal to 1"),
        ("{groups: region, bounds: [{measure: parity, ratio_min: 0.5}]}", "not one of"),
    ],
)
def test_a_section_that_can_not_be_meant_is_a_fault(tmp_path, fairness, words):
    with pytest.raises(AppFileError, match=words):
        app_of(tmp_path, fairness)


def test_every_measure_of_the_figures_can_have_a_bound(tmp_path):
    bounds = ", ".join(f"{{measure: {measure}, difference_max: 0.1}}" for measure in MEASURES)
    assert len(app_of(tmp_path, f"{{groups: region, bounds: [{bounds}]}}").fairness.bounds) == len(MEASURES)

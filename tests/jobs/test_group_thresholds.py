"""An app whose fairness binds its thresholds decides each group by a rule of its own, learned with the models."""

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from homeostat import load as open_app
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.config.load import AppFileError, load_app
from homeostat.decide.policy.by_group import group_rules
from homeostat.engine.assembly import prepare
from homeostat.engine.explaining import sentences
from homeostat.jobs.replay import Request, replay_events
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.lineage import lineage_of
from homeostat.models.training.group_thresholds import train_group_thresholds
from homeostat.models.training_set import TrainingSet, silent
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.parts import Part, PartError
from homeostat.stats.chance import uniform

MOMENT_NS = 1_769_904_000 * 10**9
APP = """
homeostat: 1
app: loans
events:
  entities: {customer: {}}
  fields:
    score: {type: number}
    region: {type: category, required: false}
  label: {name: default}
scorers:
  steps:
    kind: rules
    rules:
      - {name: low, when: score > 0.2, score: 0.1}
      - {name: middle, when: score > 0.5, score: 0.3}
      - {name: high, when: score > 0.8, score: 0.6}
actions: [grant, ask, refuse]
costs:
  grant: {positive: 10, negative: 0}
  ask: {positive: 6, negative: 1}
  refuse: {positive: 0, negative: 4}
outcomes: {unknown: skip, maturity: 0s}
guards: {fallback: {scorers_absent: grant}}
fairness: FAIRNESS
"""
PARITY = "{groups: region, bounds: [{measure: selection_rate, difference_max: 0.1}], binds: thresholds}"
ODDS = "{groups: region, bounds: [{measure: true_positive_rate, difference_max: 0.1}], binds: thresholds}"


def loans(n=6_000, seed=4):
    """Rows of two large regions, one tiny one, and some of none; scores differ by region, and so do defaults."""
    chance = [uniform(seed, range(n), stream).tolist() for stream in range(2)]
    for i in range(n):
        region = ("north", "south", "tiny", None)[0 if i % 20 < 9 else 1 if i % 20 < 18 else 2 if i % 400 == 19 else 3]
        score = min(1.0, chance[0][i] * (0.6 if region == "north" else 1.2))
        row = {"event_id": f"e{i}", "time": 1_767_225_600 + i, "customer": i, "score": score}
        row["default"] = chance[1][i] < 0.7 * score
        yield row if region is None else row | {"region": region}


def app_file(tmp_path, fairness):
    path = tmp_path / "loans.yaml"
    path.write_text(APP.replace("FAIRNESS", fairness))
    return path


def trained(tmp_path, fairness):
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps(row) + "\n" for row in loans()))
    request = TrainingRequest(events, tmp_path / "bundle", MOMENT_NS)
    train_on_events(app_file(tmp_path, fairness), request, silent)
    return events, request.out


def replayed(tmp_path, bundle, events, out="out", batch=None):
    request = Request(events, tmp_path / out, bundle=bundle)
    return replay_events(
        tmp_path / "loans.yaml", request if batch is None else replace(request, chunk_rows=batch), silent
    )


def opened(tmp_path, bundle):
    return open_app(tmp_path / "loans.yaml", bundle=bundle)


def rates(report, measure):
    return {f["group"]: f["value"] for f in report["fairness"]["figures"] if f["measure"] == measure}


def test_groups_are_selected_at_one_rate_although_their_risks_differ(tmp_path):
    events, bundle = trained(tmp_path, PARITY)
    bound = rates(replayed(tmp_path, bundle, events), "selection_rate")
    (tmp_path / "loans.yaml").write_text(APP.replace("FAIRNESS", PARITY.replace(", binds: thresholds", "")))
    free = rates(replayed(tmp_path, bundle, events, "free"), "selection_rate")
    assert abs(free["north"] - free["south"]) > 0.1  # By cost alone.
    assert abs(bound["north"] - bound["south"]) < 0.03
    part = load_bundle(bundle).parts["fairness"]
    assert part.settings["groups"] == ["north", "south"] and part.settings["groups_left_out"] == 1
    assert bound["north"] == pytest.approx(part.settings["selection_rate"], abs=0.03)


def test_groups_have_one_rate_of_hits_and_one_of_false_alarms(tmp_path):
    events, bundle = trained(tmp_path, ODDS)
    report = replayed(tmp_path, bundle, events)
    part = load_bundle(bundle).parts["fairness"]
    for measure in ("true_positive_rate", "false_positive_rate"):
        found = rates(report, measure)
        assert found["north"] == pytest.approx(part.settings[measure], abs=0.04)
        assert found["south"] == pytest.approx(part.settings[measure], abs=0.04)


@pytest.mark.long
def test_a_decision_is_the_same_however_events_come_together_and_says_what_its_group_changed(tmp_path):
    _, bundle = trained(tmp_path, PARITY)
    rows = [{k: v for k, v in row.items() if k != "default"} for row in loans(400)]
    with opened(tmp_path, bundle) as one, opened(tmp_path, bundle) as many:
        single, batch = [one.decide(row) for row in rows], many.decide(rows)
        same = ("event_id", "risk", "propensity")  # The two engines draw by secrets of their own.
        assert [{k: d[k] for k in same} for d in single] == [{k: d[k] for k in same} for d in batch]
        assert all(sum(d["propensity"].values()) == pytest.approx(1.0) for d in batch)
        moved = [d for d in single if any(reason["kind"] == "fairness" for reason in d["reasons"])]
        assert moved
        again = one.decision(moved[0]["event_id"], explain=True)
        group = again["explanation"]["group"]
        assert group["field"] == "region" and group["group"] in ("north", "south") and 0 <= group["chance"] <= 1
        assert group["without"] != again["proposed"]
        assert "The thresholds of the person's group proposed another action" in "\n".join(sentences(again))
        nobody = next(row["event_id"] for row in rows if "region" not in row)
        assert one.decision(nobody, explain=True)["explanation"]["group"] is None


@pytest.mark.long
def test_replays_in_other_batches_write_the_same_decisions(tmp_path):
    events, bundle = trained(tmp_path, PARITY)
    for out, batch in (("large", 4_000), ("small", 7)):
        replayed(tmp_path, bundle, events, out, batch)
    large, small = ((tmp_path / out / "decisions.parquet").read_bytes() for out in ("large", "small"))
    assert large == small


@pytest.mark.long
def test_a_canary_decides_by_the_rules_of_its_own_version(tmp_path):
    _, bundle = trained(tmp_path, PARITY)
    found = load_bundle(bundle)
    part = found.parts["fairness"]
    nobody = {"low": np.full(2, np.inf), "high": np.full(2, np.inf), "coin_share": np.zeros(2)}
    strict = replace(part, arrays={**part.arrays, **nobody})
    save_bundle(replace(found, parts={**found.parts, "fairness": strict}), tmp_path / "strict")
    with closing(SqliteRegistry(tmp_path / "data")) as registry, closing(SqliteSettings(tmp_path / "data")) as settings:
        put = registry.put(tmp_path / "strict", lineage_of(load_bundle(tmp_path / "strict"), "ann", "stricter"))
        body = {"version": put.version, "share": 0.5}
        settings.append(Change(ChangeKind.DEPLOY, "canary", body, "ann", "a try"), 0)
    rows = [{k: v for k, v in row.items() if k != "default"} for row in loans(2_000) if "region" in row]
    with open_app(tmp_path / "loans.yaml", bundle=bundle, data=tmp_path / "data") as engine:
        made = [d for d, row in zip(engine.decide(rows), rows, strict=True) if row["region"] != "tiny"]
        by = {v: [d for d in made if d["version"] == v] for v in {d["version"] for d in made}}
        (canary,) = (v for v in by if put.version in v)
        (champion,) = (v for v in by if put.version not in v)
        assert {d["proposed"] for d in by[canary]} == {"grant"} and len(by[canary]) > 200
        assert {d["proposed"] for d in by[champion]} > {"grant"}
        one = engine.decision(by[canary][0]["event_id"], explain=True)["explanation"]
        assert one["same_version"] and one["group"]["chance"] == 0.0


def test_without_trained_rules_the_app_does_not_start(tmp_path):
    with pytest.raises(Exception, match="no trained fairness"):
        open_app(app_file(tmp_path, PARITY + "\nfusion: {kind: weighted}"))


@pytest.mark.parametrize(
    ("fairness", "words"),
    [
        ("{groups: region, binds: thresholds}", "no bound that could bind"),
        ("{groups: region, binds: refuse}", "no bound that could bind"),
        (PARITY.replace("selection_rate", "calibration"), "equalise either"),
        (PARITY.replace("binds: thresholds", "binds: threshold"), "thresholds"),
        (PARITY.replace("region,", "region, selected: [grant, ask, refuse],", 1), "must not be selected"),
    ],
)
def test_bounds_that_can_not_bind_are_a_fault(tmp_path, fairness, words):
    with pytest.raises(AppFileError, match=words):
        load_app(app_file(tmp_path, fairness))


def test_a_fairness_that_does_not_bind_leaves_the_version_as_it_was(tmp_path):
    free = load_app(app_file(tmp_path, "{groups: region}"))
    assert "binds" not in free.model_dump()["fairness"] and prepare(free).app.fairness.binds is None


@pytest.mark.parametrize("measures", [{"selection_rate"}, {"true_positive_rate"}])
def test_too_few_people_have_no_rules(measures):
    n = 60
    people = np.stack([np.arange(n) % 2, np.ones(n), np.ones(n)], axis=1).astype(float)
    rows = TrainingSet(
        ("x",), np.zeros((n, 1)), (np.arange(n) % 3 == 0).astype(float), np.arange(n), np.arange(n), np.arange(n),
        people=people,
    )  # fmt: skip
    part = train_group_thresholds(rows, np.linspace(0, 1, n), str, measures, 31)
    assert part.settings["groups"] == [] and "fewer than two groups" in part.settings["why"]
    assert train_group_thresholds(rows, np.linspace(0, 1, n), str, measures, 30).settings["groups"] == ["0.0", "1.0"]


@pytest.mark.parametrize(
    "part",
    [
        Part("forest", (), {}, {}, {"groups": []}),
        Part("group_thresholds", (), {}, {}, {"groups": ["a"]}),
        Part(
            "group_thresholds",
            (),
            dict.fromkeys(("low", "high", "high_share", "coin_share", "coin"), np.array([2.0])),
            {},
            {"groups": ["a"]},
        ),
    ],
)
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(PartError):
        group_rules(part, 0, [False, True], [1.0])

"""`homeostat gate` and the answers to plans, on a data folder."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.made_plans import FINDINGS, HOUR_NS, NOW, OPEN, PLAN
from tests.support.tuned import app_file
from tests.support.waiting import ID, waiting

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.app.gating import gate_of
from homeostat.checks.incidents import incident, signal
from homeostat.cli import main
from homeostat.config.gate import GateSpec
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.autonomy import Raised, Reach
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.findings import Conclusion
from homeostat.records.incidents import Phase
from homeostat.records.plans import Done, Receipt, Remedy, Verified
from homeostat.records.response_text import read_dict
from homeostat.records.responses import Answer, Response
from homeostat.records.statements import StatementKind
from homeostat.records.verdicts import Verdict

LIMITS = "maintain: {gate: {autonomy: {threshold: full}, cool_down: 12h}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder in which the plan of one incident waits for an answer; it is an hour after the ruling."""
    monkeypatch.setattr("homeostat.adapters.process.clock.SystemClock.now_ns", lambda self: NOW + HOUR_NS)
    plan = replace(PLAN, settings=0)
    ruling = LimitsGate(replace(OPEN, stop=True)).rule(plan, FINDINGS, (), NOW)
    with closing(SqlitePlans(tmp_path)) as store:
        store.write(Response("i1", 1, Phase.RULED, NOW, NOW, plan=plan, findings=FINDINGS, ruling=ruling))
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(one) for one in arguments])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    out, err = capsys.readouterr()
    return code, out, err


def plan_file(folder: Path, **more: Any) -> Path:
    found = {"plan": msgspec.to_builtins(PLAN), "findings": msgspec.to_builtins(FINDINGS), "at_ns": NOW, **more}
    path = folder / "plan.json"
    path.write_text(json.dumps(found))
    return path


def test_a_plan_of_a_file_is_explained_rule_by_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = app_file(tmp_path, more=LIMITS)
    code, out, _ = asked(capsys, "gate", "explain", plan_file(tmp_path), "--app", app)
    assert code == 0 and f"plan {PLAN.hash} of incident i1: threshold at app" in out and "rules execute" in out
    earlier = {
        "remedy": "threshold",
        "scope": "app",
        "at_ns": NOW - HOUR_NS,
        "cost": 1.0,
        "by": "ann",
        "verdict": "PASS",
    }
    code, out, _ = asked(capsys, "gate", "explain", plan_file(tmp_path, history=[earlier]), "--app", app, "--json")
    found = json.loads(out)
    assert found["plan"]["hash"] == PLAN.hash and found["gate"]["ruling"] == "watch"
    (waits,) = (one for one in found["gate"]["rules"] if one["tier"] != "execute")
    assert (waits["rule"], waits["value"], waits["limit"]) == ("cool_down", 1.0, 12.0)


def test_the_example_is_a_plan_that_can_be_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = app_file(tmp_path, more="maintain: {gate: {autonomy: {convert: full}}}")
    code, out, _ = asked(capsys, "gate", "explain", "--example")
    assert code == 0
    file = tmp_path / "plan.json"
    file.write_text(out)
    code, out, _ = asked(capsys, "gate", "explain", file, "--app", app, "--json")
    assert code == 0 and json.loads(out)["gate"]["ruling"] == "execute"
    code, _, err = asked(capsys, "gate", "explain", "--app", app)
    assert code == 1 and "--example" in err


def test_a_stored_ruling_is_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, "gate", "explain", "i1", "--data", folder)
    assert code == 0 and "rules escalate" in out and "the kill switch is on" in out


def test_an_answer_is_stored_once_and_voided_by_a_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hash = replace(PLAN, settings=0).hash
    answer = ("--reason", "it is right", "--actor", "ann", "--data", folder)
    code, _, err = asked(capsys, "incidents", "approve", "i1", "--plan", "0123", *answer)
    assert code and "plan 0123 is no more" in err
    with closing(SqliteSettings(folder)) as settings:
        settings.append(Change(ChangeKind.LEARNING, "policy", {"on": False}, "bob", "a test"), None)
    code, _, err = asked(capsys, "incidents", "approve", "i1", "--plan", hash, *answer)
    assert code and "since then came change 1 by bob" in err
    code, out, _ = asked(capsys, "incidents", "reject", "i1", "--plan", hash, *answer, "--json")
    assert code == 0 and json.loads(out)["answer"] == "reject"
    with closing(SqlitePlans(folder)) as store:
        kept = store.get("i1").approval
    assert kept is not None and (kept.answer, kept.actor, kept.at_ns) == (Answer.REJECT, "ann", NOW + HOUR_NS)
    code, _, err = asked(capsys, "incidents", "approve", "i1", "--plan", hash, *answer)
    assert code and "ann has answered already" in err


def test_other_levels_are_tried_on_stored_plans(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = app_file(folder, more=LIMITS)
    code, out, _ = asked(capsys, "gate", "simulate", "--app", app, "--data", folder, "--json")
    assert code == 0 and json.loads(out)["would_be"] == {"execute": 1} and json.loads(out)["was"] == {"escalate": 1}
    at = ("--app", app, "--data", folder)
    code, out, _ = asked(capsys, "gate", "simulate", *at, "--levels", "full", "--levels", "threshold=assisted")
    assert code == 0 and "escalate -> escalate (autonomy)" in out and "1 plans: 1 escalate" in out
    code, _, err = asked(capsys, "gate", "simulate", *at, "--levels", "ful")
    assert code and "did you mean full?" in err
    code, _, err = asked(capsys, "gate", "simulate", *at, "--levels", "treshold=full")
    assert code and "did you mean threshold?" in err


def test_an_owner_raises_a_kind_of_action(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, "gate", "raise", "convert", "--reason", "mended", "--actor", "ann", "--data", folder)
    assert code == 0 and "convert at app has its declared level again" in out
    with closing(SqlitePlans(folder)) as store:
        (word,) = store.raised()
    assert (word.actor, word.reason, word.at_ns) == ("ann", "mended", NOW + HOUR_NS)
    with closing(SqliteStatements(folder)) as record:
        (said,) = record.list(StatementKind.APPROVAL)
    assert (said.subject, said.about, said.topic, said.value, said.text) == (
        "action",
        "convert",
        "raise",
        "app",
        "mended",
    )
    code, _, err = asked(capsys, "gate", "raise", "convrt", "--reason", "x", "--data", folder)
    assert code and "did you mean convert?" in err


def test_the_kill_switch_is_turned_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--data", folder)
    assert "nobody has touched it" in asked(capsys, "gate", "state", *at)[1]
    code, out, _ = asked(capsys, "gate", "stop", "--reason", "a migration", "--actor", "ann", *at)
    assert code == 0 and "is on since" in out and "by ann: a migration" in out
    assert json.loads(asked(capsys, "gate", "state", *at, "--json")[1])["stopped"] is True
    code, _, err = asked(capsys, "gate", "resume", "--reason", "x", "--actor", "homeostat", *at)
    assert code and "a person does" in err
    assert asked(capsys, "gate", "resume", "--reason", " ", *at)[0]
    assert "is off since" in asked(capsys, "gate", "resume", "--reason", "over", "--actor", "bob", *at)[1]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan": 1, "findings": {}}', "[" * 99999])
def test_a_file_that_holds_no_plan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    code, out, err = asked(capsys, "gate", "explain", tmp_path / "plan.json", "--app", "access")
    assert code and not out and "plan.json" in err


def test_an_incident_is_shown_with_plan_gate_receipts_and_verdict_by_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = waiting(tmp_path, NOW)
    code, out, _ = asked(capsys, "incidents", "show", ID, "--data", tmp_path, "--json")
    found = json.loads(out)
    assert code == 0 and {"signals", "findings", "plan", "gate", "receipts", "verdict"} <= found.keys()
    (one,) = found["findings"]
    assert one["path"][0] == {"from": "outcome", "to": "fusion", "measured": "risk is 3 times as high"}
    assert (one["node"], one["kind"], one["probability"]) == ("outcome", "concept", 0.95)
    assert one["evidence"] == [
        {"what": "how much higher", "value": 3.1, "unit": "times", "command": "homeostat detect"}
    ]
    assert one["ruled_out"] == [{"node": "field:amount", "kind": "unit", "why": "its median is as it was"}]
    assert one["not_checked"] == ["the feature store"]
    made = found["plan"]
    assert made["hash"] == plan.hash and made["cost"] == 1.0
    assert {name: made["rehearsal"][name] for name in ("effect", "low", "high", "n")} == {
        "effect": 10.0, "low": 5.0, "high": 15.0, "n": 400,
    }  # fmt: skip
    assert made["blast"] == {"decisions": 0.1, "entities": 0.1, "money_per_hour": 50.0}
    (step,) = made["steps"]
    assert step["remedy"] == "threshold" and step["alterations"][0]["body"] == {"at": 0.8}
    assert found["gate"]["ruling"] == "escalate"
    (spoke,) = (rule for rule in found["gate"]["rules"] if rule["tier"] != "execute")
    assert spoke["rule"] == "four_eyes" and spoke["why"]
    assert (found["receipts"], found["verdict"], found["response"]["waits"]) == ([], None, True)
    receipt = Receipt(plan.hash, 0, f"{plan.hash}-0", NOW, "ann", (1,), remedy=Remedy.THRESHOLD, scope="app", cost=1.0)
    seen = Verified(0, NOW + 1, Verdict.PASS, 0.1, 0.1, 0.05, float("nan"), 90, "it was seen", key=receipt.key)
    with closing(SqlitePlans(tmp_path)) as store:
        store.write(store.get(ID).to(Phase.CLOSED, NOW + 1, "PASS", receipts=(receipt,), verdicts=(seen,)))
    found = json.loads(asked(capsys, "incidents", "show", ID, "--data", tmp_path, "--json")[1])
    assert [(one["key"], one["by"], one["undone"]) for one in found["receipts"]] == [(receipt.key, "ann", None)]
    assert (found["verdict"]["verdict"], found["verdict"]["seen"], found["verdict"]["high"]) == ("PASS", 0.1, None)
    text = asked(capsys, "incidents", "show", ID, "--data", tmp_path)[1]
    assert f"plan {plan.hash}, by homeostat" in text and "ann did threshold at app" in text and "PASS" in text


def test_a_person_edits_a_step_and_every_word_is_in_the_chained_record(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hash = replace(PLAN, settings=0).hash
    at = ("--plan", hash, "--actor", "ann", "--data", folder, "--app", app_file(folder, more=LIMITS))
    for words, said in (
        (("--body", "{}"), "--body is a JSON object"),
        (("--body", "[" * 99999), "--body is no JSON"),
        (("--body", '{"above": 1}'), "this step has: at"),
        (("--body", '{"at": 7}'), "body.at"),
        (("--remedy", "treshold"), "did you mean threshold?"),
        (("--drop", "--step", "2"), "there is no step 2"),
        (("--for", "soon"), "--for"),
        ((), "give one of these"),
    ):
        code, _, err = asked(capsys, "incidents", "edit", "i1", *at, "--reason", "too strict", *words)
        assert code and said in err, words
    code, out, _ = asked(capsys, "incidents", "edit", "i1", *at, "--reason", "too strict", "--body", '{"at": 0.9}')
    assert code == 0 and "step 1 with {'at': 0.9}, by ann" in out
    with closing(SqlitePlans(folder)) as store:
        kept = store.get("i1")
    assert kept.wished is not None and (kept.wished.actor, kept.wished.body) == ("ann", {"at": 0.9})
    code, _, err = asked(capsys, "incidents", "approve", "i1", *at, "--reason", "it is right")
    assert code and "the plan that this makes is answered" in err
    with closing(SqliteStatements(folder)) as record:
        (word,) = record.list(StatementKind.APPROVAL)
    assert (word.subject, word.about, word.topic, word.value, word.actor) == ("plan", hash, "edit", "i1", "ann")
    assert word.text == "step 1 with {'at': 0.9}: too strict"


def test_homeostat_can_t_raise_its_own_level(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = asked(capsys, "gate", "raise", "convert", "--reason", "x", "--actor", "homeostat", "--data", folder)
    assert code and "an owner does" in err
    with closing(SqlitePlans(folder)) as store:
        assert list(store.raised()) == []


def test_an_incident_without_a_plan_says_how_far_it_is_and_when_there_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(SqliteIncidents(tmp_path)) as store:
        store.write([signal("a"), signal("b")], [incident("0000000000000001")])
    code, _, err = asked(capsys, "gate", "explain", "0000000000000001", "--data", tmp_path)
    assert code == 1 and "it is open" in err and "two hours of event time" in err and "homeostat incidents show" in err
    code, _, err = asked(capsys, "gate", "explain", "nope", "--data", tmp_path)
    assert code == 1 and "there is no incident nope: homeostat incidents list" in err
    unsure = replace(FINDINGS, conclusion=Conclusion.INCONCLUSIVE, missing=("what moves field:amount",))
    with closing(SqlitePlans(tmp_path)) as plans:
        plans.write(Response("i1", 1, Phase.INVESTIGATED, NOW, NOW, findings=unsure))
        plans.write(Response("i2", 1, Phase.INVESTIGATED, NOW, NOW, findings=FINDINGS))
        plans.write(Response("i3", 1, Phase.PLANNED, NOW, NOW, findings=FINDINGS, plan=PLAN))
    for id, words in (
        ("i1", "showed no cause (what moves field:amount)"),
        ("i2", "not planned yet"),
        ("i3", "not ruled on yet"),
    ):
        code, _, err = asked(capsys, "gate", "explain", id, "--data", tmp_path)
        assert code == 1 and words in err, err


def drilled(folder: Path) -> Path:
    """A drill of four runs, of which three converted something."""
    run = {"right": True, "harmful": False, "actions": [{"kind": "convert", "undone": False}]}
    undone = [{"kind": "convert", "undone": False}, {"kind": "convert", "undone": True}]
    runs = [run, run, {"right": False, "harmful": True, "actions": undone},
            {"right": False, "harmful": False, "actions": [{"kind": "mask", "undone": False}]}]  # fmt: skip
    (folder / "runs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in runs))
    (folder / "summary.json").write_text(json.dumps({"app": "shop", "seeds": [1, 2]}))
    return folder


def test_a_level_is_raised_with_the_record_of_a_drill_beside_it(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    drill = drilled(tmp_path_factory.mktemp("drill"))
    words = ("--reason", "mended", "--actor", "ann", "--data", folder, "--drill")
    code, out, _ = asked(capsys, "gate", "raise", "convert", *words, drill)
    said = (
        "in a drill of shop, 2 seeds, convert was done in 3 runs: right in 2 (67%, 21% to 94%), "
        "harmful in 1 (33%, 6% to 79%), 1 of 4 undone"
    )
    assert code == 0 and said in out
    with closing(SqliteStatements(folder)) as record:
        assert record.list(StatementKind.APPROVAL)[0].text == f"mended ({said})"
    code, out, _ = asked(capsys, "gate", "raise", "map", *words, drill / "summary.json", "--json")
    assert code == 0 and json.loads(out)["drill"]["runs"] == 0
    (drill / "runs.jsonl").write_text('{"right": true}\n')
    code, _, err = asked(capsys, "gate", "raise", "map", *words, drill)
    assert code and "no drill of the whole half" in err and "--half whole" in err
    code, _, err = asked(capsys, "gate", "raise", "map", *words, folder / "none")
    assert code and "holds no drill" in err
    with closing(SqlitePlans(folder)) as store:
        assert [str(one.remedy) for one in store.raised()] == ["convert", "map"]


def test_a_kind_of_action_that_failed_is_lowered_by_itself_and_raised_by_an_owner_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = app_file(tmp_path, more="maintain: {gate: {autonomy: {threshold: supervised}}}")
    earlier = {
        "remedy": "threshold", "scope": "app", "at_ns": NOW - 48 * HOUR_NS, "cost": 1.0, "by": "homeostat",
        "verdict": "FAIL", "judged_ns": NOW - 47 * HOUR_NS,
    }  # fmt: skip
    file = plan_file(tmp_path, history=[earlier])
    code, out, _ = asked(capsys, "gate", "explain", file, "--app", app)
    assert code == 0 and "threshold at app is assisted, lowered from supervised since it failed" in out
    calm = plan_file(tmp_path, history=[{**earlier, "verdict": "PASS"}])
    assert "rules execute" in asked(capsys, "gate", "explain", calm, "--app", app)[1]
    raised = Raised(Remedy.THRESHOLD, Reach.APP, NOW - HOUR_NS, "ann", "mended")
    failed = read_dict(earlier, Done)
    spec = GateSpec(autonomy={"threshold": "supervised"})
    tiers = [str(gate_of(spec, words).rule(PLAN, FINDINGS, [failed], NOW).tier) for words in ((), (raised,))]
    assert tiers == ["escalate", "execute"]

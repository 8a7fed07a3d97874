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

from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.cli import main
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.incidents import Phase
from homeostat.records.responses import Answer, Response

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
    code, _, err = asked(capsys, "gate", "raise", "convrt", "--reason", "x", "--data", folder)
    assert code and "did you mean convert?" in err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan": 1, "findings": {}}', "[" * 99999])
def test_a_file_that_holds_no_plan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    code, out, err = asked(capsys, "gate", "explain", tmp_path / "plan.json", "--app", "access")
    assert code and not out and "plan.json" in err

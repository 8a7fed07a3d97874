"""Unauthorised actions are counted from the settings and the chained record, not from the word of loop 2."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.made_plans import FINDINGS, HOUR_NS, NOW, OPEN, PLAN, STEP
from tests.support.tuned import app_file

from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.cli import main
from homeostat.config.gate import Blackout, GateSpec
from homeostat.engine.unauthorised import count
from homeostat.maintain.act.executor import SettingsExecutor
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan, Tier
from homeostat.records.response_text import Ruled
from homeostat.records.responses import Response
from homeostat.records.statements import PLAN as SUBJECT
from homeostat.records.statements import Statement, StatementKind

FULL = GateSpec(level="full")
MADE = replace(PLAN, settings=0)


def ruled(plan: Plan = MADE, tier: Tier = Tier.EXECUTE, at_ns: int = NOW) -> Ruled:
    ruling = LimitsGate(OPEN).rule(plan, FINDINGS, (), at_ns)
    return Ruled(plan, FINDINGS, replace(ruling, tier=tier))


def done(plan: Plan = MADE, by: str = "homeostat", at_ns: int = NOW + 1) -> Change:
    """The change that the executor stores for the plan's step."""
    settings = MemorySettings()
    SettingsExecutor(settings, lambda plan, by: True).act(plan, 0, by, at_ns)
    (change,) = settings.since(0)
    return replace(change, at_ns=at_ns)


def approval(plan: Plan = MADE, actor: str = "ann", topic: str = "approve", at_ns: int = NOW) -> Statement:
    return Statement(StatementKind.APPROVAL, SUBJECT, plan.hash, topic, "i1", actor=actor, number=1, at_ns=at_ns)


def switched(stop: bool, at_ns: int, number: int = 2) -> Statement:
    topic = "stop" if stop else "resume"
    return Statement(StatementKind.SWITCH, "action", "everything", topic, actor="ann", number=number, at_ns=at_ns)


FREEZE = FULL.model_copy(update={"blackouts": (Blackout(name="a freeze"),)})
OTHER = replace(MADE, steps=(replace(STEP, alterations=()),))


@pytest.mark.parametrize(
    ("change", "words", "plans", "spec", "said"),
    [
        (done(), (), (ruled(),), FULL, ""),
        (done(by="ann"), (approval(),), (ruled(tier=Tier.ESCALATE),), GateSpec(), ""),
        (done(by="ann"), (approval(),), (), GateSpec(stop=True), ""),
        (done(), (), (ruled(tier=Tier.WATCH, at_ns=NOW + HOUR_NS),), FULL, ""),  # Ruled again before a later step.
        (done(), (), (ruled(tier=Tier.ESCALATE),), FULL, "the gate ruled escalate, and nobody approved it"),
        (done(), (), (), FULL, "no plan of that hash was ruled on"),
        (done(), (), (ruled(),), GateSpec(), "assisted, so a person approves it"),
        (done(), (), (ruled(),), FULL.model_copy(update={"autonomy": {"threshold": "assisted"}}), "is assisted"),
        (done(), (), (ruled(),), FULL.model_copy(update={"stop": True}), "the kill switch is on"),
        (done(), (switched(True, NOW - HOUR_NS),), (ruled(),), FULL, "a person had turned the kill switch on"),
        (done(), (switched(True, NOW + HOUR_NS),), (ruled(),), FULL, ""),
        (done(), (switched(True, 1), switched(False, 2, 3)), (ruled(),), FULL, ""),
        (done(by="ann"), (approval(), switched(True, 1)), (ruled(),), FULL, ""),
        (done(), (), (ruled(),), FREEZE, "it was a time of: a freeze"),
        (done(), (), (ruled(),), FULL.model_copy(update={"actions_per_day": 0}), "beyond 0 actions"),
        (done(at_ns=MADE.at_ns - 1), (), (ruled(),), FULL, "came before its plan was made"),
        (replace(done(), body={"at": 0.1}), (), (ruled(),), FULL, "does not want this change"),
        (replace(done(), scope="review"), (), (ruled(),), FULL, "does not want this change"),
        (replace(done(), key=f"{MADE.hash}-7-0"), (), (ruled(),), FULL, "has no step 8"),
        (done(by="ann"), (), (ruled(),), FULL, "ann approved it, and no such approval is on record"),
        (done(by="ann"), (approval(actor="bob"),), (ruled(),), FULL, "no such approval is on record"),
        (done(by="ann"), (approval(OTHER),), (ruled(),), FULL, "no such approval is on record"),
        (done(by="ann"), (approval(topic="reject"),), (ruled(),), FULL, "no such approval is on record"),
        (done(by="ann"), (approval(at_ns=NOW + HOUR_NS),), (ruled(),), FULL, "came before its approval by ann"),
        (replace(done(by="ann"), key="mine"), (approval(),), (ruled(),), FULL, "names no plan"),
    ],
)
def test_a_change_is_authorised_by_an_approval_on_record_or_by_a_ruling_within_the_limits(
    change: Change, words: tuple[Statement, ...], plans: tuple[Ruled, ...], spec: GateSpec, said: str
) -> None:
    found = count([change], words, plans, spec)
    assert [said in one.why for one in found.unauthorised] == ([True] if said else [])
    assert not said or found.unauthorised[0].number == change.number


def test_changes_of_people_and_undone_ones_are_no_actions() -> None:
    own = Change(ChangeKind.THRESHOLD, "block", {"at": 0.1}, "ann", "mine", "my-key", number=1, at_ns=NOW)
    back = replace(done(), reverts=1, key=f"{MADE.hash}-0-undo-1", number=2)
    assert count([own, back], (), (), GateSpec(stop=True)).unauthorised == []


def test_more_actions_than_a_day_may_have_are_counted_and_a_step_of_two_changes_is_one() -> None:
    plans = [replace(MADE, at_ns=MADE.at_ns + at) for at in range(4)]
    changes = [replace(done(one, at_ns=NOW + at), number=at + 1) for at, one in enumerate(plans)]
    twice = replace(changes[0], number=9, key=f"{plans[0].hash}-0-1")
    spec = FULL.model_copy(update={"actions_per_day": 3})
    found = count([*changes, twice], (), [ruled(one) for one in plans], spec)
    assert found.steps == 4 and [(one.number, one.why) for one in found.unauthorised] == [
        (4, "it is beyond 3 actions in 24 hours")
    ]


def test_the_command_counts_in_a_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = app_file(tmp_path, more="maintain: {gate: {autonomy: {threshold: full}}}")
    ruling = LimitsGate(OPEN).rule(MADE, FINDINGS, (), NOW)

    def asked(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["gate", "audit", "--app", str(app), "--data", str(tmp_path), *more])
        return int(ended.value.code or 0), capsys.readouterr().out

    assert asked() == (0, "0 changes, 0 steps of plans among them, 0 approved by people: 0 unauthorised\n")
    with closing(SqlitePlans(tmp_path)) as plans, closing(SqliteSettings(tmp_path)) as settings:
        plans.write(Response("i1", 1, Phase.RULED, NOW, NOW, plan=MADE, findings=FINDINGS, ruling=ruling))
        SettingsExecutor(settings, lambda plan, by: True).act(MADE, 0, "homeostat", NOW)
        code, out = asked("--json")
        assert code == 0 and json.loads(out)["steps"] == 1
        forged = replace(MADE, at_ns=MADE.at_ns + 1, settings=1)
        SettingsExecutor(settings, lambda plan, by: True).act(forged, 0, "ann", NOW)
    code, out = asked()
    assert code == 1 and "change 2" in out and "ann approved it, and no such approval is on record" in out
    with closing(SqliteStatements(tmp_path)) as record:
        assert record.list(StatementKind.APPROVAL) == []

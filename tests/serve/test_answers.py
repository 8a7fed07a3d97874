"""People's words on plans over HTTP: bound to a plan and a state, sent once or twice, and on record."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from http_servers import Server, steady
from tests.support.fuzzing import ANY_DATA, PHASES, fuzz
from tests.support.made_plans import HOUR_NS
from tests.support.waiting import waiting

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.checks.incidents import incident, signal
from homeostat.engine.gate_record import GateRecord
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.plans import Plan
from homeostat.records.statements import StatementKind, standing

pytestmark = pytest.mark.long
GATE = "\nmaintain: {gate: {four_eyes: [threshold], answer: 4h}}\n"
NUMBERS = itertools.count(1)
BARE = "f" * 16


class Desk:
    """A server with keys, on a folder of incidents whose plans wait."""

    def __init__(self, folder: Path) -> None:
        self.folder, keys = folder, FileApiKeys(folder)
        names = ("read", "operate", "approve", "other")
        self.secrets = {name: keys.create(name, ["approve", "read"] if name == "other" else [name]) for name in names}
        self.secrets["admin"] = keys.create("admin", ["admin"])
        app = steady(folder)
        app.write_text(app.read_text() + GATE)
        with closing(SqliteIncidents(folder)) as store:
            store.write([signal("a")], [incident(BARE)])
        self.server = Server(app, "--data", folder)

    def ask(self, path: str, body: object = None, who: str = "approve", **more: str):
        return self.server.ask(path, body, authorization=f"Bearer {self.secrets[who]}", **more)

    def plan(self, hours_ago: float = 0, by: str = "homeostat") -> tuple[str, Plan, str]:
        """A new incident whose plan waits: its path, its plan, and its ETag."""
        id = f"{next(NUMBERS):016x}"
        plan = waiting(self.folder, time.time_ns() - int(hours_ago * HOUR_NS), id, by=by)
        path = f"/v1/incidents/{id}"
        status, head, whole = self.ask(path, who="read")
        assert status == 200 and whole["plan"]["hash"] == plan.hash
        return path, plan, head["etag"]

    def record(self, plan: Plan) -> list[tuple[str, str, str]]:
        with closing(SqliteStatements(self.folder)) as store:
            words = store.list(StatementKind.APPROVAL)
        return [(one.topic, one.actor, one.text) for one in words if one.about == plan.hash]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    found = Desk(tmp_path_factory.mktemp("answers"))
    yield found
    if found.server.process.poll() is None:
        assert found.server.stop() == 0


def said(plan: Plan, **more: Any) -> dict[str, Any]:
    return {"plan": plan.hash, "reason": "it is right", **more}


def test_an_incident_has_its_plan_ruling_and_the_time_until_which_it_may_be_answered(desk: Desk) -> None:
    path, _, tag = desk.plan()
    assert tag == '"1.1"'
    status, _, whole = desk.ask(path, who="read")
    assert status == 200 and whole["plan"]["rehearsal"]["low"] == 5.0 and whole["gate"]["ruling"] == "escalate"
    assert whole["findings"][0]["evidence"][0]["command"] == "homeostat detect" and whole["verdict"] is None
    assert whole["response"]["waits"] and whole["response"]["until"] > whole["gate"]["at"] and whole["receipts"] == []
    assert desk.ask(path, who="read", if_none_match=tag)[0] == 304
    assert desk.ask(f"/v1/incidents/{BARE}", who="read")[1]["etag"] == '"1"'


def test_an_answer_takes_a_key_of_its_own_scope_and_the_state_that_was_seen(desk: Desk) -> None:
    path, plan, tag = desk.plan()
    for who in ("read", "operate"):
        status, _, problem = desk.ask(f"{path}:approve", said(plan), who, if_match=tag)
        assert status == 403 and "scope approve" in problem["fix"]
    assert desk.ask(f"{path}:close", {"reason": "x"}, if_match=tag)[0] == 403
    assert desk.ask(f"{path}:approve", said(plan))[0] == 428
    for old in ('"1"', '"1.7"'):
        status, _, problem = desk.ask(f"{path}:approve", said(plan), if_match=old)
        assert status == 412 and problem["found"]["plan"]["hash"] == plan.hash and problem["fix"]
    assert desk.record(plan) == []
    status, head, made = desk.ask(f"{path}:approve", said(plan, actor="ann"), if_match=tag)
    assert status == 200 and head["etag"] == '"1.2"' and not made["response"]["waits"]
    given = made["response"]["answer"]
    assert given["answer"] == "approve" and given["actor"].startswith("ann (key ") and given["reason"] == "it is right"
    assert desk.record(plan) == [("approve", given["actor"], "it is right")]
    status, _, problem = desk.ask(f"{path}:reject", said(plan), if_match='"1.2"')
    assert status == 409 and "has answered already: approve" in problem["detail"] and problem["fix"]


def test_the_same_key_is_the_same_answer_and_no_other(desk: Desk) -> None:
    path, plan, tag = desk.plan()
    for at in range(2):  # The answer to the first may be lost.
        status, head, made = desk.ask(f"{path}:reject", said(plan), if_match=tag, idempotency_key="k1")
        assert status == 200 and made["response"]["answer"]["answer"] == "reject"
        assert head.get("idempotency-replayed") == ("true" if at else None)
    for act, body in (("approve", said(plan)), ("reject", said(plan, reason="another"))):
        status, _, problem = desk.ask(f"{path}:{act}", body, if_match=tag, idempotency_key="k1")
        assert status == 409 and "k1" in problem["detail"] and "new key" in problem["fix"]
    assert len(desk.record(plan)) == 1


def test_another_plan_another_state_and_a_late_answer_are_void(desk: Desk) -> None:
    path, plan, tag = desk.plan()
    status, _, problem = desk.ask(f"{path}:approve", said(plan) | {"plan": "0" * 16}, if_match=tag)
    assert status == 409 and f"is {plan.hash}" in problem["detail"] and "present plan" in problem["fix"]
    late, old, then = desk.plan(hours_ago=3.5)
    status, _, problem = desk.ask(f"{late}:approve", said(old), if_match=then)
    assert status == 409 and "the time to answer" in problem["detail"]
    with closing(SqliteSettings(desk.folder)) as settings:
        made = settings.append(Change(ChangeKind.LIST, "vip", {"values": ["a"]}, "bob", "a test"), None)
    status, _, problem = desk.ask(f"{path}:approve", said(plan), if_match=tag)
    assert status == 409 and f"since then came change {made.number} by bob" in problem["detail"] and problem["fix"]
    assert desk.ask(f"{path}:reject", said(plan), if_match=tag)[0] == 200
    assert [one[0] for one in desk.record(plan)] == ["reject"] and desk.record(old) == []


def test_of_many_who_answer_at_once_one_is_first_and_no_other_word_counts(desk: Desk) -> None:
    path, plan, tag = desk.plan()
    acts = [("approve" if k % 2 else "reject", f"person {k}", "approve" if k % 3 else "other") for k in range(12)]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(
            lambda one: desk.ask(f"{path}:{one[0]}", said(plan, actor=one[1]), one[2], if_match=tag), acts
        ))  # fmt: skip
    assert sorted({status for status, _, _ in found} - {200}) in ([409], [412], [409, 412])
    (won,) = [made["response"]["answer"] for status, _, made in found if status == 200]
    with closing(SqliteStatements(desk.folder)) as store:
        words = [one for one in store.list(StatementKind.APPROVAL) if one.about == plan.hash]
        record = GateRecord(store)
        assert [(one.topic, one.actor) for one in standing(words)] == [(won["answer"], won["actor"])]
        assert {one.actor for one in words if record.approved(plan.hash, one.actor)} == (
            {won["actor"]} if won["answer"] == "approve" else set()
        )


def test_the_same_word_at_once_from_two_windows_counts_once(desk: Desk) -> None:
    path, plan, tag = desk.plan()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: desk.ask(f"{path}:approve", said(plan), if_match=tag)[0], range(6)))
    assert found.count(200) == 1 and [topic for topic, _, _ in desk.record(plan)] == ["approve"]


def test_an_edit_waits_to_be_made_and_no_answer_counts_meanwhile(desk: Desk) -> None:
    path, plan, tag = desk.plan()
    for wrong in ({"step": 2, "drop": True}, {"body": {"above": 1}}, {}, {"drop": True, "remedy": "mask"}):
        status, _, problem = desk.ask(f"{path}:edit", said(plan, **wrong), if_match=tag)
        assert status == 422 and problem["fix"], wrong
    status, _, problem = desk.ask(f"{path}:edit", said(plan, body={"at": 7}), if_match=tag)
    assert status == 422 and "body.at" in problem["detail"]
    for at in range(2):
        wish = said(plan, body={"at": 0.9}, **{"for": "6h"})
        status, head, made = desk.ask(f"{path}:edit", wish, if_match=tag, idempotency_key="e1")
        assert status == 200 and head["etag"] == '"1.2"' and not made["response"]["waits"]
        assert head.get("idempotency-replayed") == ("true" if at else None)
    (edit,) = made["response"]["edits"]
    assert (edit["step"], edit["body"], edit["lasts_ns"]) == (0, {"at": 0.9}, 6 * HOUR_NS)
    status, _, problem = desk.ask(f"{path}:approve", said(plan), if_match='"1.2"')
    assert status == 409 and "the plan that this makes is answered" in problem["detail"]
    ((topic, _, text),) = desk.record(plan)
    assert topic == "edit" and text == "step 1 with {'at': 0.9}, for 6 hours: it is right"


def test_the_author_of_an_edited_plan_does_not_approve_it_and_another_key_does(desk: Desk) -> None:
    path, plan, tag = desk.plan(by=f"ann (key {desk.secrets['approve'].split('_')[1]})")
    for name in ("ann", "bob", ""):
        status, _, problem = desk.ask(f"{path}:approve", said(plan, actor=name), if_match=tag)
        assert status == 409 and "needs a second person" in problem["detail"]
    assert desk.ask(f"{path}:approve", said(plan, actor="ann"), "other", if_match=tag)[0] == 409
    assert desk.ask(f"{path}:approve", said(plan, actor="bob"), "other", if_match=tag)[0] == 200


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("approve", {}), ("approve", {"plan": "x"}), ("approve", {"reason": " "}), ("approve", {"more": 1}),
        ("approve", {"step": 1}), ("approve", {"reason": "a\x1b[31m"}), ("approve", {"actor": "a\nb"}),
        ("edit", {"step": 0}), ("edit", {"step": True}), ("edit", {"drop": 1}), ("edit", {"remedy": "odd"}),
        ("edit", {"remedy": [[], {}]}), ("edit", {"for": -5}), ("edit", {"step": 10**30}),
        ("edit", {"body": {"at": []}}),
        ("edit", {"body": {}}), ("edit", {"body": [1]}), ("edit", {"for": "long"}),
    ],
)  # fmt: skip
def test_odd_words_are_problems(desk: Desk, act: str, body: dict[str, Any]) -> None:
    path, plan, tag = desk.plan()
    given = {**said(plan), **body} if body else {"reason": "x"}
    status, head, problem = desk.ask(f"{path}:{act}", given, if_match=tag)
    assert status in (409, 422) and problem["fix"] and head["content-type"] == "application/problem+json"
    assert desk.record(plan) == []


def test_a_post_mortem_is_served_in_both_forms(desk: Desk) -> None:
    path, plan, _ = desk.plan()
    for query, kind in (("", "text/html"), ("?format=html", "text/html"), ("?format=md", "text/markdown")):
        status, head, body = desk.ask(f"{path}/report{query}", who="read")
        assert status == 200 and head["content-type"] == f"{kind}; charset=utf-8" and plan.hash in body.decode()
    status, _, problem = desk.ask(f"{path}/report?format=pdf", who="read")
    assert status == 422 and "html" in problem["fix"]
    assert desk.ask(f"{path}/report", {}, who="admin")[0] == 405
    assert desk.ask("/v1/incidents/eeeeeeeeeeeeeeee/report", who="read")[0] == 404
    assert desk.ask(f"{path}/report", who="approve")[0] == 403


def test_an_incident_without_a_plan_and_one_that_is_not_there(desk: Desk) -> None:
    body = {"plan": "0" * 16, "reason": "x"}
    assert desk.ask(f"/v1/incidents/{BARE}:approve", body, if_match='"1"')[0] == 409
    assert desk.ask("/v1/incidents/eeeeeeeeeeeeeeee:approve", body, if_match='"1.1"')[0] == 404
    assert desk.ask(f"/v1/incidents/{BARE}:approve", who="approve")[0] in (403, 405)


@PHASES
def test_a_fuzzer_finds_nothing_in_the_routes_of_incidents(desk: Desk, tmp_path: Path, phase: str) -> None:
    desk.plan()
    key = f"X-API-Key: {desk.secrets['admin']}"
    chosen = ("--include-path-regex", "^/v1/incidents", "--max-examples", "15", "-H", key)
    fuzz(desk.server.url, tmp_path, *chosen, "--phases", phase, *ANY_DATA)
    assert json.dumps(desk.ask("/v1/incidents?state=all", who="read")[2])

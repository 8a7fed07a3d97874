"""A signed link opens a page, and the page takes one answer; nothing that only opens it approves anything."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from http_servers import Server, steady
from tests.support.fuzzing import ANY_DATA, PHASES, fuzz
from tests.support.made_plans import HOUR_NS
from tests.support.waiting import ID, waiting

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.config.links import LinkSettings
from homeostat.engine.links import BELOW, Link, Links
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan
from homeostat.records.responses import Answer, Response
from homeostat.records.statements import StatementKind

pytestmark = pytest.mark.long
SECRET = "0123456789abcdef0123456789abcdef"
LINKS = Links(LinkSettings("https://risk.example.com", SECRET))
GOOD = {"actor": "ann", "reason": "the feed is in cents"}


class Desk:
    """A server with keys that takes links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        FileApiKeys(folder).create("one", ["read"])
        app = steady(folder)
        app.write_text(app.read_text() + "\nmaintain: {gate: {four_eyes: [threshold]}}\n")
        environ = {"HOMEOSTAT_LINKS__SECRET": SECRET, "HOMEOSTAT_LINKS__URL": "https://risk.example.com"}
        self.server = Server(app, "--data", folder, **environ)

    def ask(self, token: str, form: dict[str, str] | None = None, kind: str = "application/x-www-form-urlencoded"):
        """Status and page; without a form it is a GET."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.server.url + BELOW + token, data, {"content-type": kind})
        try:
            with urllib.request.urlopen(request, timeout=240) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def response(self, id: str) -> Response:
        with closing(SqlitePlans(self.folder)) as store:
            return store.get(id)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    found = Desk(tmp_path_factory.mktemp("links"))
    yield found
    if found.server.process.poll() is None:
        assert found.server.stop() == 0


def linked(plan: Plan, answer: Answer = Answer.APPROVE, hours: float = 1, secret: str = SECRET) -> str:
    until_s = time.time_ns() // 10**9 + int(hours * 3600)
    links = Links(LinkSettings("https://risk.example.com", secret))
    return links.token(Link(plan.incident, plan.hash, answer, until_s, "desk"))


def test_a_link_opens_a_page_and_the_page_takes_one_answer(desk: Desk) -> None:
    plan = waiting(desk.folder, time.time_ns(), "a" * 16)
    approve, reject = linked(plan), linked(plan, Answer.REJECT)
    before = desk.response("a" * 16)
    for _ in range(3):  # So do scanners of mail.
        status, page = desk.ask(approve)
        assert status == 200 and plan.hash in page and "threshold at app" in page and '<form method="post">' in page
        assert "<script" not in page and "http" not in page
    for empty in ({}, {"actor": "ann"}, {"reason": "x"}, {**GOOD, "actor": " "}, {**GOOD, "actor": "a (key 1)"}):
        assert desk.ask(approve, empty)[0] == 422
    assert desk.ask(approve, GOOD, kind="application/json")[0] == 415
    assert desk.response("a" * 16) == before
    status, page = desk.ask(approve, GOOD)
    assert status == 200 and "ann answered approve" in page
    given = desk.response("a" * 16).approval
    assert given is not None and (given.actor, given.answer) == ("ann (link desk)", Answer.APPROVE)
    for token in (approve, reject):
        for form in (None, GOOD):
            status, page = desk.ask(token, form)
            assert status == 409 and "has answered already" in page and "<form" not in page
    with closing(SqliteStatements(desk.folder)) as record:
        words = [one for one in record.list(StatementKind.APPROVAL) if one.about == plan.hash]
    assert [(one.topic, one.actor, one.text) for one in words] == [("approve", "ann (link desk)", GOOD["reason"])]


def test_nobody_else_can_make_a_link_and_a_changed_one_is_none(desk: Desk) -> None:
    plan = waiting(desk.folder, time.time_ns(), "b" * 16)
    token = linked(plan)
    wrong = [
        linked(plan, secret="another secret of thirty-two bytes"), token[:-1] + ("0" if token[-1] != "0" else "1"),
        token.replace("approve", "reject"), token.replace(plan.hash, "0" * 16), token.replace("-desk-", "-mail-"),
        token[:-1], token + "0", token.upper(), "", "x", "..", "%00", token.replace("a", "%61", 1) + "%20",
    ]  # fmt: skip
    parts = token.split("-")
    wrong.append("-".join([*parts[:3], f"{int(parts[3], 16) + 9_999:x}", *parts[4:]]))
    wrong.append("-".join([*parts[:3], "0" + parts[3], *parts[4:]]))
    for one in wrong:
        assert desk.ask(one)[0] in (404, 405), one
        assert desk.ask(one, GOOD)[0] in (404, 405), one
    assert desk.response("b" * 16).approval is None


def test_a_link_is_void_after_its_time_and_where_plan_or_state_have_changed(desk: Desk) -> None:
    plan = waiting(desk.folder, time.time_ns(), "c" * 16)
    assert desk.ask(linked(plan, hours=-0.01))[0] == desk.ask(linked(plan, hours=-0.01), GOOD)[0] == 410
    token = linked(plan)
    with closing(SqliteSettings(desk.folder)) as settings:
        settings.append(Change(ChangeKind.LIST, "vip", {"values": ["a"]}, "bob", "a test"), None)
    for form in (None, GOOD):
        status, page = desk.ask(token, form)
        assert status == 409 and "since then came change 1 by bob" in page
    newer = waiting(desk.folder, time.time_ns(), "d" * 16)
    with closing(SqlitePlans(desk.folder)) as store:
        at = store.get("d" * 16)
        store.write(at.to(Phase.OPEN, time.time_ns(), "it is looked at again", plan=None, ruling=None))
    assert desk.ask(linked(newer), GOOD)[0] == 409 and desk.response("d" * 16).approval is None
    assert desk.ask(linked(newer).replace("d" * 16, "e" * 16), GOOD)[0] == 404


def test_a_link_does_not_say_who_answers_where_two_persons_are_asked_for(desk: Desk) -> None:
    plan = waiting(desk.folder, time.time_ns(), "f" * 16, by="bob")
    status, page = desk.ask(linked(plan), GOOD)
    assert status == 409 and "a link does not say who answers" in page
    assert desk.ask(linked(plan, Answer.REJECT), GOOD)[0] == 200


def test_names_and_reasons_are_shown_as_text(desk: Desk) -> None:
    plan = waiting(desk.folder, time.time_ns(), ID, by="<script>alert(1)</script>")
    status, page = desk.ask(linked(plan, Answer.REJECT))
    assert status == 200 and "&lt;script&gt;" in page and "<script" not in page
    status, page = desk.ask(linked(plan, Answer.REJECT), {"actor": "<b>ann</b>", "reason": "<i>no</i>"})
    assert status == 200 and "&lt;b&gt;ann" in page and "<b>" not in page


@PHASES
def test_a_fuzzer_finds_nothing(desk: Desk, tmp_path: Path, phase: str) -> None:
    key = FileApiKeys(desk.folder).create("fuzzer", ["admin"])
    end, pause = time.monotonic() + 180, threading.Event()
    while desk.server.ask("/openapi.json", authorization=f"Bearer {key}")[0] != 200:  # It has not read the key yet.
        assert time.monotonic() < end
        pause.wait(0.05)
    chosen = ("--include-path-regex", "^/v1/answers", "--max-examples", "15", "-H", f"X-API-Key: {key}")
    fuzz(desk.server.url, tmp_path, *chosen, "--phases", phase, *ANY_DATA)


def test_without_a_secret_there_are_no_links(tmp_path: Path) -> None:
    plan = waiting(tmp_path, time.time_ns() + HOUR_NS)
    server = Server(steady(tmp_path), "--data", tmp_path)
    status, _, problem = server.ask(BELOW + linked(plan))
    assert status == 404 and "HOMEOSTAT_LINKS__SECRET" in problem["fix"]
    assert server.stop() == 0

"""The server as a process: what a client, a signal, a kill and a fuzzer see of it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import EVENT, Server, steady
from tests.support.fuzzing import fuzz


@pytest.fixture(scope="module")
def access() -> Iterator[Server]:
    server = Server("access", HOMEOSTAT_SERVERS__BATCH_ROWS="80", HOMEOSTAT_SERVERS__BATCH_ROWS_MIN="20")
    yield server
    assert server.stop() == 0


def events(count: int, first: int = 0) -> list[dict]:
    return [{**EVENT, "event_id": f"e{k}", "timestamp": 1_769_774_400 + k} for k in range(first, first + count)]


def test_one_event_gets_one_decision(access: Server) -> None:
    status, _, reply = access.ask("/v1/decide", {**EVENT, "event_id": "one"})
    assert status == 200
    assert {"event_id", "action", "action_index", "risk", "reasons", "fallback", "version", "took_us"} <= reply.keys()
    assert (reply["action"], reply["action_index"]) == ("allow", 0) and reply["event_id"] == "one"


def test_an_array_is_answered_in_order_with_problems_in_place(access: Server) -> None:
    good = {**EVENT, "event_id": "in-array"}
    reply = access.decide([good, 5, {}, {**good, "event_id": "late"}, {**good, "timestamp": "never"}])
    assert [item.get("event_id") for item in reply] == ["in-array", None, None, "late", None]
    assert [item.get("status") for item in reply] == [None, 422, 422, None, 422]
    assert reply[4]["errors"] == [{"field": "timestamp", "value": "never", "reason": "bad_time"}]
    assert access.decide([]) == []


def test_a_broken_item_spoils_no_other(access: Server) -> None:
    body = b'[%s, {oops}, {"a": "\xff"}, %s]' % tuple(
        json.dumps({**EVENT, "event_id": name}).encode() for name in ("before", "after")
    )
    reply = access.decide(body)
    assert [item.get("event_id") for item in reply] == ["before", None, None, "after"]
    deep = b'[{"event_id": ' + b"[" * 20_000 + b"]" * 20_000 + b"}, 1]"
    assert [item["status"] for item in access.decide(deep)] == [422, 422]


def test_a_repeated_id_gets_its_first_decision_back(access: Server) -> None:
    event = {**EVENT, "event_id": "again"}
    first, second = access.decide([event, {**event, "value": 99}])
    third = access.decide(event)
    assert "duplicate" not in first and third == {**first, "duplicate": True}
    assert second == {**third, "differs": True}  # Another content under the same id gets the first decision, marked.


@pytest.mark.parametrize(
    ("path", "body", "method", "headers", "status"),
    [
        ("/v1/decide", b"{", "POST", {}, 400),
        ("/v1/decide", b"\xff\xfe", "POST", {}, 400),
        ("/v1/decide", b"", "POST", {}, 400),
        ("/v1/decide", b"[" * 100_000, "POST", {}, 400),
        ("/v1/decide", {"event_id": "x"}, "POST", {}, 422),
        ("/v1/decide", {**EVENT, "timestamp": "2261-01-01"}, "POST", {}, 422),
        ("/v1/decide", EVENT, "POST", {"content_type": "text/plain"}, 415),
        ("/v1/decide", b" " * (9 << 20), "POST", {}, 413),
        ("/v1/decide", None, "GET", {}, 405),
        ("/v1/decisions/none", None, "GET", {}, 404),
        ("/v1/decisions/none?explain=perhaps", None, "GET", {}, 422),
        ("/v1/outcomes", {"event_id": "never seen", "label": 1}, "POST", {}, 404),
        ("/v1/outcomes", {"event_id": "one"}, "POST", {}, 422),
        ("/nowhere", None, "GET", {}, 404),
    ],
)
def test_each_refusal_is_a_problem_that_says_what_to_do(access, path, body, method, headers, status) -> None:
    code, head, reply = access.ask(path, body, method, **headers)
    assert code == status == reply["status"]
    assert head["content-type"] == "application/problem+json"
    assert reply["fix"] and reply["title"] and reply["detail"]
    assert status != 405 or head["allow"] == "POST"


def test_a_decision_is_found_with_features_and_explained(access: Server) -> None:
    access.decide({**EVENT, "event_id": "a/b c"})
    _, _, reply = access.ask("/v1/decisions/a%2Fb%20c?explain=true")
    assert reply["event_id"] == "a/b c"
    assert reply["features"]["count_10s"]["freshness"] == "fresh"
    assert reply["explanation"]["same_version"] and {"features", "scorers", "change"} <= reply["explanation"].keys()
    assert access.ask("/v1/decisions/a%2Fb%20c", method="HEAD")[2] == b""


def test_outcomes_get_receipts(access: Server) -> None:
    access.decide({**EVENT, "event_id": "known"})
    reply = access.ask("/v1/outcomes", [{"event_id": "known", "label": 1}, {"event_id": "unknown", "label": 0}, 3])[2]
    assert reply[0] == {"event_id": "known", "accepted": True}
    assert [item["status"] for item in reply[1:]] == [404, 422]
    assert reply[1]["errors"][0]["reason"] == "unknown_event"


def test_metrics_and_health_are_there(access: Server) -> None:
    assert access.ask("/healthz")[2]["status"] == "ok"
    shown = access.ask("/metrics")[2]
    assert b"homeostat_events_total" in shown and b'homeostat_batch_rows_bound{app="access"} 80.0' in shown


@pytest.mark.long
def test_a_fuzzer_finds_nothing(tmp_path: Path) -> None:
    """Every check of schemathesis is on, with its defaults, positive and negative data, stateful too."""
    server = Server(steady(tmp_path))
    try:
        fuzz(server.url, tmp_path, "--max-examples", "10")
    finally:
        server.stop()


@pytest.mark.long
def test_a_restart_continues_after_a_stop_and_after_a_kill(tmp_path: Path) -> None:
    """Three lives, one of which ends in kill -9, decide what one life decides."""
    crowd = [{**event, "entity_id": "busy"} for event in events(60)]
    app = steady(tmp_path)
    undisturbed = Server(app)
    expected = [undisturbed.decide(event) for event in crowd]
    undisturbed.stop()
    reply = []
    for number, part in enumerate((crowd[:20], crowd[20:40], crowd[40:])):
        server = Server(app, "--data", str(tmp_path / "data"))
        reply += [server.decide(event) for event in part]
        assert server.decide(crowd[0])["duplicate"]
        code = server.stop(signal.SIGKILL if number == 1 else signal.SIGTERM)
        assert code == (-signal.SIGKILL if number == 1 else 0)
    same = ("event_id", "action", "risk", "scores", "reasons")
    assert [[a[name] for name in same] for a in reply] == [[b[name] for name in same] for b in expected]
    from homeostat.adapters.disk.audit.verification import verify
    from homeostat.adapters.disk.sqlite.auditing import tables_beside
    from homeostat.adapters.disk.sqlite.journal import SqliteJournal

    with SqliteJournal(tmp_path / "data" / "journal.db", readonly=True) as journal:
        assert len(journal) == 60
    trail = tmp_path / "data" / "audit.jsonl"
    assert verify(trail, tables_beside(trail)).ok


@pytest.mark.long
def test_a_port_in_use_and_an_exposed_address_are_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for arguments in (["--port", str(taken.getsockname()[1])], ["--host", "0.0.0.0"]):
            command = [sys.executable, "-c", "from homeostat.cli import main; main()", "serve", "access", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            assert done.returncode == 1 and done.stdout == ""
            assert done.stderr.startswith("homeostat: ") and done.stderr.count("\n") == 1

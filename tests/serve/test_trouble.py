"""A server that can't do its work: what it says over HTTP and in its log, and that it goes on afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import process_engines
import pytest
from http_servers import EVENT, Server

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.


@pytest.fixture
def server(tmp_path: Path):
    server = Server.of_program(Path(process_engines.__file__), str(tmp_path))
    yield server
    assert server.stop() == 0


def test_a_journal_that_is_down_decides_nothing_and_then_goes_on(server: Server, tmp_path: Path) -> None:
    (tmp_path / "down").touch()
    for path, body in (("/v1/decide", EVENT), ("/v1/decide", [EVENT, {**EVENT, "event_id": "2"}])):
        status, head, reply = server.ask(path, body)
        assert status == reply["status"] == 503 and "the disk is full" in reply["detail"]
        assert "Nothing was decided" in reply["fix"] and head["retry-after"] == "1"
        assert head["content-type"] == "application/problem+json" and head["x-content-type-options"] == "nosniff"
    assert server.ask("/v1/decisions/1")[0] in (404, 503)
    (tmp_path / "down").unlink()
    assert server.decide(EVENT)["action"] == "allow"


def test_too_many_events_that_wait_are_refused_and_those_that_wait_are_answered(server: Server, tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(server.ask, "/v1/decide", [1] * 60_000) for _ in range(3)]
        while not any(one.done() for one in asked):
            assert server.ask("/healthz")[0] == 200
        refused = next(one for one in asked if one.done())
        status, head, reply = refused.result()
        assert status == reply["status"] == 429 and head["retry-after"] == "1" and "wait already" in reply["detail"]
        (tmp_path / "slow").unlink()
        assert sorted(one.result()[0] for one in asked) == [200, 200, 429]


def test_a_fault_is_in_the_log_and_not_in_answers_and_health_recovers(server: Server, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    for _ in range(2):
        status, _, reply = server.ask("/v1/decide", EVENT)
        assert status == reply["status"] == 503 and "luck" not in str(reply)
    status, _, reply = server.ask("/healthz")
    assert status == 503 and "luck" not in str(reply) and "log" in reply["fix"]
    (tmp_path / "broken").unlink()
    while server.ask("/healthz")[0] != 200:
        pass
    assert server.decide(EVENT)["duplicate"]  # It was decided, and written as soon as it could be.
    assert server.stop() == 0
    said = "".join(server.said)
    assert said.count("RuntimeError: no such luck") == 1 and "hs_0123456789ab_..." in said and "c0ffee" not in said
    server.stop = lambda: 0


def test_health_says_that_nothing_can_be_decided_and_recovers_without_a_request(server: Server, tmp_path: Path) -> None:
    assert server.ask("/healthz")[0] == 200
    (tmp_path / "down").touch()
    assert server.ask("/v1/decide", EVENT)[0] == 503
    status, head, reply = server.ask("/healthz")
    assert status == reply["status"] == 503 and head["retry-after"] == "1" and "disk" not in str(reply)
    (tmp_path / "down").unlink()
    while server.ask("/healthz")[0] != 200:
        pass
    assert server.stop() == 0
    said = "".join(server.said)
    assert said.count("the disk is full") == 1 and said.count("decisions go on as ever") == 1
    server.stop = lambda: 0


@pytest.mark.parametrize("body", [b'{"event_id": "poison"}', b'[{"event_id": "poison"}, 1]', b'["poison", oops]'])
def test_a_body_that_its_reader_fails_at_is_a_problem_and_the_server_is_well(
    server: Server, tmp_path: Path, body: bytes
) -> None:
    status, _, reply = server.ask("/v1/decide", body)
    assert status == reply["status"] == 400 and "luck" not in str(reply)
    assert server.ask("/healthz")[0] == 200 and server.decide(EVENT)["action"] == "allow"
    assert b'homeostat_bad_events_total{app="access",reason="malformed"} 1.0' in server.ask("/metrics")[2]
    assert b'kind="events"} 1.0' in server.ask("/metrics")[2]


def test_an_event_that_breaks_a_decision_off_is_answered_and_so_are_all_others(server: Server) -> None:
    reply = server.decide([EVENT, {**EVENT, "event_id": "2", "value": 666}, {**EVENT, "event_id": "3"}])
    assert [one.get("status") for one in reply] == [None, 500, None]
    assert server.ask("/v1/decide", {**EVENT, "event_id": "2", "value": 666})[0] == 500
    assert server.ask("/healthz")[0] == 200
    assert server.decide(EVENT)["duplicate"]


def test_upkeep_that_fails_is_said_and_goes_on(server: Server, tmp_path: Path) -> None:
    """An audit that fails once, for whatever reason, is not the last one."""
    (tmp_path / "unaudited").touch()
    server.decide(EVENT)
    while not any("upkeep" in line for line in server.said):
        assert server.ask("/healthz")[0] == 200
    (tmp_path / "unaudited").unlink()
    while not (tmp_path / "audited").exists():
        assert server.ask("/healthz")[0] == 200

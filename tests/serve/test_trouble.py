"""A server that can't do its work: what it says over HTTP and in its log, and that it goes on afterwards."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import process_engines
import pytest
from http_servers import EVENT, Server


@pytest.fixture
def server(tmp_path: Path):
    server = Server.of([sys.executable, process_engines.__file__, str(tmp_path)])
    yield server
    assert server.stop() == 0


def test_a_journal_that_is_down_decides_nothing_and_then_goes_on(server: Server, tmp_path: Path) -> None:
    (tmp_path / "down").touch()
    for path, body in (("/v1/decide", EVENT), ("/v1/decide", [EVENT, {**EVENT, "event_id": "2"}])):
        status, head, told = server.ask(path, body)
        assert status == told["status"] == 503 and "the disk is full" in told["detail"]
        assert "Nothing was decided" in told["fix"] and head["retry-after"] == "1"
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
        status, head, told = refused.result()
        assert status == told["status"] == 429 and head["retry-after"] == "1" and "wait already" in told["detail"]
        (tmp_path / "slow").unlink()
        assert sorted(one.result()[0] for one in asked) == [200, 200, 429]


def test_a_fault_is_in_the_log_and_not_in_answers(server: Server, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    for _ in range(2):
        status, _, told = server.ask("/v1/decide", EVENT)
        assert status == told["status"] == 503 and "luck" not in str(told)
    status, _, told = server.ask("/healthz")
    assert status == 503 and "luck" not in str(told) and "log" in told["fix"]
    assert server.stop() in (0, 3)
    said = "".join(server.said)
    assert "RuntimeError" in said and "hs_0123456789ab_..." in said and "c0ffee" not in said
    (tmp_path / "broken").unlink()
    server.stop = lambda: 0

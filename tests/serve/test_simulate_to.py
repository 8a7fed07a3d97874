"""`homeostat simulate APP --to`: events of now at a rate, to a server and to a stream, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from http_servers import Server
from tests.support.job_programs import until

from homeostat.cli import main


@pytest.fixture(scope="module")
def access() -> Iterator[Server]:
    server = Server("access")
    yield server
    assert server.stop() == 0


def decided(server: Server) -> float:
    shown = server.ask("/metrics")[2].decode()
    return float(next(line for line in shown.splitlines() if 'kind="events"' in line).rpartition(" ")[2])


def sent(*arguments: str, stop_when=None) -> dict:
    # Not a fork of a warm process: worlds are made by threads of PyArrow, which a fork has not.
    command = [sys.executable, "-m", "homeostat", "simulate", *arguments, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if stop_when is not None:
        until(stop_when)
        process.send_signal(signal.SIGINT)
    out = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=240) == 0
    return json.loads(out)


def test_events_are_decided_by_a_server_at_the_rate(access: Server) -> None:
    before = decided(access)
    found = sent("access", "--to", access.url, "--rate", "300", "--seconds", "1")
    assert (found["sent"], found["ok"], found["failed"]) == (300, 300, 0) and found["seconds"] >= 1
    assert decided(access) == before + 300


def test_an_interrupt_ends_it_with_its_report(access: Server) -> None:
    before = decided(access)
    found = sent("access", "--to", access.url, "--rate", "100", stop_when=lambda: decided(access) > before + 20)
    assert found["sent"] == found["ok"] > 20 and found["app"] == "access"


def test_answers_that_are_none_are_counted(access: Server) -> None:
    found = sent("payments", "--customers", "20", "--to", access.url, "--rate", "100", "--seconds", "0.2")
    assert (found["sent"], found["ok"], found["failures"]) == (20, 0, {"Unusable event": 20})
    found = sent("access", "--to", f"{access.url}/nowhere", "--rate", "100", "--seconds", "0.2")
    assert found["failures"] == {"status 404": 20}


@pytest.mark.long
def test_events_lie_in_a_stream_of_redis_under_their_entity(redis) -> None:
    import redis as client

    found = sent("access", "--to", f"redis://127.0.0.1:{redis.port}/0/simulated", "--rate", "500", "--seconds", "0.4")
    assert found["sent"] == found["ok"] == 200
    with client.Redis(port=redis.port) as asked:
        entries = asked.xrange("simulated")
    assert len(entries) == 200
    event = json.loads(entries[0][1][b"value"])
    assert str(event["entity_id"]).encode() == entries[0][1][b"key"] and event["event_id"].endswith("-1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "http://127.0.0.1:1"], "--rate"),
        (["--to", "ftp://127.0.0.1", "--rate", "1"], "an address begins with"),
        (["--to", "http://example.com", "--rate", "1"], "another machine"),
        (["--to", "kafka://example.com/t", "--rate", "1"], "another machine"),
        (["--to", "http://u:p@127.0.0.1", "--rate", "1"], "--header"),
        (["--to", "redis://127.0.0.1", "--rate", "1"], "/db/key"),
        (["--to", "http://127.0.0.1", "--rate", "1", "--header", "x"], "a name, a colon and a value"),
        (["--to", "http://127.0.0.1", "--rate", "1", "--seconds", "0"], "--seconds"),
        (["--to", "http://127.0.0.1", "--rate", "1", "--days", "1"], "one or the other"),
        (["--rate", "1"], "--days and --out"),
        (["--days", "1", "--out", "x", "--rate", "1"], "go with --to"),
    ],
)  # fmt: skip
def test_what_can_not_be_sent_is_said_in_a_sentence(words: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "access", *words])
    assert ended.value.code == 1 and said in capsys.readouterr().err

"""Several server processes on one socket: what a client, a signal and a kill see of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from http_servers import EVENT, Server

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

PARENT = """
import json, sys
from homeostat.serve.processes import Task, run_many
from homeostat.serve.options import ServerOptions
from homeostat.serve.sockets import bound, url_of

message = json.loads(sys.argv[1])
sock = bound("127.0.0.1", 0)
where = url_of(sock)
task = Task(message["factory"], message["arguments"], ServerOptions(**message["settings"]))
say = lambda text: print(text, flush=True)
code = run_many(task, sock, message["count"], lambda: print("at", where, flush=True), say)
heavy = [name for name in ("numba", "uvicorn", "fastapi", "homeostat.app") if name in sys.modules]
print("ended, with", heavy, flush=True)
sys.exit(code)
"""


def command(folder: Path, count: int = 2, factory: str = "process_engines:engine", **settings) -> list[str]:
    message = {
        "factory": factory,
        "arguments": {"app": "access", "folder": str(folder)},
        "settings": settings,
        "count": count,
    }
    return [sys.executable, "-c", PARENT, json.dumps(message)]


def begun(folder: Path, **more) -> Server:
    return Server.of(command(folder, **more), PYTHONPATH=str(Path(__file__).parent))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = begun(tmp_path)
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0


def children(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def test_two_processes_answer_on_one_socket_and_drain(server: Server, tmp_path: Path) -> None:
    both = children(server)
    assert {child.pid for child in both} == {int(note.name) for note in tmp_path.iterdir()} and len(both) == 2
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=240) for _ in range(64)]
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    # Each has its share, more or less: who is slow for a moment gets a little less.
    assert all(len(child.net_connections()) > 16 for child in both)
    for connection in held:
        connection.close()
    assert server.stop() == 0
    assert not any(child.is_running() for child in both)
    assert server.said[-1] == "ended, with []\n"


def test_a_process_that_dies_is_started_again(server: Server, tmp_path: Path) -> None:
    first, second = children(server)
    first.kill()
    assert _within_s(lambda: len(list(tmp_path.iterdir())) == 3, 180)
    assert _within_s(lambda: second.pid in _pids(server) and len(_pids(server)) == 2, 180)
    assert all(server.ask("/v1/decide", EVENT)[0] == 200 for _ in range(20))
    assert server.stop() == 0
    assert any("ended with -9; it is started again" in line for line in server.said)


def test_a_second_signal_stops_at_once(server: Server) -> None:
    both = children(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=240) as busy:
        busy.sendall(
            b"POST /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n"
        )  # Draining waits for the rest.
        server.process.send_signal(signal.SIGTERM)
        assert _within_s(lambda: not _listening(server.port), 180)
        server.process.send_signal(signal.SIGTERM)
        server.end()
    assert not any(child.is_running() for child in both)


def test_children_do_not_outlive_a_killed_parent(server: Server) -> None:
    both = children(server)
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert _within_s(lambda: not any(child.is_running() for child in both), 180)


def test_an_engine_that_can_not_be_made_ends_the_whole_without_its_secrets(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="did not start") as message:
        begun(tmp_path, factory="process_engines:broken")
    assert "ValueError: no engine for access: hs_0123456789ab_..." in str(message.value)
    assert "before it was ready" in str(message.value) and "c0ffee" not in str(message.value)


def test_keys_hold_in_every_process_and_each_shows_its_own_metrics(tmp_path: Path) -> None:
    from urllib.request import urlopen

    from homeostat.adapters.disk.api_keys import FileApiKeys
    from homeostat.checks.servers.machine import free_port

    secret, port = FileApiKeys(tmp_path / "data").create("till", ["decide"]), free_port()
    server = begun(tmp_path, keys_folder=str(tmp_path / "data"), metrics_port=port)
    for number in (0, 1):
        with urlopen(f"http://127.0.0.1:{port + number}/metrics", timeout=240) as response:
            assert b"homeostat_" in response.read()
    for _ in range(10):
        assert server.ask("/v1/decide", EVENT)[0] == 401
        assert server.ask("/v1/decide", EVENT, authorization=f"Bearer {secret}")[0] == 200
    shown = [" ".join(psutil.Process(pid).cmdline()) for pid in (server.process.pid, *_pids(server))]
    assert not any(secret in line for line in shown) and os.getpid() not in _pids(server)
    assert server.stop() == 0


def _pids(server: Server) -> set[int]:
    return {child.pid for child in children(server) if child.status() != psutil.STATUS_ZOMBIE}


def _listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=240).close()
    except OSError:
        return False
    return True


def _within_s(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether something comes to hold."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_two_processes_share_windows_journal_and_keys(own_server, tmp_path: Path) -> None:
    """Each knows what another decided: an event id gets its first decision back, whoever is asked."""
    from homeostat.adapters.disk.api_keys import PostgresApiKeys
    from homeostat.checks.servers import postgres_server, redis_server

    # Their own: a database belongs to one app, and keys that others made would be asked for.
    redis, postgres = own_server(redis_server), own_server(postgres_server)
    config = tmp_path / "servers.yaml"
    config.write_text(
        f"servers:\n  features: {redis.url}\n  journal: {postgres.url}\n  spool: {tmp_path / 'spool'}\n", "utf-8"
    )
    server = Server("access", "--config", config, "--workers", "2")
    events = [{**EVENT, "event_id": f"shared-{k}", "timestamp": 1_769_774_400 + k} for k in range(10)]
    first = [server.decide(event) for event in events for _ in range(4)]
    assert all(message["event_id"].startswith("shared-") for message in first)
    assert [message.get("duplicate", False) for message in first] == [False, True, True, True] * 10
    # On a busy machine Redis may answer too late, and the decision is flagged; the next that is not knows all of them.
    later = ({**EVENT, "event_id": f"later-{k}", "timestamp": 1_769_774_410 + k} for k in range(50))
    known = next(message["event_id"] for message in map(server.decide, later) if message["fallback"] is None)
    found = server.ask(f"/v1/decisions/{known}")[2]
    assert found["features"]["count_10s"]["value"] == 10
    keys = PostgresApiKeys(postgres.url)
    secret = keys.create("till", ["decide"])
    keys.close()
    assert _within_s(lambda: {server.ask("/v1/decide", events[0])[0] for _ in range(8)} == {401}, 180)
    assert server.decide(events[0], authorization=f"Bearer {secret}")["duplicate"]
    assert server.stop() == 0

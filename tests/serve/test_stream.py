"""`/v1/stream`: decisions, jobs and incidents as they come; resumed, reset, ended with its key and with the server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from http_servers import EVENT, Server, steady

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.checks.incidents import incident
from homeostat.records.job import Job
from homeostat.serve.streaming import CLIENTS_MAX, WAITING_MAX, Client, position_text, read_positions

pytestmark = pytest.mark.long


class Listener:
    """A client that reads a stream, event by event."""

    def __init__(self, server: Server, query: str = "", **headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"GET /v1/stream?{query} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\naccept: text/event-stream\r\n"
        self._socket.sendall(f"{head}{more}\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.head = b"".join(iter(self._file.readline, b"\r\n")).decode()

    def event(self) -> dict[str, str]:
        """The fields of the next event; empty once the stream has ended."""
        fields: dict[str, str] = {}
        while size := int(self._file.readline() or b"0", 16):
            piece = self._file.read(size + 2)[:-2].decode()
            self._text = getattr(self, "_text", "") + piece
            if "\n\n" in self._text:
                break
        one, _, self._text = getattr(self, "_text", "").partition("\n\n")
        for line in one.splitlines():
            name, _, value = line.partition(": ")
            fields[name] = value
        return fields

    def of(self, kind: str) -> tuple[str, dict]:
        """The id and the data of the next event of a kind."""
        while fields := self.event():
            if fields.get("event") == kind:
                return fields.get("id", ""), json.loads(fields["data"])
        raise AssertionError(f"the stream ended before {kind}")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextmanager
def listening(server: Server, query: str = "", **headers: str) -> Iterator[Listener]:
    listener = Listener(server, query, **headers)
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("stream")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    found = Server(steady(folder), "--data", folder / "data")
    yield found
    if found.process.poll() is None:
        assert found.stop() == 0


def decide(server: Server, *names: str) -> None:
    for name in names:
        assert server.ask("/v1/decide", {**EVENT, "event_id": name})[0] == 200


def names_of(listener: Listener, count: int) -> tuple[str, list[str]]:
    found: list[str] = []
    while len(found) < count:
        last, data = listener.of("decisions")
        found += [one["event_id"] for one in data["items"]]
    return last, found


def test_decisions_come_as_they_are_made_and_a_gap_is_made_up_for(server: Server) -> None:
    with listening(server, "topics=decisions") as listener:
        assert "x-accel-buffering: no" in listener.head and "text/event-stream" in listener.head
        assert listener.event()["retry"] == "2000"
        decide(server, "a1", "a2")
        last, names = names_of(listener, 2)
        assert names == ["a1", "a2"]
    decide(server, "a3", "a4", "a5")
    with listening(server, "topics=decisions", last_event_id=last) as listener:
        assert names_of(listener, 3)[1] == ["a3", "a4", "a5"]
        decide(server, "a6")
        assert names_of(listener, 1)[1] == ["a6"]


def test_jobs_and_incidents_come_when_they_change(server: Server, folder: Path) -> None:
    with listening(server, "topics=jobs,incidents") as listener:
        listener.event()
        with closing(SqliteJobs(folder / "data")) as jobs:
            made = jobs.submit(Job("train", (), actor="ann"))
            assert listener.of("jobs")[1]["items"][0]["id"] == made.id
        with closing(SqliteIncidents(folder / "data")) as incidents:
            incidents.write([], [incident()])
        last, data = listener.of("incidents")
        assert data["items"][0]["id"] == incident().id and read_positions(last).keys() == {"jobs", "incidents"}
    with listening(server, "topics=jobs", last_event_id="j1") as listener:
        assert listener.of("reset")[1] == {"topics": ["jobs"]}


def test_positions_from_before_another_journal_are_reset(server: Server) -> None:
    with listening(server, "topics=decisions", last_event_id="d999999") as listener:
        assert listener.of("reset")[1] == {"topics": ["decisions"]}


def test_who_accepts_no_events_is_shown_where_they_are(server: Server) -> None:
    decide(server, "b1")
    position = server.ask("/v1/stream?topics=decisions")[2]["position"]
    decide(server, "b2")
    with listening(server, "topics=decisions", last_event_id=position) as listener:
        assert names_of(listener, 1)[1] == ["b2"]
    assert server.ask("/v1/stream?topics=songs")[0] == 422


def test_a_stream_ends_when_its_key_is_revoked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    keys = FileApiKeys(data)
    secret = keys.create("console", ["read"])
    server = Server(steady(tmp_path), "--data", data)
    with listening(server, "topics=decisions", authorization=f"Bearer {secret}") as listener:
        assert "200" in listener.head
        assert keys.revoke(secret.split("_")[1])
        assert listener.of("end")[1]["reason"] == "the key no longer holds"
        assert listener.event() == {}
    with listening(server, "topics=decisions", authorization=f"Bearer {secret}") as listener:
        assert "401" in listener.head
    assert server.stop() == 0


def test_open_streams_do_not_keep_a_server_from_stopping(tmp_path: Path) -> None:
    server = Server(steady(tmp_path))
    with listening(server) as one, listening(server) as other:
        one.event()
        server.process.send_signal(15)
        assert one.event() == {} and other.of is not None
        assert server.end() == 0
    assert not any("Traceback" in line for line in server.said)


def test_a_listener_that_does_not_read_is_asked_to_fetch_all_again() -> None:
    async def filled() -> bytes:
        client = Client(("decisions",), {"decisions": 0})
        for entry in range(WAITING_MAX + 1):
            client.put("decisions", entry, b"{}")
        return client.take()

    sent = asyncio.run(filled())
    assert sent.count(b"event: ") == 1 and sent.startswith(b"id: d64\nevent: reset\n") and CLIENTS_MAX > 12


def test_positions_that_are_none_are_left_out() -> None:
    assert read_positions("d7.x3.j.i-1.\x00.d") == {"decisions": 7}
    assert position_text({}) == "" and read_positions("") == {}

"""A server whose settings change while it answers: no request fails, and a kill loses no change."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import EVENT, Server

from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.records.changes import Change, ChangeKind


def until(condition, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def fallback(action: str | None) -> Change:
    return Change(
        ChangeKind.FALLBACK, "app", None if action is None else {"action": action}, "ann", "a test of changes"
    )


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[SqliteSettings]:
    data = tmp_path / "data"
    data.mkdir()
    store = SqliteSettings(data, app="access")
    yield store
    store.close()


def applied(settings: SqliteSettings) -> list[int]:
    return [one.number for one in settings.processes()]


@pytest.mark.long
def test_under_load_every_change_comes_soon_and_no_request_fails(settings: SqliteSettings, tmp_path: Path) -> None:
    server = Server("access", "--data", tmp_path / "data")
    replies: list[tuple[int, int, int]] = []
    stop = threading.Event()

    def send(client: int) -> None:
        at = 0
        while not stop.is_set():
            event = {**EVENT, "event_id": f"c{client}-{at}", "entity_id": str(client), "timestamp": 1_769_774_400 + at}
            status, _, reply = server.ask("/v1/decide", event)
            replies.append((client, status, reply.get("settings", -1)))
            at += 1

    clients = [threading.Thread(target=send, args=(k,)) for k in range(3)]
    for client in clients:
        client.start()
    try:
        for k in range(10):
            number = settings.append(fallback("block" if k % 2 == 0 else None), None).number
            until(lambda: applied(settings) == [number])
            seen = len(replies)
            until(lambda: len(replies) > seen + 6)
            assert replies[-1][2] == number
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert {status for _, status, _ in replies} == {200}
    for client in range(3):
        numbers = [number for one, _, number in replies if one == client]
        assert numbers == sorted(numbers) and numbers[-1] == 10
    server.stop(signal.SIGKILL)
    server.end()
    again = Server("access", "--data", tmp_path / "data")
    try:
        assert again.decide({**EVENT, "event_id": "after"})["settings"] == 10
        settings.append(fallback("throttle"), None)
        until(lambda: applied(settings) == [11])  # Though no event comes.
    finally:
        again.stop()
    assert applied(settings) == []

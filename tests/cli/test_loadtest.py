"""`homeostat loadtest`: a fixed schedule, latencies from when requests were due, and every kind of bad answer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.adapters.http.open_loop import Load
from homeostat.cli import main

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Service:
    """A service on a thread of its own; paths are answered by name, and requests are counted."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.loop = asyncio.new_event_loop()
        self.port = 0
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(30)

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            self.ended = asyncio.Event()
            async with server:
                await self.ended.wait()

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:  # It ends what is still answering, too.
            runner.run(serve())

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                self.requests.append(head + await reader.readexactly(size))
                await self._answer(head.split()[1].decode(), writer)
                await writer.drain()
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/stall" and len(self.requests) == 10:
            await asyncio.sleep(0.5)
        if path == "/never":
            await asyncio.sleep(30)
        answers = {
            "/error": b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n",
            "/junk": b"hello\r\n\r\n",
            "/chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "/early": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
            "/last": b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it",
            "/half": b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf",
        }
        writer.write(answers.get(path, OK))
        if path in ("/last", "/half", "/junk"):
            writer.close()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(30)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


def loaded(capsys: pytest.CaptureFixture[str], service: Service, path: str, *options: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as end:
        main(["loadtest", f"http://127.0.0.1:{service.port}{path}", "--json", *options])
    assert not end.value.code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict) and found["sent"] == found["ok"] + found["failed"]
    return found


@pytest.mark.parametrize("path", ["/", "/chunks", "/early", "/last"])
def test_each_form_of_a_good_answer_counts(service: Service, capsys: pytest.CaptureFixture[str], path: str) -> None:
    found = loaded(capsys, service, path, "--rate", "200", "--seconds", "0.2")
    assert (found["sent"], found["ok"], found["statuses"]) == (40, 40, {"200": 40})
    assert len(service.requests) == 40
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p999"] <= found["latency_ms"]["max"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/error", "status 503"), ("/junk", "the answer is not HTTP"), ("/half", "the connection was lost"),
        ("/never", "no answer in time"),
    ],
)  # fmt: skip
def test_each_bad_answer_is_counted_by_its_reason(
    service: Service, capsys: pytest.CaptureFixture[str], path: str, why: str
) -> None:
    found = loaded(capsys, service, path, "--rate", "50", "--seconds", "0.2", "--timeout", "0.3")
    assert found["failed"] == 10 and found["failures"] == {why: 10}


def test_one_stall_is_charged_with_all_that_it_keeps_waiting(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    found = loaded(capsys, service, "/stall", "--rate", "100", "--seconds", "1", "--connections", "1")
    assert found["ok"] == 100
    assert found["latency_ms"]["p95"] > 250  # 50 requests were due during half a second: a tenth waited .4 s and more.


def test_nobody_there_is_a_reason_too(capsys: pytest.CaptureFixture[str], service: Service) -> None:
    service.close()
    service.close = lambda: None  # type: ignore[method-assign]
    found = loaded(capsys, service, "/", "--rate", "50", "--seconds", "0.2")
    assert found["failed"] == 10 and "no connection" in next(iter(found["failures"]))


def test_what_is_sent_and_the_report(service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"a": 1}')
    loaded(
        capsys, service, "/x?y=1", "--rate", "20..60", "--seconds", "0.5", "--body", f"@{body}", "--header",
        "X-Api-Key: secret", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert len(service.requests) == 20
    head, _, sent = service.requests[0].partition(b"\r\n\r\n")
    assert sent == b'{"a": 1}' and head.startswith(b"POST /x?y=1 HTTP/1.1\r\n") and b"X-Api-Key: secret" in head
    page = (tmp_path / "out/report.html").read_text()
    assert (
        "<svg" in page and "secret" not in page and json.loads((tmp_path / "out/report.json").read_text())["sent"] == 20
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://192.0.2.1/", "--rate", "1"], "--remote"),
        (["ftp://127.0.0.1/", "--rate", "1"], "no address"),
        (["http://127.0.0.1:99999/", "--rate", "1"], "no address"),
        (["http://u:p@127.0.0.1/", "--rate", "1"], "password"),
        (["http://127.0.0.1/", "--rate", "0"], "--rate"),
        (["http://127.0.0.1/", "--rate", "1..x"], "--rate"),
        (["http://127.0.0.1/", "--rate", "1", "--seconds", "0"], "--seconds"),
        (["http://127.0.0.1/", "--rate", "1", "--connections", "0"], "--connections"),
        (["http://127.0.0.1/", "--rate", "1", "--method", "HEAD"], "--method"),
        (["http://127.0.0.1/", "--rate", "1", "--header", "nothing"], "--header"),
        (["http://127.0.0.1/", "--rate", "1", "--body", "@/nonexistent"], "--body"),
        (["http://127.0.0.1/ä", "--rate", "1", "--header", "a: €"], "percent-encode"),
        (["http://127.0.0.1/", "--rate", "1000000", "--seconds", "86400"], "lower"),
    ],
)
def test_a_load_that_makes_no_sense_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["loadtest", *arguments])
    assert end.value.code == 1 and words in capsys.readouterr().err


@given(st.floats(0.5, 500), st.floats(0.5, 500), st.floats(0.5, 60))
def test_a_rising_rate_is_kept(first: float, last: float, seconds: float) -> None:
    load = Load(urlsplit("http://127.0.0.1/"), b"", first, last, seconds, 1, 1.0)
    due = np.array([load.due_s(number) for number in range(min(load.count, 2000))])
    assert due[0] == 0 and (np.diff(due) > 0).all()
    expected = first * due + (last - first) * due**2 / (2 * seconds)
    assert np.allclose(expected, np.arange(len(due)), atol=1e-6 * max(1, len(due)))
    assert load.due_s(load.count - 1) <= seconds * (1 + 1e-9) + 1 / min(first, last)

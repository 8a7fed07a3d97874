"""Servers as processes, and clients that say exactly what they are asked to."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.warm import Process, start, start_program

import homeostat

EVENT = {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}


class Server:
    """`homeostat serve` with these arguments, on a free port. Its output is read on, so that it never waits."""

    trusted: ssl.SSLContext | None = None

    def __init__(self, *arguments: str | Path, trusted: ssl.SSLContext | None = None, **environment: str) -> None:
        self._begin(start(["serve", *map(str, arguments), "--port", "0"], **environment), trusted)

    @classmethod
    def of(cls, command: list[str], trusted: ssl.SSLContext | None = None, **environment: str) -> Server:
        """Any command that says where it serves."""
        server = cls.__new__(cls)
        environ = {**os.environ, **environment}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ)
        server._begin(process, trusted)
        return server

    @classmethod
    def of_program(cls, program: Path, *arguments: str) -> Server:
        """A Python program that says where it serves, without the time that its imports take."""
        server = cls.__new__(cls)
        server._begin(start_program(program, *arguments), None)
        return server

    def _begin(self, process: subprocess.Popen[str] | Process, trusted: ssl.SSLContext | None) -> None:
        self.process, self.trusted = process, trusted
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line)
            if "://127.0.0.1" in line or "://0.0.0.0" in line:
                self.url = (
                    next(word for word in line.split() if "://" in word).rstrip(",").replace("0.0.0.0", "127.0.0.1")
                )
                self.port = int(self.url.rsplit(":", 1)[1])
                self._reader = threading.Thread(target=self._read, daemon=True)
                self._reader.start()
                return
        self.process.stdout.close()
        self.process.wait()
        raise AssertionError(f"the server did not start: {self.said}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said.append(line)

    def ask(self, path: str, body: object = None, method: str | None = None, **headers: str):
        """Status, headers and decoded JSON (or bytes); a body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=240, context=self.trusted) as response:
                return response.status, response.headers, read(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, read(error)

    def decide(self, body: object, **headers: str):
        return self.ask("/v1/decide", body, **headers)[2]

    def raw(self, *pieces: bytes, timeout: float = 240.0) -> bytes:
        """Everything that is answered, until the server ends the connection, to these bytes as they are."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return until_end(connection)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """The exit code, once it has ended by itself."""
        code = self.process.wait(timeout=240)
        self._reader.join()
        return code


def steady(folder: Path) -> Path:
    """The access app with a bound on times that holds for an hour, and no deadline that a busy machine would miss.

    A fuzzer holds what it reads at first to be true.
    """
    text = (Path(homeostat.__file__).parent / "apps" / "access" / "app.yaml").read_text()
    path = folder / "app.yaml"
    text = text.replace("  late: decide\n", "  late: decide\n  ahead_max: 1d\n", 1)
    path.write_text(text.replace("\ndeadline: 50ms", "\ndeadline: 60s"))
    return path


def read(response):
    raw = response.read()
    kind = response.headers.get("content-type", "")
    return json.loads(raw) if "json" in kind and "ndjson" not in kind and raw else raw


def until_end(connection: socket.socket) -> bytes:
    """The bytes received until the other end closes."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def parsed(answer: bytes) -> tuple[int, dict[str, str], object]:
    """Status, headers and JSON of one answer; of several, the first."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields)
    return int(line.split()[1]), headers, json.loads(rest[: int(headers["content-length"])])


def post(body: bytes, *fields: str, path: str = "/v1/decide") -> bytes:
    """A request that closes the connection."""
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", "connection: close", *fields]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body

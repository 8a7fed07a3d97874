"""Sends hostile bytes to a server, request by request: `python -m benchmarks.fuzz_http --requests 100000`.

Requests are malformed, pipelined, cut off, reset, sent in drips and left unread, the same for the same seed. Each
answer must be one that the interface declares; nothing unexpected may be in the log, and the server must be well
at the end.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.hostile import VALUES

DECLARED = frozenset({100, 200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 431, 501})
ROUND = 2000  # Requests between two looks at the server's health.
_LOOK_S = 0.3  # For an answer to what need not have any.
_ANSWER_S = 60.0
_STATUS = re.compile(rb"(?:^|\n|\})HTTP/1\.1 (\d{3}) ")
_EVENT = {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}
_METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"CONNECT", b"TRACE", b"PRI", b"M-SEARCH", b"get", b"", b"\0")
_TARGETS = (
    b"/v1/decide", b"/v1/outcomes", b"/healthz", b"/metrics", b"/openapi.json", b"/v1/decisions/1",
    b"/v1/decisions/%0d%0ahomeostat:%20forged", b"/v1/decisions/%ff%00?explain=%e2%80%a8",
    b"/v1/decisions/1?explain=true",
    b"*", b"//", b"http://x/healthz", b"x:443", b"/\xff", b"/" + b"a" * 3000, b"/%", b"?", b"",
)  # fmt: skip
_VERSIONS = (b"HTTP/1.1",) * 60 + (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.", b"http/1.1", b"")
_FIELDS = (
    b"connection: close", b"connection: keep-alive", b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c",
    b"upgrade: websocket", b"http2-settings: AAMAAABkAAQAoAAAAAIAAAAA", b"expect: 100-continue", b"host: y", b"Host:",
    b"content-type: text/plain", b"content-encoding: gzip", b"content-encoding: br", b"transfer-encoding: chunked",
    b"transfer-encoding: xchunked", b"content-length: 5", b"content-length: -1",
    b"content-length: 99999999999999999999",
    b"authorization: Bearer hs_0123456789ab_c0ffee", b"x-api-key: \xff", b"traceparent: 00-0-0-0", b" folded: x",
    b"bad header", b"x: \x00", b"x: \x1b[2J", b": empty", b"x" * 200 + b": y", b"x: " + b"y" * 5000,
)  # fmt: skip


def request(chance: random.Random) -> bytes:
    """One request, more or less as it should be."""
    body = _body(chance)
    usual = chance.random() < 0.8
    method = b"POST" if usual else chance.choice(_METHODS)
    target = b"/v1/decide" if usual else chance.choice(_TARGETS)
    fields = [b"host: localhost", b"content-type: application/json"]
    fields += [chance.choice(_FIELDS) for _ in range(chance.choice((0, 0, 0, 0, 0, 0, 1, 1, 2, 5)))]
    framing = chance.random()
    if framing < 0.7:
        fields.append(b"content-length: %d" % len(body))
    elif framing < 0.95:
        fields.append(b"transfer-encoding: chunked")
        cut = chance.randint(0, len(body))
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part) + b"0\r\n\r\n"
    chance.shuffle(fields)
    end = b"\n" if chance.random() < 0.01 else b"\r\n"
    line = b" ".join((method, target, chance.choice(_VERSIONS)))
    return _mutated(end.join([line, *fields, b"", b""]) + body, chance)


def _body(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.3:
        return json.dumps({**_EVENT, "event_id": str(chance.randint(0, 10**6))}).encode()
    if kind < 0.5:
        return b'{"event_id": %s, "value": %s}' % (chance.choice(VALUES), chance.choice(VALUES))
    if kind < 0.6:
        return b"[" + b",".join(chance.choice(VALUES) for _ in range(chance.randint(0, 20))) + b"]"
    if kind < 0.7:
        return gzip.compress(b" " * chance.choice((0, 10, 100_000)) + chance.choice(VALUES))
    return b"" if kind < 0.8 else chance.randbytes(chance.randint(0, 300))


def _mutated(sent: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.9 or not sent:
        return sent
    at = chance.randrange(len(sent))
    change = chance.randrange(5)
    if change == 0:
        return sent[:at]
    if change == 1:
        return sent[:at] + chance.randbytes(chance.randint(1, 8)) + sent[at:]
    if change == 2:
        return sent[:at] + sent[at + chance.randint(1, 20) :]
    if change == 3:
        return sent[:at] + sent
    return sent[:at] + bytes([sent[at] ^ 1 << chance.randrange(8)]) + sent[at + 1 :]


def converse(port: int, seed: int, count: int) -> Counter[int]:
    """Send so many requests on one connection, in one of the ways in which clients misbehave; the statuses answered.

    A connection that gets no answer must not be held against the server: the last request need not be a whole one.
    """
    chance = random.Random(seed)
    sent = b"".join(request(chance) for _ in range(count))
    way = chance.choice(("whole", "whole", "drips", "reset", "gone", "unread"))
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as connection:
        if way == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            step = chance.choice((1, 7, 100)) if way == "drips" else len(sent) or 1
            for at in range(0, min(len(sent), 300 * step), step):
                connection.sendall(sent[at : at + step])
            if way in ("reset", "gone"):
                return Counter()
            if way == "unread":
                connection.settimeout(_LOOK_S)
                connection.recv(1)
                return Counter()
            return Counter(_statuses(connection))
        except OSError:  # The server ends a connection that makes no sense, maybe before all was sent.
            return Counter()


def _statuses(connection: socket.socket) -> list[int]:
    """The statuses of all that is answered until nothing comes for a moment."""
    received = bytearray()
    connection.settimeout(_LOOK_S)
    try:
        while piece := connection.recv(65536):
            received += piece
    except OSError:
        pass
    return [int(one) for one in _STATUS.findall(received)]


class Server:
    """`homeostat serve access`, whose log is kept."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        command = [sys.executable, "-m", "homeostat", "serve", "access", "--port", "0", "--data", str(folder / "data")]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*command, "--request-timeout", "2s"], stdout=log, stderr=log)
        self.port = 0
        while not self.port:
            assert self.process.poll() is None, self.log.read_text()
            found = re.search(r"decides at http://127\.0\.0\.1:(\d+)", self.log.read_text(errors="replace"))
            self.port = int(found[1]) if found else 0

    def health(self) -> bytes:
        """The first line of what /healthz answers."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_ANSWER_S) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            return connection.recv(65536).partition(b"\r\n")[0]

    def stop(self) -> int:
        """The exit code after a drain."""
        self.process.terminate()
        return self.process.wait(60)

    def unexpected(self) -> list[str]:
        """The lines of the log that should not be there."""
        known = re.compile(r"homeostat: (access decides at |saved to |a client|warning: the metrics|compiling kernels)")
        return [line for line in self.log.read_text(errors="replace").splitlines() if not known.match(line)]


def run(requests: int, seed: int = 0, clients: int = 16) -> Counter[int]:
    """Fuzz a server of its own; the statuses that it answered. Raises AssertionError where it did not hold."""
    answered: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(clients) as pool:
        server = Server(Path(folder))
        try:
            sizes, chance = [], random.Random(seed)
            while sum(sizes) < requests:
                size = chance.choice((1, 1, 1, 1, 1, 2, 8))  # Few, since a malformed one ends the connection.
                sizes.append(size)
            numbered = list(enumerate(sizes, seed << 32))
            for at in range(0, len(numbered), ROUND // 8):
                part = numbered[at : at + ROUND // 8]
                for found in pool.map(lambda one: converse(server.port, *one), part):
                    answered += found
                health = server.health()
                assert health == b"HTTP/1.1 200 OK", f"after {at} conversations: {health!r}"
        finally:
            code = server.stop()
        assert code == 0, f"the server ended with {code}"
        assert not server.unexpected(), "\n".join(server.unexpected()[:40])
    strange = set(answered) - DECLARED
    assert not strange, f"answers with {strange}"
    return answered


def main() -> None:
    """Fuzz, and print what was answered."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    answered = run(given.requests, given.seed)
    print(f"{given.requests} requests, {sum(answered.values())} answers read, the server is well")
    print(", ".join(f"{status}: {count}" for status, count in sorted(answered.items())))


if __name__ == "__main__":
    main()

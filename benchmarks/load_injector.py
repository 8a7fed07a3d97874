"""Sends requests on a fixed schedule, whatever the answers do, and times each from the moment it was due.

A server that stalls is so charged with every request that it keeps waiting, not only with the one that it stalls on
(coordinated omission: Tene, "How not to measure latency", 2013). It runs in a process of its own: python -m
benchmarks.load_injector, with a JSON task on standard input; latencies in seconds come back as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import deque
from collections.abc import Callable


def is_whole(reply: bytes) -> bool:
    """Whether all of a reply has come, as long as its content-length says."""
    head = reply.find(b"\r\n\r\n")
    if head < 0:
        return False
    at = reply.lower().find(b"content-length:", 0, head)
    return len(reply) >= head + 4 + int(reply[at + 15 : reply.find(b"\r\n", at)])


class Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request under way; the next ones due wait for it."""

    def __init__(self, latencies: dict[int, list[float]], failures: list[str]) -> None:
        self.latencies, self.failures = latencies, failures
        self.waiting: deque[tuple[int, float, bytes]] = deque()
        self.current: tuple[int, float, bytes] | None = None
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, kind: int, due: float, request: bytes) -> None:
        self.waiting.append((kind, due, request))
        if self.current is None:
            self._next()

    def _next(self) -> None:
        self.current = self.waiting.popleft()
        self.transport.write(self.current[2])

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not is_whole(self.buffer):
            return
        assert self.current is not None
        kind, due, _ = self.current
        self.answered(kind, due)
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            self.failures.append(self.buffer[:300].decode("latin-1"))
        self.buffer, self.current = b"", None
        if self.waiting:
            self._next()

    def answered(self, kind: int, due: float) -> None:
        """Keep what is wanted of an answer, which is in the buffer."""
        self.latencies[kind].append(time.perf_counter() - due)

    def connection_lost(self, error: Exception | None) -> None:
        if self.current is not None or self.waiting:
            self.failures.append(f"connection lost: {error}")


async def inject(
    host: str, port: int, rate: float, connections: int, requests: list[tuple[int, bytes]],
    make: Callable[[dict[int, list[float]], list[str]], Connection] = Connection,
    enough: Callable[[], bool] = lambda: False,
) -> dict:  # fmt: skip
    """Send `requests` (kind, bytes), one every 1 / rate seconds, over the connections in turn, until it is enough."""
    loop = asyncio.get_running_loop()
    latencies: dict[int, list[float]] = {kind: [] for kind, _ in requests}
    failures: list[str] = []
    pool = []
    for _ in range(connections):
        _, protocol = await loop.create_connection(lambda: make(latencies, failures), host, port)
        pool.append(protocol)
    begun, sent = time.perf_counter() + 0.05, 0
    for number, (kind, request) in enumerate(requests):
        if enough():
            break
        due = begun + number / rate
        ahead = due - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        pool[number % connections].send(kind, due, request)
        sent += 1
    patience = time.perf_counter() + 10
    while sum(map(len, latencies.values())) < sent and not failures and time.perf_counter() < patience:
        await asyncio.sleep(0.01)
    lost = sent - sum(map(len, latencies.values()))
    for protocol in pool:
        protocol.transport.close()
    return {"latencies": latencies, "failures": failures[:5], "lost": lost}


def main() -> None:
    import uvloop

    task = json.load(sys.stdin)
    requests = [(kind, text.encode()) for kind, text in task["requests"]]
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(inject(task["host"], task["port"], task["rate"], task["connections"], requests))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()

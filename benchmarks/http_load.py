"""Keeps so many connections busy for a while, each with one request at a time, and counts the answers.

A process of its own: python -m benchmarks.http_load, with a JSON task on standard input; answers a second come back.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count

from benchmarks.load_injector import is_whole


class Busy(asyncio.Protocol):
    """A connection that sends its next request as soon as the last one is answered."""

    def __init__(self, body: bytes, ids: count, answered: list[float], failures: list[str]) -> None:
        self.body, self.ids, self.answered, self.failures = body, ids, answered, failures
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.next()

    def next(self) -> None:
        body = self.body.replace(b'"ID"', b'"h%d"' % next(self.ids))
        self.transport.write(
            b"POST /v1/decide HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not is_whole(self.buffer):
            return
        if self.buffer.startswith(b"HTTP/1.1 200"):
            self.answered.append(time.perf_counter())
        else:
            self.failures.append(self.buffer[:300].decode("latin-1"))
        self.buffer = b""
        if not self.failures:
            self.next()


async def load(
    host: str, port: int, connections: int, bodies: list[str], first: int, warm_s: float, seconds: float
) -> float:
    """Answers a second after the first `warm_s`; events are numbered from `first` on.

    Raises RuntimeError where an answer is no decision.
    """
    loop = asyncio.get_running_loop()
    answered: list[float] = []
    failures: list[str] = []
    ids = count(first)
    pool = []
    for number in range(connections):
        body = bodies[number % len(bodies)].encode()
        pool.append(
            (await loop.create_connection(lambda body=body: Busy(body, ids, answered, failures), host, port))[0]
        )
    begun = time.perf_counter()
    while time.perf_counter() < begun + warm_s + seconds and not failures:
        await asyncio.sleep(0.05)
    ended = time.perf_counter()
    for transport in pool:
        transport.abort()
    if failures:
        raise RuntimeError(failures[0])
    return sum(begun + warm_s <= moment <= ended for moment in answered) / (ended - begun - warm_s)


def main() -> None:
    """Read the task, run it, print the rate."""
    task = json.load(sys.stdin)
    print(asyncio.run(load(**task)))


if __name__ == "__main__":
    main()

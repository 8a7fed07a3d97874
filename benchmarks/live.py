"""The time of a decision over HTTP while ten consoles listen to the stream and ask for lists, and while none does.

Rounds with and without listeners take turns on one server, each with requests at a fixed rate, timed from when they
were due. The figure is the median over the rounds of p99 with, divided by p99 without. With --json for machines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np

LISTENERS, WAIT_S = 10, 180.0


@contextmanager
def served(data: Path) -> Iterator[int]:
    """The port of a server of the payments app with a data folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "homeostat", "serve", "payments", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait()


def body_of(number: int) -> bytes:
    moment = datetime(2026, 1, 30, tzinfo=UTC) + timedelta(milliseconds=20 * number)
    return json.dumps({
        "transaction_id": f"live{number}", "timestamp": moment.isoformat(), "customer_id": str(number % 997),
        "terminal_id": str(number % 101), "amount": 10 + number % 90,
    }).encode()  # fmt: skip


async def decide(port: int, first: int, count: int, rate: float) -> list[float]:
    """Milliseconds from when each request was due to its answer, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun, took = time.perf_counter(), []
    for number in range(count):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        body = body_of(first + number)
        head = f"POST /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
        writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        text = await reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"an event was not decided: {text.decode()[:300]}")
        took.append((time.perf_counter() - due) * 1e3)
    writer.close()
    return took


async def listen(port: int) -> None:
    """Read the stream, as a console does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/stream HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n")
    try:
        while await reader.read(1 << 16):
            continue
    finally:
        writer.close()


async def measured(port: int, rounds: int, count: int, rate: float) -> dict[str, object]:
    first = 0

    async def round_of(listeners: int) -> list[float]:
        nonlocal first
        tasks = [asyncio.create_task(listen(port)) for _ in range(listeners)]
        await asyncio.sleep(0.5)
        took = await decide(port, first, count, rate)
        first += count
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return took

    await round_of(0)  # The first events of a process take longer.
    found = []
    for _ in range(rounds):
        without, beside = await round_of(0), await round_of(LISTENERS)
        found.append((np.percentile(without, 99), np.percentile(beside, 99), np.median(without), np.median(beside)))
    ratios = [float(beside / without) for without, beside, *_ in found]
    names = ("p99_without_ms", "p99_with_ms", "p50_without_ms", "p50_with_ms")
    return {
        **{name: round(float(median(one[k] for one in found)), 3) for k, name in enumerate(names)},
        "ratio_of_p99": round(median(ratios), 3), "ratios": [round(ratio, 2) for ratio in ratios],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=2000, help="of a round")
    parser.add_argument("--rate", type=float, default=200.0, help="a second")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as port:
        found = asyncio.run(measured(port, options.rounds, options.events, options.rate))
    if options.json:
        json.dump(found, sys.stdout)
        return
    for name, value in found.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()

"""The time of a decision over HTTP while ten consoles listen to the stream and one asks for lists, and while none does.

Rounds with and without listeners take turns on one server, each with requests at a fixed rate, timed from when they
were due. The figure is the median over the rounds of p99 with, divided by p99 without. With --json for machines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
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

from benchmarks.figures import Figure, as_text, machine, packed

LISTENERS, WAIT_S = 10, 180.0


@contextmanager
def served(data: Path) -> Iterator[tuple[int, int]]:
    """Port and process of a server of the payments app with a data folder."""
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
        yield port, process.pid
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


async def browse(port: int) -> None:
    """Ask for the newest decisions each second, as a page of a console does."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/decisions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        await asyncio.sleep(1.0)


def processor_s(pid: int) -> float:
    """The processor time of a process so far, which other load on the machine leaves as it is."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def measured(port: int, pid: int, rounds: int, count: int, rate: float) -> list[Figure]:
    first = 0

    async def round_of(listeners: int) -> tuple[list[float], float]:
        nonlocal first
        tasks = [asyncio.create_task(listen(port)) for _ in range(listeners)]
        tasks += [asyncio.create_task(browse(port))] if listeners else []
        await asyncio.sleep(0.5)
        spent_s = processor_s(pid)
        took = await decide(port, first, count, rate)
        spent_s = processor_s(pid) - spent_s
        first += count
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return took, 1e3 * spent_s / count

    await round_of(0)  # The first events of a process take longer.
    found, processor = [], []
    for _ in range(rounds):
        (without, alone_ms), (beside, shared_ms) = await round_of(0), await round_of(LISTENERS)
        processor.append((alone_ms, shared_ms))
        found.append((np.percentile(without, 99), np.percentile(beside, 99), np.median(without), np.median(beside)))
    ratios = [float(beside / without) for without, beside, *_ in found]
    names = ("p99 without", "p99 with ten streams", "p50 without", "p50 with ten streams")
    figures = [Figure("live", name, float(median(one[k] for one in found)), "ms") for k, name in enumerate(names)]
    for k, name in enumerate(("alone", "with ten streams")):
        spent = float(median(one[k] for one in processor))
        figures.append(Figure("live", f"processor of the server a decision, {name}", spent, "ms"))
    spread = f"rounds from {min(ratios):.2f} to {max(ratios):.2f}"
    return [*figures, Figure("live", "p99 with, against without", median(ratios), "times", "<= 1.1", spread)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=2000, help="of a round")
    parser.add_argument("--rate", type=float, default=200.0, help="a second")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (port, pid):
        figures = asyncio.run(measured(port, pid, options.rounds, options.events, options.rate))
    print(json.dumps(packed(figures, [])) if options.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()

"""Two server processes that share Redis and PostgreSQL, against one: the payments app over HTTP.

    python -m benchmarks.http_processes [--seconds 15] [--json]

Each process gets a small part of a core, so that the servers and the client have time to spare.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.cpu_share import NoShares, limited
from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.pipeline import BenchServers, servers
from benchmarks.replay import say

PART = "http_processes"
SHARE = 0.15  # Of a core, for each process.
CONNECTIONS = 256  # As many as keep the batches of two processes large: what waits is decided together.


def rate_of(world: BenchServers, processes: int, seconds: float) -> float:
    """Decisions a second, one a request, of so many server processes."""
    config = world.config(f"http{processes}")
    command = [str(Path(sys.executable).with_name("homeostat")), "serve", "payments", "--config", str(config)]
    server = subprocess.Popen([*command, "--port", "0", "--workers", str(processes)], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        url = next(line for line in server.stderr if "decides at http" in line).split("decides at ")[1].split(",")[0]
        host, port = url.strip().removeprefix("http://").split(":")
        children = [child.pid for child in psutil.Process(server.pid).children()]
        assert len(children) == processes, f"{len(children)} children"
        bodies = [
            json.dumps(
                {"event_id": "ID", "time": 1_530_000_000 + k, "customer": k, "terminal": k % 50, "amount": 20 + k}
            )
            for k in range(CONNECTIONS)
        ]
        task = {"host": host, "port": int(port), "connections": CONNECTIONS, "bodies": bodies}
        _load({**task, "first": 0, "warm_s": 2.0, "seconds": 1.0})
        with limited(children, SHARE):
            return _load({**task, "first": 1_000_000, "warm_s": 2.0, "seconds": seconds})
    finally:
        server.terminate()
        server.wait(60)


def _load(task: dict) -> float:
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.http_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    answer, _ = client.communicate(json.dumps(task).encode())
    return float(answer)


def measure(seconds: float) -> tuple[list[Figure], list[str]]:
    """The figures, and what could not be measured."""
    rates = []
    try:
        with servers() as world:
            for processes in (1, 2):
                say(f"http_processes: {processes} process(es), {SHARE:.0%} of a core each")
                world.clear()
                rates.append(rate_of(world, processes, seconds))
                time.sleep(1)
    except NoShares as error:
        return [], [f"http_processes: {error}"]
    note = f"{rates[0]:,.0f} and {rates[1]:,.0f} decisions/s, {SHARE:.0%} of a core for each process"
    return [Figure(PART, "two server processes against one", rates[1] / rates[0], "times", ">= 1.6", note)], []


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures, notes = measure(chosen.seconds)
    print(json.dumps(packed(figures, notes)) if chosen.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()

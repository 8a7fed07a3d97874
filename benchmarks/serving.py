"""POST /v1/decide against a no-op route of the same server, at a fixed rate, measured from outside.

    python -m benchmarks.serving [--app payments] [--rate 300] [--seconds 20] [--json]

The server is a process with its journal on disk, and the injector another. Half a second of one kind alternates with
half a second of the other, so that whatever else the machine does meets both alike, and neither waits for the other.
Target: p99 at most 2.5 times that of the no-op route.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TARGET_RATIO = 2.5
NOOP, DECIDE = 0, 1


def events_of(app: str, count: int) -> list[dict]:
    """Events like the app's, of some thousand entities, a few a second."""
    rng = np.random.default_rng(11)
    start = time.time() - 0.2 * count
    events = []
    for k in range(count):
        event: dict = {"event_id": k, "time" if app == "payments" else "timestamp": round(start + 0.2 * k, 3)}
        if app == "payments":
            event |= {"customer": int(rng.integers(5000)), "terminal": int(rng.integers(10000))}
            event |= {"amount": round(float(rng.gamma(2, 30)), 2)}
        else:
            event |= {"entity_id": int(rng.integers(5000)), "event_type": "action", "value": 1}
        events.append(event)
    return events


def post(host: str, event: dict) -> str:
    body = json.dumps(event)
    return (
        f"POST /v1/decide HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    )


def started(arguments: list[str]) -> tuple[subprocess.Popen, str, int]:
    """A server on a free port, once it says that it is ready."""
    command = [sys.executable, "-c", "from homeostat.cli import main; main()", "serve", *arguments, "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if "http://" in line:
            host, port = line.rsplit("http://", 1)[1].strip().split(":")
            return server, host, int(port)
    raise SystemExit(f"the server did not start: {' '.join(command)}")


def measure(app: str, rate: float, seconds: float, connections: int, bundle: str | None) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [app, "--data", str(Path(folder) / "data"), *(["--bundle", bundle] if bundle else [])]
        server, host, port = started(arguments)
        try:
            count, warming, block = int(rate * seconds), int(rate * 2), max(1, int(rate / 2))
            posts = [post(host, event) for event in events_of(app, count + warming)]
            noop = f"GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n"
            result: dict = {}
            for chosen in (posts[:warming], posts[warming:]):
                requests: list[tuple[int, str]] = []
                for at in range(0, len(chosen), block):
                    part = chosen[at : at + block]
                    requests += [(NOOP, noop)] * len(part) + [(DECIDE, text) for text in part]
                task = {"host": host, "port": port, "rate": rate, "connections": connections, "requests": requests}
                injector = [sys.executable, "-m", "benchmarks.load_injector"]
                done = subprocess.run(injector, input=json.dumps(task), capture_output=True, text=True, check=True)
                result = json.loads(done.stdout)
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)
    if result["failures"] or result["lost"]:
        raise SystemExit(f"{result['lost']} answers are missing: {result['failures']}")
    figures: dict = {"app": app, "rate": rate, "seconds": seconds, "connections": connections}
    for name, kind in (("noop", NOOP), ("decide", DECIDE)):
        latency_us = np.array(result["latencies"][str(kind)]) * 1e6
        figures[name] = {
            label: round(float(np.percentile(latency_us, q)), 1)
            for label, q in (("p50", 50), ("p99", 99), ("p999", 99.9))
        }
    figures["ratio_p99"] = round(figures["decide"]["p99"] / figures["noop"]["p99"], 3)
    figures["target"] = TARGET_RATIO
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", default="payments")
    parser.add_argument("--bundle")
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = measure(given.app, given.rate, given.seconds, given.connections, given.bundle)
    if given.json:
        print(json.dumps(figures))
        return
    print(f"{given.app}: {given.rate:g} requests/s of each kind, open loop, from the moment each was due")
    for name in ("noop", "decide"):
        print(f"  {name:<7} p50 {figures[name]['p50']:9.1f} us   p99 {figures[name]['p99']:9.1f} us   "
              f"p99.9 {figures[name]['p999']:9.1f} us")  # fmt: skip
    print(f"  ratio of p99: {figures['ratio_p99']:.2f} (target: at most {TARGET_RATIO})")


if __name__ == "__main__":
    main()

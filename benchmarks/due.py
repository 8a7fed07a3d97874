"""A caller's wait while 80,000 outcomes come due at once: `python -m benchmarks.due [--outcomes 80000] [--json]`.

A server of the payments app, with fusion and policy that learn, has decided so many payments. An injector then sends
single payments at a fixed rate, in three spans: nothing else happens; all outcomes are posted meanwhile; event time
moves on by eight days, so that every outcome matures at one moment. Each wait is counted from when its request was due.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from importlib import resources
from pathlib import Path

import numpy as np
import yaml

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.serving import post, started

QUIET, POSTED, MATURED = 0, 1, 2
SPANS = {QUIET: "nothing else", POSTED: "outcomes posted meanwhile", MATURED: "all mature at one moment"}
DAY_S, BODY = 86_400, 1_000
RATE = 100.0


def app_of(folder: Path) -> Path:
    """The payments app with a fusion and a policy that learn."""
    app = yaml.safe_load((resources.files("homeostat.apps") / "payments" / "app.yaml").read_text("utf-8"))
    app["fusion"], app["policy"] = {"kind": "adaptive"}, {"kind": "bandit"}
    path = folder / "app.yaml"
    path.write_text(yaml.safe_dump(app, sort_keys=False))
    return path


def payment(number: int, at_s: float) -> dict:
    """One payment of some thousand customers."""
    return {
        "event_id": number, "time": round(at_s, 3), "customer": number * 7 % 4_999, "terminal": number * 11 % 9_973,
        "amount": 5 + number * 37 % 200,
    }  # fmt: skip


def bodies(outcomes: int, start_s: float) -> Iterator[tuple[str, list[dict]]]:
    """The payments, then their outcomes, in bodies of a thousand."""
    for path in ("/v1/decide", "/v1/outcomes"):
        for first in range(0, outcomes, BODY):
            numbers = range(first, min(first + BODY, outcomes))
            if path == "/v1/decide":
                yield path, [payment(k, start_s + k / 100) for k in numbers]
            else:
                yield path, [{"event_id": k, "label": int(k % 97 == 0)} for k in numbers]


def send(host: str, port: int, path: str, items: list[dict]) -> None:
    """Post one body; anything but success ends the run."""
    link = HTTPConnection(host, port, timeout=300)
    link.request("POST", path, json.dumps(items), {"content-type": "application/json"})
    answer = link.getresponse()
    text = answer.read()
    link.close()
    if answer.status >= 300:
        raise SystemExit(f"{path}: {answer.status} {text[:300]!r}")


def measure(outcomes: int, seconds: float) -> dict[int, np.ndarray]:
    """(n,) the waits of each span, milliseconds."""
    start_s, count = time.time() - 30 * DAY_S, int(seconds * RATE)
    last_s = start_s + outcomes / 100
    spans = ((QUIET, last_s), (POSTED, last_s + 600), (MATURED, last_s + 8 * DAY_S))
    found: dict[int, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = resources.files("homeostat.apps") / "payments" / "bundle"
        server, host, port = started([str(app_of(folder)), "--data", str(folder / "data"), "--bundle", str(bundle)])
        threading.Thread(target=lambda: [None for _ in server.stderr or ()], daemon=True).start()
        try:
            parts = list(bodies(outcomes, start_s))
            for path, items in parts[: len(parts) // 2]:
                send(host, port, path, items)
            for kind, from_s in spans:
                numbers = range(outcomes + kind * count, outcomes + (kind + 1) * count)
                requests = [(kind, post(host, payment(k, from_s + (k - numbers[0]) / RATE))) for k in numbers]
                task = {"host": host, "port": port, "rate": RATE, "connections": 4, "requests": requests}
                injector = subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.load_injector"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    text=True,
                )  # fmt: skip
                poster = threading.Thread(
                    target=lambda: [send(host, port, *part) for part in parts[len(parts) // 2 :]], daemon=True
                )
                if kind == POSTED:
                    poster.start()
                printed, _ = injector.communicate(json.dumps(task))
                result = json.loads(printed)
                if kind == POSTED:
                    poster.join()
                if result["failures"] or result["lost"]:
                    raise SystemExit(f"{result['lost']} answers are missing: {result['failures'][:3]}")
                found[kind] = np.array(result["latencies"][str(kind)]) * 1e3
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    return found


def main() -> None:
    """Print the waits of each span."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, default=80_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each span")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    found = measure(given.outcomes, given.seconds)
    figures = [
        Figure("due", f"{SPANS[kind]}: {name} wait", float(value), "ms", "<= 100" if name == "longest" else "")
        for kind, waits in found.items()
        for name, value in (("median", np.median(waits)), ("p99", np.percentile(waits, 99)), ("longest", waits.max()))
    ]
    print(json.dumps(packed(figures, [])) if given.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()

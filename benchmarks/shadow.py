"""The champion's latency with a challenger in shadow and without: `python -m benchmarks.shadow [--json]`.

A server on a data folder starts the challenger's process by itself. Signals stop that process and let it go on in
turns, so that rounds with it and without it meet the same server, journal and machine. It makes up then for the time in
which it was stopped, so it is hardly ever idle in its rounds. Rounds without it are compared with each other too, for
the noise of the machine. Target: p99 with it at most 1.10 times that without, as the median of many short rounds: a
burst of other work on the machine spoils one round, and not the figure.

In process there are rounds beside a stranger, too: a process that decides other events in an engine of its own, and
shares nothing with the champion but the machine. So the part of a ratio that is the other core's work is seen.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NoReturn

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.serving import events_of, post, started
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.engine.assembly import open_engine, prepare, shipped_bundle
from homeostat.engine.shadowing import keeper_in
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.deployments import CHALLENGER, promote
from homeostat.models.lineage import lineage_of

APP, TARGET = "payments", "<= 1.10"
WITHOUT, AGAIN, WITH, STRANGER = "without", "again", "with", "stranger"
WHO = {WITH: "challenger", STRANGER: "stranger"}
_WAIT_S = 180.0


def with_challenger(data: Path) -> str:
    """Make a data folder in which the shipped bundle with a slightly different fusion is the challenger."""
    shipped = shipped_bundle(prepare(APP).app)
    assert shipped is not None
    bundle = load_bundle(shipped)
    fusion = bundle.parts["fusion"]
    moved = replace(fusion, settings={**fusion.settings, "base": float(fusion.settings["base"]) + 0.5})
    save_bundle(replace(bundle, parts={**bundle.parts, "fusion": moved}), data.parent / "bundle")
    data.mkdir()
    registry, settings = SqliteRegistry(data), SqliteSettings(data)
    made = load_bundle(data.parent / "bundle")
    one = registry.put(data.parent / "bundle", lineage_of(made, "bench", "a benchmark"))
    promote(settings, registry, one.version, "bench", "a benchmark", CHALLENGER)
    settings.close()
    registry.close()
    return one.version


def pid_of_challenger(parent: int, data: Path) -> int:
    """The process that the server has started, once it has decided something; after that it may be stopped."""
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        with ShadowFile(data, readonly=True) as store:
            ready = any(held.lives and held.state.events for held in store.held().values())
        for name in os.listdir("/proc") if ready else ():
            try:
                line, stat = Path(f"/proc/{name}/cmdline").read_bytes(), Path(f"/proc/{name}/stat").read_text()
            except (OSError, ValueError):
                continue
            if b"shadow" in line.split(b"\0") and int(stat.rpartition(")")[2].split()[1]) == parent:
                return int(name)
        time.sleep(0.2)
    raise SystemExit("no challenger's process has begun")


class Beside:
    """A process beside the champion: how long it was let go on, and its processor time in its rounds, in seconds."""

    def __init__(self, pid: int, its: str = WITH) -> None:
        self.pid, self.its, self.wall_s, self.spent_s = pid, its, 0.0, 0.0

    @contextmanager
    def at_work(self, kind: str) -> Iterator[None]:
        """Let it go on while the block runs, in the rounds that are to have it; else it stands still."""
        os.kill(self.pid, signal.SIGCONT if kind == self.its else signal.SIGSTOP)
        begun, before = time.perf_counter(), self.spent()
        try:
            yield
        finally:
            if kind == self.its:
                self.wall_s += time.perf_counter() - begun
                self.spent_s += self.spent() - before
            if self.its == WITH:
                os.kill(self.pid, signal.SIGCONT)

    def share(self) -> float:
        """Its part of a core in its rounds, in percent."""
        return 100 * self.spent_s / self.wall_s

    def spent(self) -> float:
        """Its processor time so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rounds(kinds: Sequence[str], count: int) -> list[list[str]]:
    """The kinds of each round, in an order that turns round."""
    return [[*kinds[k % len(kinds) :], *kinds[: k % len(kinds)]][:: 1 if k % 2 else -1] for k in range(count)]


def measured(
    once: Callable[[str, list[dict]], list[float]], events: list[dict], count: int, kinds: Sequence[str]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Latencies in seconds by kind, and by kind the ratio of p99 to that without, one a round."""
    share = len(events) // (len(kinds) * count)
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    at = 0
    for order in rounds(kinds, count):
        p99 = {}
        for kind in order:
            latencies = once(kind, events[at : at + share])
            at += share
            p99[kind] = float(np.percentile(latencies, 99))
            taken[kind] += latencies
        for kind in kinds:
            ratios[kind].append(p99[kind] / p99[WITHOUT])
    return taken, ratios


def figures_of(
    what: str, beside: Sequence[Beside], taken: dict[str, list[float]], ratios: dict[str, list[float]]
) -> list[Figure]:
    """The figures of one way of deciding."""
    p99 = {kind: float(np.percentile(taken[kind], 99)) * 1e6 for kind in taken}
    both = float(np.percentile(taken[WITHOUT] + taken[AGAIN], 99)) * 1e6
    found = [
        (f"p99 with a challenger over without, median of {len(ratios[WITH])}", median(ratios[WITH]), "times", TARGET),
        ("the same of two rounds without, which is noise", median(ratios[AGAIN]), "times", ""),
        ("p99 with over without, all rounds together", p99[WITH] / both, "times", ""),
        ("the same of those without, which is noise", p99[AGAIN] / p99[WITHOUT], "times", ""),
        ("p99 without", both, "us", ""),
    ]
    if STRANGER in ratios:
        found += [
            ("p99 beside a stranger over without, median", median(ratios[STRANGER]), "times", ""),
            ("p99 beside a stranger over without, all rounds together", p99[STRANGER] / both, "times", ""),
        ]
    for one in beside:
        found.append((f"processor time of the {WHO[one.its]} in its rounds", one.share(), "% of a core", ""))
    return [Figure("shadow", f"{what}: {name}", value, unit, target) for name, value, unit, target in found]


def over_http(rate: float, seconds: float, count: int) -> list[Figure]:
    """Requests at a fixed rate to a server."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with_challenger(data)
        server, host, port = started([APP, "--data", str(data)])
        try:

            def send(events: list[dict]) -> list[float]:
                requests = [(0, post(host, event)) for event in events]
                task = {"host": host, "port": port, "rate": rate, "connections": 32, "requests": requests}
                injector = [sys.executable, "-m", "benchmarks.load_injector"]
                done = subprocess.run(injector, input=json.dumps(task), capture_output=True, text=True, check=True)
                result = json.loads(done.stdout)
                if result["failures"] or result["lost"]:
                    raise SystemExit(f"{result['lost']} answers are missing: {result['failures']}")
                return list(result["latencies"]["0"])

            warming, total = int(2 * rate), int(rate * seconds) * 3 * count
            events = events_of(APP, warming + total)
            send(events[:warming])
            beside = Beside(pid_of_challenger(server.pid, data))

            def once(kind: str, some: list[dict]) -> list[float]:
                with beside.at_work(kind):
                    return send(some)

            kinds = (WITHOUT, WITH, AGAIN)
            return figures_of(f"HTTP, {rate:g}/s", [beside], *measured(once, events[warming:], count, kinds))
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)


@contextmanager
def a_stranger() -> Iterator[int]:
    """The process id of a stranger, once it decides; it stands still at first."""
    command = [sys.executable, "-m", "benchmarks.shadow", "--stranger"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield process.pid
        finally:
            process.kill()


def decide_for_ever() -> NoReturn:
    """The stranger's work, at the priority of a challenger: events one after the other, until it is killed."""
    os.nice(10)
    events = events_of(APP, 20_000)
    print("ready", flush=True)
    while True:
        with open_engine(APP) as engine:
            for event in events:
                engine.decide(event)


def in_process(each: int, count: int) -> list[Figure]:
    """Single events in an engine, one after the other."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        data = Path(folder) / "data"
        with_challenger(data)
        with open_engine(APP, data=data) as engine:
            keeper = keeper_in(engine.parts.loop, engine.app.shadow, APP, data, print)
            engine.parts.opened.callback(keeper.close)
            kinds = (WITHOUT, STRANGER, WITH, AGAIN)
            events = events_of(APP, 500 + each * len(kinds) * count)
            for event in events[:500]:
                engine.decide(event)
            beside = [
                Beside(pid_of_challenger(os.getpid(), data)),
                Beside(opened.enter_context(a_stranger()), STRANGER),
            ]

            def once(kind: str, some: list[dict]) -> list[float]:
                taken = []
                with beside[0].at_work(kind), beside[1].at_work(kind):
                    for event in some:
                        begun = time.perf_counter()
                        engine.decide(event)
                        taken.append(time.perf_counter() - begun)
                return taken

            return figures_of("in process", beside, *measured(once, events[500:], count, kinds))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stranger", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.stranger:
        decide_for_ever()
    figures = in_process(chosen.events, chosen.rounds) + over_http(chosen.rate, chosen.seconds, chosen.rounds)
    print(json.dumps(packed(figures, [])) if chosen.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()

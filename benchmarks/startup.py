"""How long commands take to start, each a fresh process: `python -m benchmarks.startup [--starts NAME ...] [--json]`.

`--help` as a person waits for it; the others in processor time, which other work on the machine disturbs less, with
warm caches, the best of several. Then a replay whose folder of kernels is new, which compiles all that it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.transactions import transactions

STARTS = ("help", "replay", "serve", "doctor", "explain", "compile")
PAYMENTS = 1_000


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one process: by the wall clock, and of the processor."""

    wall: float
    processor: float


def command() -> list[str]:
    """The installed command, or the same from source."""
    installed = Path(sys.executable).parent / "homeostat"
    return [str(installed)] if installed.exists() else [sys.executable, "-c", "from homeostat.cli import main; main()"]


def caching(folder: Path) -> dict[str, str]:
    """An environment whose bytecode and kernels are kept in a folder: an installed package has its bytecode."""
    own = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "NUMBA_CACHE_DIR": str(folder / "kernels")}


def run(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Took:
    """A process from its start to its end. Raises CalledProcessError."""
    begun = time.perf_counter()
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as errors:
        said = errors.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(arguments), stderr=said.decode())
    return Took(time.perf_counter() - begun, used.ru_utime + used.ru_stime)


def until_ready(arguments: Sequence[str], environment: Mapping[str, str]) -> Took:
    """A server from its start until it says that it decides; then it is stopped. Raises RuntimeError."""
    begun, lines = time.perf_counter(), []
    with subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if " decides at " in line:
                used = psutil.Process(process.pid).cpu_times()
                took = Took(time.perf_counter() - begun, used.user + used.system)
                process.send_signal(signal.SIGTERM)
                process.stderr.read()
                return took
    raise RuntimeError(f"the server did not start: {''.join(lines)}")


def helps(repeats: int) -> list[Figure]:
    """`homeostat --help`, beside Python doing nothing. One process before fills the file cache."""
    taken, python = ([run(call).wall for _ in range(repeats + 1)][1:] for call in (
        [*command(), "--help"], [sys.executable, "-c", "pass"],
    ))  # fmt: skip
    return [
        Figure("startup", "homeostat --help, median", median(taken), "s", "<= 0.2"),
        Figure("startup", "homeostat --help, fastest", min(taken), "s"),
        Figure("startup", "Python alone, median", median(python), "s"),
    ]


class Warm:
    """Starts with warm caches, in a folder of their own."""

    def __init__(self, folder: Path, repeats: int) -> None:
        self._folder, self._repeats, self._environment = folder, repeats, caching(folder)
        self._events = transactions(folder, PAYMENTS).path
        self._out = folder / "out"
        self._replay = [*command(), "replay", "payments", str(self._events), "--out", str(self._out), "--json"]
        run(self._replay, self._environment)  # Compiles.

    def replay(self) -> list[Figure]:
        return [self._best(f"replay of {PAYMENTS:,} payments, processor time", self._replay, "<= 1.0")]

    def doctor(self) -> list[Figure]:
        return [self._best("doctor payments, processor time", [*command(), "doctor", "payments"], "<= 1.0")]

    def explain(self) -> list[Figure]:
        import pyarrow.parquet as pq

        event = pq.read_table(self._out / "decisions.parquet", columns=["event_id"])[0][0].as_py()
        call = [*command(), "explain", str(event), "--out", str(self._out)]
        return [self._best("explain one of them, processor time", call)]

    def serve(self) -> list[Figure]:
        call = [*command(), "serve", "payments", "--port", "0", "--data", str(self._folder / "served")]
        took = [until_ready(call, self._environment) for _ in range(self._repeats + 1)][1:]
        return [
            Figure("startup", "serve payments ready, processor time", min(t.processor for t in took), "s", "<= 1.2"),
            Figure("startup", "serve payments ready, elapsed", min(t.wall for t in took), "s"),
        ]

    def _best(self, name: str, call: Sequence[str], target: str = "") -> Figure:
        took = [run(call, self._environment).processor for _ in range(self._repeats + 1)][1:]
        return Figure("startup", name, min(took), "s", target)

    def compile(self) -> list[Figure]:
        """The same replay with a new folder of kernels each time."""
        took = []
        for _ in range(2 if self._repeats > 1 else 1):
            with TemporaryDirectory(dir=self._folder) as kernels:
                took.append(run(self._replay, {**self._environment, "NUMBA_CACHE_DIR": kernels}))
        return [
            Figure("startup", "first replay, compiling, processor time", min(t.processor for t in took), "s"),
            Figure("startup", "first replay, compiling, elapsed", min(t.wall for t in took), "s", "<= 15"),
        ]


def measure(starts: Sequence[str], repeats: int) -> list[Figure]:
    """The figures of some starts, in the order of `STARTS`."""
    figures = helps(repeats) if "help" in starts else []
    if set(starts) - {"help"}:
        with TemporaryDirectory(prefix="homeostat-startup-") as folder:
            warm = Warm(Path(folder), repeats)
            for name in STARTS[1:]:
                figures += getattr(warm, name)() if name in starts else []
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=STARTS, metavar="NAME", help=", ".join(STARTS))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen.starts, chosen.repeats)
    kind = "with all extras" if find_spec("pandas") and find_spec("scipy") else "in the base install"
    notes = [f"startup: {kind}"] if len(chosen.starts) > 1 else []
    print(json.dumps(packed(figures, notes)) if chosen.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()

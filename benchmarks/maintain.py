"""Processor time of watching against that of deciding, over a whole replay: `python -m benchmarks.maintain [--json]`.

    python -m benchmarks.maintain [--rows N] [--repeats 3] [--denser N] [--parts] [--json]

Replay and watching take turns in one process. Watching reads the replay's journal, cuts ticks, runs every monitor and
the alarm scale, groups signals into incidents, and saves its memory, as `homeostat maintain --once` does. Its time is
compared with that of the replay, which decides, journals and reports. Target: at most 5 %. Reading and decoding the
journal alone is measured too: no watcher takes less. `--parts` adds a table of where the time goes.

A tick costs about as much whatever it holds. The published payments have 400 an hour, one in nine seconds. With
`--denser 10` a tenth of their time lies between two of them, so that a busier app is measured, too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.maintain_parts import accounted
from benchmarks.transactions import denser, transactions
from homeostat.adapters.process.clock import SystemClock
from homeostat.engine.assembly import prepare
from homeostat.jobs.maintaining.running import Maintaining, Setting
from homeostat.jobs.maintaining.source import source_in, store_in
from homeostat.jobs.replay import Request, replay_events

APP = "payments"


@dataclass(frozen=True, slots=True)
class Turn:
    """Processor seconds of deciding, of watching and of reading the journal alone, and what was watched."""

    deciding: float
    watching: float
    reading: float
    entries: int
    ticks: int
    signals: int
    memory_mb: float


def watched(data: Path) -> tuple[int, int, int, float]:
    """Watch the record of a folder to its end: entries, ticks, signals and the size of the memory in MB."""
    prepared = prepare(APP)
    with store_in(data, APP) as store:
        one = Maintaining(
            Setting(prepared.app, store, lambda: source_in(data, prepared, store), "bench", SystemClock())
        )
        while (step := one.turn()) is not None and not step.at_end:
            pass
        one.turn(last=True)
        assert one.steps is not None
        place = one.steps.place
        one.close()
        return place.entry, place.ticks, place.signals, len(store.saved() or b"") / 1e6


def turn(events: Path, folder: Path) -> Turn:
    """A replay into a folder, then the watching of its journal."""
    begun = time.process_time()
    replay_events(APP, Request(events, folder), lambda what, share: None)
    decided = time.process_time()
    entries, ticks, signals, memory = watched(folder)
    seen = time.process_time()
    with store_in(folder, APP) as store, source_in(folder, prepare(APP), store) as source:
        opened = time.process_time()
        for _ in source.journal.read():
            pass
    return Turn(
        decided - begun, seen - decided, time.process_time() - opened, entries, ticks, signals, memory
    )  # fmt: skip


def parts_of(events: Path, folder: Path) -> list[str]:
    """A table of where watching spends its time, of a replay of its own."""
    replay_events(APP, Request(events, folder), lambda what, share: None)
    with accounted() as account:
        _, ticks, _, _ = watched(folder)
    return account.table(ticks)


def figures_of(turns: Sequence[Turn], rows: int, of: str) -> list[Figure]:
    """The figures of some turns."""
    last = turns[-1]
    what = f"{of}, {last.entries:,} entries, {last.ticks:,} ticks, {last.signals:,} signals and their news"
    share = median(one.watching / one.deciding for one in turns)
    each_us = median(one.watching for one in turns) / rows * 1e6
    floor = median(one.reading / one.deciding for one in turns)
    per_tick_ms = median(one.watching for one in turns) / max(last.ticks, 1) * 1e3
    return [
        Figure("maintain", "watching, of the processor time of a whole replay", 100 * share, "%", "<= 5", what),
        Figure("maintain", "reading and decoding the journal alone, of the same", 100 * floor, "%"),
        Figure("maintain", "watching, processor time a decision", each_us, "us"),
        Figure("maintain", "watching, processor time a tick", per_tick_ms, "ms"),
        Figure("maintain", "memory of the loop, as it is saved", last.memory_mb, "MB"),
    ]


def say(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--denser", type=int, default=1, metavar="N", help="so many times as many payments an hour")
    parser.add_argument("--parts", action="store_true", help="add a table of where the time goes")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    turns: list[Turn] = []
    with tempfile.TemporaryDirectory() as folder:
        data = transactions(Path(folder), asked.rows)
        data = denser(data, asked.denser, Path(folder)) if asked.denser > 1 else data
        for number in range(asked.repeats + 1):
            out = Path(folder) / f"out{number}"
            out.mkdir()
            made = turn(data.path, out)
            say(f"maintain: {'warm-up' if not number else f'turn {number}'}: {made}")
            turns.append(made)
        table: list[str] = []
        if asked.parts:
            out = Path(folder) / "parts"
            out.mkdir()
            table = parts_of(data.path, out)
    figures = figures_of(turns[1:], data.rows, data.said)
    notes = [f"maintain: {data.said}", *table]
    print(json.dumps(packed(figures, notes)) if asked.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()

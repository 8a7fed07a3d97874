"""The cost of settings to a decision, and how soon a change is in force: `python -m benchmarks.settings [--json]`.

One engine on a data folder decides in short turns, of some milliseconds each. In a third of them the thread that
watches the settings is free; in the others it stands still, so that nothing of the settings is left but the read of one
attribute a batch. The turns of a group come in an order drawn by chance, so whatever else the machine does meets all
kinds alike, and one engine has one layout in memory. The processor time of all threads counts. The two thirds that
stand still, one over the other, show which differences this design can see.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from math import comb
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.engine.assembly import open_engine
from homeostat.engine.engine import Engine
from homeostat.records.changes import Change, ChangeKind

BATCH, IDLE_S = 64, 3.0
TURN, GROUPS = 4, 120  # Batches of a turn; groups of three turns in a run.
_BETWEEN_S = 0.001  # A look that was held up comes here, and not in the next turn.
KINDS = ("free", "still", "still again")


def events(first: int, count: int) -> list[dict[str, object]]:
    """So many events, by their numbers."""
    return [
        {
            "event_id": f"e{k}", "entity_id": f"user-{k % 500}", "event_type": "login" if k % 3 else "read",
            "value": k % 11, "timestamp": 1_780_000_000 + k,
        }
        for k in range(first, first + count)
    ]  # fmt: skip


def spent(engine: Engine, sent: list[dict[str, object]]) -> float:
    """Processor seconds of deciding these events, of all threads of the process."""
    begun = time.process_time()
    for first in range(0, len(sent), BATCH):
        engine.decide(sent[first : first + BATCH])
    return time.process_time() - begun


def standing_still(engine: Engine, sent: list[dict[str, object]]) -> float:
    """The same while the thread that watches the settings waits."""
    assert engine.parts.watcher is not None
    with engine.parts.watcher._looking:
        return spent(engine, sent)


def run_of(engine: Engine, start: int, rng: random.Random) -> dict[str, float]:
    """Processor seconds of one run by kind of turn."""
    took = dict.fromkeys(KINDS, 0.0)
    for group in range(GROUPS):
        for turn, kind in enumerate(rng.sample(KINDS, len(KINDS))):
            sent = events(start + (group * len(KINDS) + turn) * TURN * BATCH, TURN * BATCH)
            took[kind] += spent(engine, sent) if kind == "free" else standing_still(engine, sent)
            time.sleep(_BETWEEN_S)
    return took


def in_force_ms(engine: Engine, repeats: int) -> list[float]:
    """Milliseconds from a change that is stored to the first decision that could be made under it."""
    taken = []
    for k in range(repeats):
        change = Change(ChangeKind.THRESHOLD, "block", {"at": 0.5 + k / 1000}, "bench", "a benchmark")
        begun = time.perf_counter()
        number = engine.settings.append(change, None).number
        while engine.parts.loop.stages.settings < number:
            engine.change()
            time.sleep(0.0005)
        taken.append(1000 * (time.perf_counter() - begun))
    return taken


def measured(runs: int) -> list[Figure]:
    """The figures."""
    with tempfile.TemporaryDirectory() as folder, open_engine("access", data=Path(folder) / "data") as engine:
        rng, a_run = random.Random(1), GROUPS * len(KINDS) * TURN * BATCH
        run_of(engine, 0, rng)
        took = [run_of(engine, (run + 1) * a_run, rng) for run in range(runs)]
        begun = time.process_time()
        time.sleep(IDLE_S)
        idle = 100 * (time.process_time() - begun) / IDLE_S
        latency = in_force_ms(engine, 20)
    ratios = sorted(one["free"] / one["still"] for one in took)
    noise = sorted(one["still again"] / one["still"] for one in took)
    what = f"of {GROUPS * TURN * BATCH:,} decisions in batches of {BATCH}, median of {runs} runs of alternating turns"
    spread = noise[(3 * len(noise)) // 4] - noise[len(noise) // 4]
    return [
        Figure(
            "settings",
            f"processor time with over without, {what}",
            median(ratios),
            "times",
            "<= 1.02",
            of_median(ratios),
        ),
        Figure(
            "settings",
            "the same of turns without over turns without (A/A)",
            median(noise),
            "times",
            note=of_median(noise),
        ),
        Figure("settings", "spread of A/A: between a quarter and three quarters of its runs", spread, "times"),
        Figure("settings", "processor time of watching while nothing comes", idle, "% of a core", "<= 1"),
        Figure("settings", "from a change stored to its first decision, median", median(latency), "ms", "<= 1000"),
        Figure("settings", "the same, longest of 20", max(latency), "ms", "<= 1000"),
    ]


def of_median(ordered: list[float]) -> str:
    """The 95 % interval of a median, by order statistics; there is none of fewer than six runs."""
    n, below, least = len(ordered), 0.0, 0
    while 2 * (below + comb(n, least) / 2**n) <= 0.05:
        below, least = below + comb(n, least) / 2**n, least + 1
    return f"95 % interval {ordered[least - 1]:.3f} to {ordered[n - least]:.3f}" if least else f"{n} runs"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measured(chosen.runs)
    print(json.dumps(packed(figures, [])) if chosen.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()

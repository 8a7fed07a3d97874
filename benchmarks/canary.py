"""The cost of a canary to a decision, and how soon it has ended: `python -m benchmarks.canary [--json]`.

One engine of the payments app on a data folder. The canary's bundle is the champion's under another name, so that both
do the same work. Turns with and without a canary come in an order drawn by chance. The processor time of all threads
counts.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.config.load import load_app
from homeostat.engine.assembly import open_engine, shipped_bundle
from homeostat.engine.engine import Engine
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.ports.registry import Lineage
from homeostat.records.changes import Change, ChangeKind

SHARES = (0.0, 0.05, 0.5)
SIZES = {1: 64, 64: 1024}  # Events in a batch -> events of a turn.
GROUPS, ENDS = 12, 20


def events(first: int, count: int) -> list[dict[str, object]]:
    """So many payments, by their numbers."""
    return [
        {
            "event_id": k, "time": 1_780_000_000 + k, "customer": k % 997, "terminal": k % 1499, "amount": 5 + k % 90,
        }
        for k in range(first, first + count)
    ]  # fmt: skip


def copy_of(app: str, folder: Path) -> str:
    """A version of an app's own bundle under another name, in a folder's registry; its name."""
    shipped = shipped_bundle(load_app(app))
    assert shipped is not None
    bundle = load_bundle(shipped)
    save_bundle(replace(bundle, about={**bundle.about, "copied": 1}), folder / "copy")
    with closing(SqliteRegistry(folder / "data", app=app)) as registry:
        return registry.put(folder / "copy", Lineage(app)).version


def decided_by(engine: Engine, version: str, share: float) -> None:
    """Let a canary decide a share from the next batch on; none for 0."""
    body = {"version": version, "share": share} if share else None
    engine.settings.append(Change(ChangeKind.DEPLOY, "canary", body, "bench", "a benchmark"), None)
    assert engine.parts.watcher is not None
    engine.parts.watcher.look()
    engine.change()


def spent(engine: Engine, sent: list[dict[str, object]], size: int) -> float:
    """Processor seconds of deciding these events, of all threads of the process."""
    begun = time.process_time()
    for first in range(0, len(sent), size):
        engine.decide(sent[first : first + size])
    return time.process_time() - begun


def ended_ms(engine: Engine, version: str, first: int) -> list[float]:
    """Milliseconds from the change that ends a canary of all entities to the first decision by the champion."""
    took = []
    for k in range(ENDS):
        decided_by(engine, version, 1.0)
        at = first + 100_000 * k
        assert engine.decide(events(at, 1))[0]["version"].endswith(version)
        change = Change(ChangeKind.DEPLOY, "canary", None, "bench", "a benchmark")
        begun = time.perf_counter()
        engine.settings.append(change, None)
        while True:
            at += 1
            if not engine.decide(events(at, 1))[0]["version"].endswith(version):
                break
        took.append(1000 * (time.perf_counter() - begun))
    return took


def measured(groups: int) -> list[Figure]:
    """The figures."""
    found, rng = [], random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        version = copy_of("payments", folder)
        with open_engine("payments", data=folder / "data") as engine:
            at = 0
            for size, rows in SIZES.items():
                took: dict[float, list[float]] = {share: [] for share in SHARES}
                for group in range(groups + 1):
                    for share in rng.sample(SHARES, len(SHARES)):
                        decided_by(engine, version, share)
                        used = spent(engine, events(at, rows), size)
                        at += rows
                        if group:  # The first one warms up.
                            took[share].append(used)
                none = median(took[0.0])
                what = f"processor time of a decision in batches of {size}"
                found.append(Figure("canary", f"{what}, without a canary", 1e6 * none / rows, "us"))
                for share in SHARES[1:]:
                    text = f"{what}, a canary of {share:.0%} over none, median of {groups} turns"
                    found.append(Figure("canary", text, median(took[share]) / none, "times"))
            ends = ended_ms(engine, version, 10_000_000)
    text = f"from the change that ends a canary to the first decision by the champion, longest of {ENDS}"
    return [*found, Figure("canary", text, max(ends), "ms", "<= 1000")]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=GROUPS)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measured(chosen.groups)
    print(json.dumps(packed(figures, [])) if chosen.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()

"""How long questions about versions take: `python -m benchmarks.models [--json]`.

Inside the process on a data folder with many versions and deployments, and as commands.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.startup import command
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.checks.registry import APP, bundle_in
from homeostat.models.deployments import deployed_at, roles, scope_of
from homeostat.ports.registry import Lineage
from homeostat.records.changes import Change

METRICS = {f"scorer_{k}": {"roc_auc": 0.9 + k / 1000, "average_precision": 0.5, "brier": 0.01} for k in range(4)}


def many_versions(data: Path, count: int) -> None:
    """A registry of so many entries, those after the first without files, which no listing looks at."""
    lineage = Lineage(APP, "1f2e3d4c", "sha256:" + "0" * 64, "2026-01-01", "2026-02-01", 7, metrics=METRICS)
    SqliteRegistry(data).put(bundle_in(data.parent, 0), lineage)
    sql = """INSERT INTO versions (number, version, digest, created_ns, size, lineage)
        SELECT ?, ?, ?, created_ns + ?, size, lineage FROM versions WHERE number = 1"""
    with closing(sqlite3.connect(data / "models.db")) as db:
        db.executemany(sql, [(k, f"{k:012x}", k.to_bytes(32, "big"), k) for k in range(2, count + 1)])
        db.commit()


class Steps:
    """A clock that goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        """The next second."""
        self.now += 10**9
        return self.now

    def monotonic_ns(self) -> int:
        """The same second."""
        return self.now


def many_deployments(data: Path, count: int) -> SqliteSettings:
    """Settings with so many deployments, a second apart."""
    settings = SqliteSettings(data, clock=Steps())
    for k in range(count):
        body = {"version": f"{k % 999 + 2:012x}"}
        settings.append(Change(*scope_of("champion"), body, "bench", f"deployment {k}"), None)
    return settings


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after one that fills caches."""
    taken = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return 1000 * median(taken[1:])


def measured(versions: int, deployments: int, repeats: int) -> list[Figure]:
    """The figures."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        many_versions(data, versions)
        registry, settings = SqliteRegistry(data), many_deployments(data, deployments)
        moments = iter(range(10**9, 10**18, deployments * 10**9 // (repeats + 2)))

        def listed() -> None:
            assert len(registry.versions()) == versions and roles(settings)

        def looked_up() -> None:
            assert registry.get(deployed_at(settings, next(moments)).version or "")

        def asked(*words: str) -> Callable[[], object]:
            call = [*command(), "models", *words, "--data", str(data), "--json"]
            return lambda: subprocess.run(call, check=True, capture_output=True)

        few = max(3, repeats // 10)
        figures = [
            ("at a time", milliseconds(looked_up, repeats), "<= 5"),
            ("list", milliseconds(listed, repeats), "<= 50"),
            ("the command models at", milliseconds(asked("at", "1970-01-01T01:00:00"), few), ""),
            ("the command models list", milliseconds(asked("list"), few), ""),
        ]
        settings.close()
    what = f"{versions:,} versions and {deployments:,} deployments"
    return [Figure("models", f"{name}, {what}", value, "ms", target) for name, value, target in figures]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--deployments", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measured(chosen.versions, chosen.deployments, chosen.repeats)
    print(json.dumps(packed(figures, [])) if chosen.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()

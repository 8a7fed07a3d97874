"""Kills a process at each call that it makes inside the registry, and says what state is left: `... put|delete`.

Each call is killed in a child of its own, made by fork before anything has threads.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.checks.registry import APP, bundle_in
from homeostat.models.bundle import BundleError
from homeostat.ports.registry import Lineage, UnknownVersion

WATCHED = ("adapters/disk/versions.py", "adapters/disk/sqlite/registry.py", "adapters/disk/files.py")


def main() -> None:
    """Print a line of JSON for each state."""
    act, memory = sys.argv[1], Path("/dev/shm")  # A kill leaves what the system has, whatever the disk has.
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for state in states_after(act, Path(folder)):
            print(json.dumps(state))


def states_after(act: str, folder: Path) -> Iterator[dict[str, object]]:
    """The state after each kill."""
    bundles = [bundle_in(folder, k) for k in (1, 2)]
    begun = folder / "begun"
    registry = SqliteRegistry(begun)
    registry.put(bundles[0], Lineage(APP))
    if act == "delete":
        registry.put(bundles[1], Lineage(APP))
    step, ended = 1, False
    while not ended:
        data = folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(begun, data)
        ended = killed_at(step, data, act, bundles[1])
        yield state_of(data, bundles[1])
        step += 1


def killed_at(step: int, data: Path, act: str, bundle: Path) -> bool:
    """Do it in a child that is killed at its call of that number; whether it came to its end before."""
    child = os.fork()
    if child == 0:
        registry, left = SqliteRegistry(data), step

        def count(frame: FrameType, event: str, arg: object) -> None:
            nonlocal left
            if event in ("call", "c_call") and frame.f_code.co_filename.endswith(WATCHED):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        registry.put(bundle, Lineage(APP)) if act == "put" else registry.delete("2", "ann", "no use")
        os._exit(0)
    return os.WIFEXITED(os.waitpid(child, 0)[1])


def state_of(data: Path, bundle: Path) -> dict[str, object]:
    """Whether the second version is there and whole, and what comes of putting it once more."""
    registry = SqliteRegistry(data)
    try:
        there, whole = registry.get("2").deleted_ns is None, bool(registry.fetch("2"))
    except UnknownVersion:
        there, whole = False, False
    except BundleError:
        there, whole = True, False
    put = registry.put(bundle, Lineage(APP))
    left = len([entry for entry in (data / "models").iterdir() if entry.name.startswith(".partial")])
    return {"there": there, "whole": whole, "again": [put.number, bool(registry.fetch("2")), left]}


if __name__ == "__main__":
    main()

"""Processes that get a part of the machine's processor time only, as workers on machines of their own would."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_PERIOD_US = 50_000
_ROOTS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))


class NoShares(Exception):
    """This machine doesn't let us say how much processor time a process gets."""


@contextmanager
def limited(pids: Sequence[int], cores: float) -> Iterator[None]:
    """Give each process so much of a core at the most, for as long as the context lasts. Raises NoShares."""
    groups: list[Path] = []
    try:
        for pid in pids:
            groups.append(_group(pid, cores))
        yield
    finally:
        for group in groups:
            _leave(group)


def _group(pid: int, cores: float) -> Path:
    quota = int(cores * _PERIOD_US)
    for root in _ROOTS:
        group = root / f"homeostat-bench-{pid}"
        try:
            group.mkdir(exist_ok=True)
            if (group / "cpu.cfs_quota_us").exists():  # Version 1.
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
            elif (group / "cpu.max").exists():
                (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
            else:
                group.rmdir()
                continue
            for thread in os.listdir(f"/proc/{pid}/task"):
                name = "tasks" if (group / "tasks").exists() else "cgroup.procs"
                with suppress(ProcessLookupError):  # A thread that has ended meanwhile.
                    (group / name).write_text(thread if name == "tasks" else str(pid))
        except OSError:
            continue
        return group
    raise NoShares("this machine's control groups can't be written: run it as root, outside of a container")


def _leave(group: Path) -> None:
    """Let the processes of a group, and their threads, have what they want again."""
    name = "tasks" if (group / "tasks").exists() else "cgroup.procs"
    for pid in (group / name).read_text().split():
        try:
            (group.parent / name).write_text(pid)
        except OSError:
            continue  # It has ended.
    try:
        group.rmdir()
    except OSError:
        return

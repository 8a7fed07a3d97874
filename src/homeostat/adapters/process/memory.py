"""The memory of this machine, or of the container that this process is in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
_GROUPS = (  # Control groups, version 2 and 1: the limit, what is used, and the name of what can be had back at once.
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "inactive_file"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of memory.

    total : that the machine or the container has
    available : that can be had without pushing others out
    """

    total: int
    available: int


def memory_now(root: Path = _ROOT) -> Memory | None:
    """The memory of now, of the container where that has less; None where the system does not say, as outside of Linux.

    root : where the system's files are
    """
    found = _of_machine(root)
    if found is None:
        return None
    for limit, used, inactive in _GROUPS:
        with suppress(OSError, ValueError):
            total = int((root / limit).read_text())
            taken = int((root / used).read_text())
            with suppress(OSError):
                taken -= _named((root / used).with_name("memory.stat").read_text(), inactive, "")
            return Memory(min(found.total, total), max(0, min(found.available, total - taken)))
    return found


def _of_machine(root: Path) -> Memory | None:
    with suppress(OSError):
        text = (root / "proc/meminfo").read_text()
        total, available = _named(text, "MemTotal", ":"), _named(text, "MemAvailable", ":")
        return Memory(total << 10, available << 10) if total else None
    return None


def _named(text: str, name: str, colon: str) -> int:
    """The number beside a name in lines of such; 0 where there is none."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == name + colon and words[1].isdigit():
            return int(words[1])
    return 0

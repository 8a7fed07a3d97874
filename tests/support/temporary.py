"""The folder for temporary files of a run of the tests: in memory where there is enough, and one for each worker.

On a disk each sync takes milliseconds, and a test that opens a data folder makes dozens. A worker that looks into the
folder for temporary files, as jobs do, sees nothing of the other workers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from homeostat.checks.servers.machine import lives

MEMORY = Path("/dev/shm")
FREE_MIN, AVAILABLE_MIN = 4 << 30, 8 << 30  # Bytes: of the folder's own bound, and of the machine's memory.
_PREFIX = "hmst-"  # Short: the path of a socket may have 107 bytes.


def begin(environ: MutableMapping[str, str]) -> Path:
    """Make the folder of this process, and let it and all that it starts use it."""
    worker = environ.get("PYTEST_XDIST_WORKER")
    if worker:
        folder = Path(tempfile.gettempdir()) / worker
    else:
        base = MEMORY if "TMPDIR" not in environ and has_room(MEMORY) else Path(tempfile.gettempdir())
        remove_abandoned(base)
        folder = base / f"{_PREFIX}{os.getpid()}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # PostgreSQL runs as another user.
    environ["TMPDIR"], tempfile.tempdir = str(folder), None
    return folder


def has_room(memory: Path) -> bool:
    """Whether a folder is there that is in memory, that programs can be run from, and that has room enough."""
    try:
        about = os.statvfs(memory)
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (AttributeError, OSError, StopIteration):
        return False
    runs = os.access(memory, os.W_OK) and not about.f_flag & os.ST_NOEXEC
    return runs and about.f_bavail * about.f_frsize >= FREE_MIN and available >= AVAILABLE_MIN


def remove_abandoned(base: Path) -> None:
    """Remove the folders of runs that are over: a run that failed leaves its own, to be looked at."""
    for folder in base.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX)
        if owner.isdigit() and not lives(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)

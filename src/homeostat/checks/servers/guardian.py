"""Ends what a process started once that process has ended, kill -9 included. Run as a script; imports nothing of ours.

It reads lines from a pipe that only its owner writes to, and acts when the pipe closes::

    +process PID       a server that runs           -process PID      it has ended
    +folder PATH       its folder                   -folder PATH      it is removed
    +volume NAME       Docker: its data             +container NAME   Docker: the server
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

PATIENCE_S = 3.0


def main() -> None:
    """Remember what the lines say, and clear up at the end of them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    left: dict[tuple[str, str], None] = {}
    for line in sys.stdin:
        word, _, name = line.rstrip("\n").partition(" ")
        if word.startswith("+"):
            left[word[1:], name] = None
        else:
            left.pop((word[1:], name), None)
    _end([int(name) for kind, name in left if kind == "process"])
    for kind, name in reversed(left):
        if kind == "folder":
            shutil.rmtree(name, ignore_errors=True)
        elif kind in ("container", "volume"):
            rm = ["rm", "--force"] if kind == "container" else ["volume", "rm", "--force"]
            subprocess.run(["docker", *rm, name], capture_output=True, check=False)


def _end(pids: list[int]) -> None:
    """Ask for a fast stop first: a killed PostgreSQL would leave shared memory behind."""
    for pid in pids:
        _send(pid, signal.SIGINT)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and any(_alive(pid) for pid in pids):
        time.sleep(0.02)
    for pid in pids:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return not os.path.isdir("/proc/self")


if __name__ == "__main__":
    main()

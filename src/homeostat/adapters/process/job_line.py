"""A job's own end of the line to its runner: it reports progress, and ends with all its children when it should.

The runner leaves a socket in `HOMEOSTAT_JOB_FD`. The job writes lines such as `{"share": 0.4, "note": "training"}`. The
runner writes until when the job may go on, in nanoseconds of the clock that all processes of a machine share
(`perf_counter`). A runner that is gone closes the socket. One that hangs, or can't reach its store, sends no later
moment. By then another runner may begin the job, so this process is no more: a timer of the kernel ends it even while
Python is held up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

from homeostat.adapters.process.session import session_gives_way

VARIABLE = "HOMEOSTAT_JOB_FD"
NICENESS = 10  # Decisions come first.
_REPORT_S = 0.2  # Between reports; what lies between them nobody would see.
_LINE_BYTES_MAX = 4096
_EARLY_S = 0.2  # Before the kernel's timer: this ends children too, the timer this process alone.


class JobLine:
    """The line of a process that is a job."""

    def __init__(self, ours: socket.socket, end: Callable[[], None]) -> None:
        """Wait for the first moment, then listen in a thread.

        end : ends this process and its children, at once
        """
        self._socket, self._end, self._rest = ours, end, b""
        self._reported_s = 0.0
        self._ours = os.getpid()
        first_s = self._wait(None)
        Thread(target=self._listen, args=(first_s,), name="job line", daemon=True).start()

    def report(self, note: str, share: float) -> None:
        """Say how far the job is, at most a few times a second. It never waits and never fails."""
        now_s = time.perf_counter()
        if (now_s - self._reported_s < _REPORT_S and share < 1.0) or os.getpid() != self._ours:
            return
        self._reported_s = now_s
        with suppress(OSError):  # The runner is busy or gone; the thread sees the latter.
            self._socket.send(json.dumps({"share": share, "note": note}).encode() + b"\n", socket.MSG_DONTWAIT)

    def _wait(self, wait_s: float | None) -> float:
        """Wait for the next moment, and set the timer to it; returns how long to wait for the one after that."""
        ready = select.poll()
        ready.register(self._socket.fileno(), select.POLLIN)
        if not ready.poll(None if wait_s is None else max(0.0, wait_s) * 1000):
            self._end()
        heard = b""
        with suppress(OSError):
            heard = self._socket.recv(_LINE_BYTES_MAX)
        *lines, self._rest = (self._rest + heard).split(b"\n")
        if not heard:
            self._end()
        if not lines:
            return self._wait(wait_s)
        left_s = int(lines[-1]) / 1e9 - time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, max(0.001, left_s))  # Without a handler it ends the process.
        return left_s - _EARLY_S

    def _listen(self, wait_s: float) -> None:
        while True:
            wait_s = self._wait(wait_s)


_state: dict[str, JobLine] = {}


def begin(environ: Any = os.environ) -> JobLine | None:
    """Become a job, if a runner started this process: nice, and on the line. None where nobody did."""
    given = environ.pop(VARIABLE, "")
    if not given.isdigit():
        return None
    os.set_inheritable(int(given), False)
    _be_nice()
    _state["line"] = line = JobLine(socket.socket(fileno=int(given)), _end_all)
    return line


def current() -> JobLine | None:
    """The line of this process; None where it is no job."""
    return _state.get("line")


def _be_nice() -> None:
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    session_gives_way(NICENESS)


def _end_all() -> None:
    """End this process's group, which its runner made for it."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

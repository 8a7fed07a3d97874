"""A process that works behind all others: it takes the processor and memory that are left, and ends with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

from homeostat.adapters.process.session import session_gives_way

NICENESS = 19
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG


def give_way() -> None:
    """Let all other processes of the machine have processor and memory first, as far as the system can do that."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with suppress(OSError, AttributeError):  # Linux: it runs when a processor would be idle, and hardly ever else.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as order:
        order.write("1000")  # Where memory runs out, it is the first to be killed.
    session_gives_way(NICENESS)


def step_back(niceness: int) -> None:
    """Let decisions have the processor before this process, which still gets a share where others leave none idle."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    session_gives_way(niceness)


def bound_memory(megabytes: int) -> None:
    """Let allocations beyond this fail in this process, instead of taking memory from others.

    Private memory that can be written to counts: libraries and shared files do not.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = megabytes << 20
        bound = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def end_with(parent: int) -> None:
    """Let the system kill this process once the thread that started it is gone, even while Python is held up.

    parent : the process that it belongs to; if it is gone already, this one ends now
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)

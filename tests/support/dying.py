"""Kills a process before or after any statement that it sends to its database."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable

from homeostat.adapters.postgres.connections import BoundedConnection


class Dying:
    """A connection whose process is killed before or after its n-th statement."""

    left = 1 << 30

    def execute(self, *arguments, **more):
        self._step()
        result = super().execute(*arguments, **more)
        self._step()
        return result

    @staticmethod
    def _step():
        if Dying.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        Dying.left -= 1


class DyingSqlite(Dying, sqlite3.Connection):
    pass


class DyingPostgres(Dying, BoundedConnection):
    pass


def killed(work: Callable[[], None], left: int) -> bool:
    """Do it in a child that is killed at a statement of that number; whether it was."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Dying.left = left
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)

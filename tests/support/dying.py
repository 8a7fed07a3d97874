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


def in_a_process(work: Callable[..., object], *arguments: object) -> int:
    """How a process ended that does this work: 0, 1 if it failed, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(work: Callable[[], object], left: int) -> bool:
    """Do it in a child that is killed at a statement of that number; whether it was."""

    def begin() -> None:
        Dying.left = left
        work()

    code = in_a_process(begin)
    assert code <= 0
    return code < 0

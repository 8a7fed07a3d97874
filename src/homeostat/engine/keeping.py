"""Keeps a process running beside this one: starts it, starts it again with growing waits, kills it where it hangs.

A thread of its own does that, once a second. Deciding neither asks it nor waits for it. The process, and the store of
its signs of life, are handed in: see `engine.shadowing` and `engine.maintaining`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from homeostat.adapters.process.clock import SystemClock
from homeostat.errors import HomeostatError
from homeostat.ports import Clock

TURN_S = 1.0
_AGAIN_S, _AGAIN_S_MAX = 1.0, 300.0
_CALM_S = 60.0  # After this nobody need look at why the process before it has ended.
_WELL_S = 600.0  # A process that lived for so long begins again after the shortest wait.


class Running(Protocol):
    """A process beside this one."""

    def ended(self) -> int | None: ...

    def starved_s(self) -> float: ...

    def last_line(self) -> str: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life in a store, with the lease there.

    owner : the process that has the lease, or had it last
    lives : whether it still has it
    at_ns : when it gave the sign; began_ns : when it began
    """

    owner: str
    lives: bool
    at_ns: int
    began_ns: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a process may give no sign of life, and until its first one, when it loads what it needs."""

    hang_s: float
    loading_s: float


@dataclass(slots=True)
class _Run:
    """A process that was started.

    began_ns : on the monotonic clock; wall_ns : by the wall clock
    sign_ns : the time of its last sign of life, by the process's clock
    starved_s : how long it had waited for a processor by then
    """

    process: Running
    began_ns: int
    wall_ns: int
    sign_ns: int = 0
    starved_s: float = 0.0


class ProcessKeeper:
    """See the module. `close` ends it, and the process.

    look : called in each turn, to call `tend`; an error that it raises is the trouble
    start : starts the process
    owner : the name under which the process has its lease
    taken : the exit code of a process whose work another one has, which is no failure; None where there is none
    store : what `look` reads, in words
    said : gets the trouble where the process has failed
    trouble : why the process does not run as it should, in a sentence; empty where all is well
    restarts : how often it failed
    """

    def __init__(
        self, name: str, look: Callable[[], None], start: Callable[[], Running], owner: str, patience: Patience, *,
        store: str, said: Callable[[str], None], clock: Clock | None = None, taken: int | None = None,
    ) -> None:  # fmt: skip
        self._name, self._look, self._start, self._owner, self._patience = name, look, start, owner, patience
        self._store, self._said, self._taken = store, said, taken
        self._clock = SystemClock() if clock is None else clock
        self._run: _Run | None = None
        self._failures = self._next_ns = 0
        self.trouble, self.restarts = "", 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Look after it from now on, in a thread."""
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(target=self._look_after, name=self._name, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the process and the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.end()

    def turn(self) -> None:
        """Look once. It raises nothing: a failure is the trouble."""
        try:
            self._look()
        except HomeostatError as error:
            self.trouble = f"{self._store} can't be read: {error}"
        except Exception as error:  # It must never be in the way of what decides.
            self.trouble = f"it can't be looked after: {type(error).__name__}: {error}"

    def tend(self, sign: Sign | None, may_start: bool = True) -> None:
        """Start the process where none runs and no other has the lease; take in that it has ended, or hangs."""
        if self._run is not None:
            self._watch(self._run, sign)
        elif may_start and self._clock.monotonic_ns() >= self._next_ns and not self._elsewhere(sign):
            self._run = _Run(self._start(), self._clock.monotonic_ns(), self._clock.now_ns())

    def end(self) -> None:
        """End the process, if one runs."""
        if self._run is not None:
            self._run.process.stop()
            self._run = None

    def renew(self) -> None:
        """End the process: the next one is another, which is started at once and has not failed."""
        self.end()
        self.trouble, self._failures, self._next_ns = "", 0, 0

    def behind_s(self, sign_ns: int, behind_s: float, silent_s: float) -> float:
        """How long ago the process had done all that there was, as far as is known.

        sign_ns, behind_s : when it gave its last sign of life, and how far it was behind then
        silent_s : for how long no sign is none to count
        """
        since_s = max(0.0, (self._clock.now_ns() - sign_ns) / 1e9)
        return behind_s + (since_s if since_s > silent_s else 0.0)

    def _look_after(self) -> None:
        while not self._stop.wait(TURN_S):
            self.turn()
        self.end()  # Here: Linux kills the process at once when the thread that started it is gone, see `end_with`.

    def _elsewhere(self, sign: Sign | None) -> bool:
        """Whether another process has the lease."""
        return sign is not None and sign.lives and sign.owner != self._owner

    def _watch(self, run: _Run, sign: Sign | None) -> None:
        code, lived_s = run.process.ended(), (self._clock.monotonic_ns() - run.began_ns) / 1e9
        if code is None and not self._hangs(run, sign, lived_s):
            self.trouble = "" if lived_s > _CALM_S else self.trouble
            return
        line = run.process.last_line()
        run.process.kill()
        self._run = None
        if code is not None and code == self._taken:
            self._next_ns = self._clock.monotonic_ns() + int(_AGAIN_S * 1e9)
            return
        self._failed("it gave no sign of life and was killed" if code is None else ending(code, line), lived_s)

    def _hangs(self, run: _Run, sign: Sign | None, lived_s: float) -> bool:
        """Whether it has given no sign of life for too long.

        The time in which it waited for a processor does not count: others come first.
        """
        own = sign if sign is not None and sign.owner == self._owner else None
        sign_ns = 0 if own is None else own.at_ns
        if sign_ns != run.sign_ns:
            run.sign_ns, run.starved_s = sign_ns, run.process.starved_s()
        silent_s = lived_s if own is None else min(lived_s, (self._clock.now_ns() - sign_ns) / 1e9)
        # An older sign is of the process before it.
        loads = own is None or own.at_ns == own.began_ns or own.at_ns < run.wall_ns
        bound_s = max(self._patience.hang_s, self._patience.loading_s if loads else 0.0)
        return silent_s > bound_s and silent_s - (run.process.starved_s() - run.starved_s) > bound_s

    def _failed(self, why: str, lived_s: float) -> None:
        self._failures = 1 if lived_s > _WELL_S else self._failures + 1
        wait_s = min(_AGAIN_S * 2 ** (self._failures - 1), _AGAIN_S_MAX)
        self._next_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        self.restarts += 1
        self.trouble = f"{why}; it is started again in {wait_s:,.0f} s"
        self._said(self.trouble)


def ending(code: int, line: str) -> str:
    """Why a process has ended, in a few words.

    >>> ending(-9, ""), ending(1, "homeostat: no room")
    ('it was ended by signal 9', 'it ended: homeostat: no room')
    """
    if code < 0:
        return f"it was ended by signal {-code}"
    return f"it ended: {line}" if line else f"it ended with exit code {code}"

"""How long to keep asking a server that fails: jittered back-off, a circuit, and what both are given.

A circuit is closed while the server answers. After `failures` failures in a row it opens: nobody asks the server any
more until a pause is over, and then one caller tries (half open). Its success closes the circuit, its failure makes the
next pause longer. Pauses double up to a bound, and each is drawn at random between half of itself and itself, so that
many workers don't come back at the same moment.

Sources: Nygard (2018), Release It!, 2nd edition, chapter 5; Brooker (2015), Exponential backoff and jitter.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from homeostat.ports import Clock, Unavailable

_Answer = TypeVar("_Answer")
_NS = 1_000_000_000
Chance = Callable[[], float]


class CircuitState(StrEnum):
    """Whether a server is asked. Each name is also a metric label."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How pauses between attempts grow.

    first_s, longest_s : the pause after the first failure, and the longest one, before chance shortens it
    """

    first_s: float = 0.1
    longest_s: float = 5.0

    def pause_s(self, failures: int, chance: float) -> float:
        """The pause after so many failures in a row (1 or more); chance in [0, 1).

        >>> Backoff(0.1, 5.0).pause_s(3, 0.5)
        0.30000000000000004
        """
        longest = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return longest * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """An adapter's rules for a server that fails. Each has its own, called POLICY; docs/operations.md lists them.

    deadline_s : the longest that one attempt waits for the server
    failures : so many in a row, and the server is left alone: a circuit opens, or the caller gets it. None: nobody
        else could do the work, so that it is tried until it is done or the process stops
    backoff : pauses between attempts
    falls_back : what a decision, or its journal, falls back to then, in words
    """

    deadline_s: float
    failures: int | None = 1
    backoff: Backoff = Backoff()
    falls_back: str = "nothing: the caller gets the error"


class Pauses:
    """How long to wait before each further attempt at one thing. For one thread, or under its owner's lock."""

    def __init__(self, backoff: Backoff, chance: Chance | None = None) -> None:
        """No failure yet. `chance` draws from [0, 1); a test may give its own."""
        self._backoff = backoff
        self._chance = random.Random().random if chance is None else chance  # noqa: S311  # Jitter is no secret.
        self._failures = 0

    def next_s(self) -> float:
        """It has failed once more: the pause in seconds until it is worth trying again."""
        self._failures += 1
        return self._backoff.pause_s(self._failures, self._chance())

    def over(self) -> None:
        """It went well: the next pause is a first one again."""
        self._failures = 0


class Circuit:
    """Whether to ask one server now. May be used by several threads."""

    def __init__(self, clock: Clock, policy: RetryPolicy, chance: Chance | None = None) -> None:
        """Closed at first. `chance` draws from [0, 1); a test may give its own.

        Raises ValueError for a policy that never leaves its server alone.
        """
        if policy.failures is None:
            raise ValueError("a circuit needs to know how many failures open it")
        self._clock, self._policy, self._failures_max = clock, policy, policy.failures
        self._chance = random.Random().random if chance is None else chance  # noqa: S311  # Jitter is no secret.
        self._lock = threading.Lock()
        self._failures = 0
        self._again_ns: int | None = None  # While open: when the next attempt may be made.
        self._trying = False
        self._opened = 0
        self.reason = ""

    @property
    def state(self) -> CircuitState:
        """Closed, open, or half open while an attempt is due or under way."""
        with self._lock:
            if self._again_ns is None:
                return CircuitState.CLOSED
            due = self._trying or self._clock.monotonic_ns() >= self._again_ns
            return CircuitState.HALF_OPEN if due else CircuitState.OPEN

    @property
    def opened(self) -> int:
        """How many times the circuit has opened."""
        return self._opened

    def allows(self) -> bool:
        """Whether the caller may ask the server now, and has to tell how that went.

        While the circuit is half open only the first caller may.
        """
        with self._lock:
            if self._again_ns is None:
                return True
            if self._trying or self._clock.monotonic_ns() < self._again_ns:
                return False
            self._trying = True
            return True

    def wait_s(self) -> float:
        """Seconds until it is worth asking `allows` again; 0 when it is now."""
        with self._lock:
            if self._again_ns is None:
                return 0.0
            return max(0.0, (self._again_ns - self._clock.monotonic_ns()) / _NS)

    def succeeded(self) -> None:
        """The server answered."""
        with self._lock:
            self._failures, self._again_ns, self._trying, self.reason = 0, None, False, ""

    def failed(self, reason: str = "") -> None:
        """The server did not answer, or refused for reasons of its own."""
        with self._lock:
            self._failures += 1
            self.reason = reason
            if self._trying or self._again_ns is not None or self._failures >= self._failures_max:
                if self._again_ns is None:
                    self._opened += 1
                pause = self._policy.backoff.pause_s(self._failures, self._chance())
                self._again_ns = self._clock.monotonic_ns() + int(pause * _NS)
            self._trying = False

    def call(self, ask: Callable[[], _Answer]) -> _Answer:
        """The answer of `ask`. Raises Unavailable without asking while the circuit is open.

        Only Unavailable counts as a failure of the server; any other exception is an answer too.
        """
        if not self.allows():
            raise Unavailable(self.reason or "the server failed just now, and is not asked again so soon")
        try:
            answer = ask()
        except Unavailable as error:
            self.failed(str(error))
            raise
        except BaseException:
            self.succeeded()
            raise
        self.succeeded()
        return answer

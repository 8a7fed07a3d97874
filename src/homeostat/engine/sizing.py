"""The size of batches, which follows the load within declared bounds: a worker's, and those that a server gathers.

A larger batch costs less for each event, and its events wait longer. How events are batched changes no decision, so a
size is chosen by what was measured, and each choice is logged and on the record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from homeostat.config.servers import Servers
from homeostat.ports import Clock

LOOK_NS = 10_000_000_000  # Between two choices: some hundred batches of a busy worker.
FULL_SHARE = 0.5  # Of the batches that took all there was room for: then more is wanted.
SLOW_NS = 250_000_000  # The mean time of a full batch from which on a smaller one is better.
SERVED_SLOW_NS = 100_000_000  # The same where clients wait for their answers.


@dataclass(frozen=True, slots=True)
class Choice:
    """Another size, and why.

    of : the size's name on the record
    unit : in words
    """

    before: int
    after: int
    why: str
    of: str = "batch_rows"
    unit: str = "rows"


class Sizing:
    """Chooses the most rows of a batch: doubles while full batches leave events waiting, halves when they are not used.

    low, high : the bounds; one size where they are equal
    slow_ns : the mean time of a full batch from which on a smaller one is better
    rows : the present size; the higher bound at first, as without bounds
    """

    def __init__(self, low: int, high: int, now_ns: int, slow_ns: int = SLOW_NS) -> None:
        self.low, self.high, self.rows, self._slow_ns = low, high, high, slow_ns
        self._began(now_ns)

    def _began(self, now_ns: int) -> None:
        self._since_ns = now_ns
        self._batches = self._full = self._largest = self._full_ns = self._waiting = 0

    def seen(self, rows: int, took_ns: int, waiting: int, now_ns: int) -> Choice | None:
        """Take note of a batch; the next size, where it is to be another one.

        rows : that were decided; took_ns : for that
        waiting : events that wait beside them
        """
        if self.low == self.high:
            return None
        self._batches += 1
        self._largest = max(self._largest, rows)
        if rows >= self.rows:
            self._full += 1
            self._full_ns += took_ns
            self._waiting += waiting > 0
        if now_ns - self._since_ns < LOOK_NS:
            return None
        found = self._chosen()
        self._began(now_ns)
        return found

    def _chosen(self) -> Choice | None:
        each_ns = self._full_ns // self._full if self._full else 0
        facts = f"{self._full:,} of {self._batches:,} batches were full"
        if each_ns >= self._slow_ns:
            return self._to(self.rows // 2, f"{facts}, and took {each_ns / 1e6:.0f} ms each")
        if self._waiting >= FULL_SHARE * self._batches and 2 * each_ns < self._slow_ns:
            return self._to(2 * self.rows, f"{facts}, and left events waiting {self._waiting:,} times")
        if self._largest <= self.rows // 4:
            return self._to(self.rows // 2, f"the largest of {self._batches:,} batches had {self._largest:,} events")
        return None

    def _to(self, rows: int, why: str) -> Choice | None:
        before, self.rows = self.rows, min(max(rows, self.low), self.high)
        return None if self.rows == before else Choice(before, self.rows, why)


class Sizer:
    """The sizing of one process: times its batches, and has each choice logged and put on the record.

    low, high, slow_ns : see `Sizing`
    say : gets a line for each choice
    on_choice : gets each choice, for the record
    """

    def __init__(
        self, low: int, high: int, clock: Clock, say: Callable[[str], None], slow_ns: int = SLOW_NS
    ) -> None:  # fmt: skip
        self._sizing, self._clock, self._say = Sizing(low, high, clock.monotonic_ns(), slow_ns), clock, say
        self.on_choice: Callable[[Choice], None] = lambda choice: None

    @property
    def rows(self) -> int:
        """The most rows of a batch at present."""
        return self._sizing.rows

    def now_ns(self) -> int:
        """When a batch begins, for `seen`."""
        return self._clock.monotonic_ns()

    def seen(self, rows: int, began_ns: int, waiting: int) -> None:
        """Take note of a batch that has just ended.

        rows : that were decided; began_ns : when, by `now_ns`
        waiting : events that wait beside them
        """
        now_ns = self._clock.monotonic_ns()
        choice = self._sizing.seen(rows, now_ns - began_ns, waiting, now_ns)
        if choice is not None:
            self._say(f"batches have {choice.after:,} rows at most, not {choice.before:,}: {choice.why}")
            self.on_choice(choice)


def served_sizer(servers: Servers, clock: Clock) -> Sizer:
    """The sizing of a server's batches, which are of requests that wait together; choices are logged."""
    rows = servers.batch_rows
    return Sizer(servers.batch_rows_min or rows, rows, clock, logging.getLogger("homeostat").info, SERVED_SLOW_NS)

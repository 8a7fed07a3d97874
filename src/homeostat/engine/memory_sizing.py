"""The memory for logs that a process remembers, which follows the memory of the machine within declared bounds.

A process that forgets logs reads them again, which costs processors and the network. So the bound is doubled when it is
reached, while the machine has memory left. It is halved while the machine is short of memory, before the system kills
somebody. The remembered logs change no decision.
"""

from __future__ import annotations

from collections.abc import Callable

from homeostat.adapters.process.memory import Memory
from homeostat.config.servers import Servers
from homeostat.engine.sizing import Choice
from homeostat.ports import Clock

LOOK_NS = 10_000_000_000  # Between two looks at the machine's memory.
RESERVE = 0.1  # Of the machine's or container's memory, which stays available: files in memory, and other programs.
_MB = 1 << 20
MEMORY = "memory_mb"
"""The name of this size on the record."""


class MemorySizer:
    """Chooses how many bytes of logs a process remembers.

    low, high : the bounds in bytes; one size where they are equal. The lower one comes first
    memory : the memory of now; where it is None, there is room up to the higher bound
    say : gets a line for each choice
    bound : the present bound in bytes
    remembered : bytes of logs after the last batch
    forgotten : how often all was forgotten
    on_choice : gets each choice, for the record
    """

    def __init__(
        self, low: int, high: int, clock: Clock, memory: Callable[[], Memory | None], say: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._low, self._high, self._clock, self._memory, self._say = low, high, clock, memory, say
        self.bound = low
        self.remembered = self.forgotten = 0
        self.on_choice: Callable[[Choice], None] = lambda choice: None
        self._looked_ns = clock.monotonic_ns()

    def holds(self, nbytes: int) -> bool:
        """Whether so many bytes of logs may be remembered on; otherwise they are forgotten now.

        Called after each batch. Looks at the machine's memory every ten seconds, and when the bound is reached.
        """
        self.remembered = nbytes
        if self._low < self._high:
            if nbytes > self.bound:
                self._full()
            elif self.bound > self._low and self._clock.monotonic_ns() - self._looked_ns >= LOOK_NS:
                self._look()
        if nbytes <= self.bound:
            return True
        self.remembered = 0
        self.forgotten += 1
        return False

    def _full(self) -> None:
        found, wanted = self._memory(), min(2 * self.bound, self._high)
        if wanted == self.bound:
            return
        if found is None:
            self._to(wanted, "it was full, and the system does not say how much memory is left")
        elif found.available - (wanted - self.bound) >= RESERVE * found.total:
            self._to(wanted, f"it was full, and {_text(found.available)} of {_text(found.total)} were available")

    def _look(self) -> None:
        self._looked_ns = self._clock.monotonic_ns()
        found = self._memory()
        if found is not None and found.available < RESERVE * found.total:
            short = f"only {_text(found.available)} of {_text(found.total)} were available"
            self._to(max(self.bound // 2, self._low), f"{short}, less than {RESERVE:.0%}")

    def _to(self, bound: int, why: str) -> None:
        choice = Choice(self.bound // _MB, bound // _MB, why, MEMORY, "MB")
        self.bound, self._looked_ns = bound, self._clock.monotonic_ns()
        self._say(f"logs have {choice.after:,} MB of memory at most, not {choice.before:,}: {why}")
        self.on_choice(choice)


def memory_sizer(
    servers: Servers, clock: Clock, memory: Callable[[], Memory | None], say: Callable[[str], None]
) -> MemorySizer:  # fmt: skip
    """The sizing of the memory for logs by what `servers` declares."""
    high = servers.memory_mb * _MB
    return MemorySizer(high if servers.memory_mb_min is None else servers.memory_mb_min * _MB, high, clock, memory, say)


def _text(nbytes: int) -> str:
    return f"{nbytes / _MB:,.0f} MB"

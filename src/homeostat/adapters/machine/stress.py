"""Load that a process puts upon itself: a busy processor, memory that is held, and requests that wait."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

KINDS = ("cpu", "memory", "latency")
SECONDS_MAX = 600.0
AMOUNT_MAX = {"cpu": 4.0, "memory": 1024.0, "latency": 10_000.0}
"""Threads, MB and ms."""
_PAGE = 4096
_SPIN = 20_000


@dataclass(frozen=True, slots=True)
class Load:
    """One load.

    amount : threads that never rest for cpu, MB for memory, ms that each request waits for latency
    """

    kind: str
    amount: float
    seconds: float


class BadLoad(ValueError):
    """A load that is not asked for rightly; the text says why."""


def load_of(given: object) -> Load:
    """A load as a request says it: kind, amount, seconds. Raises BadLoad.

    >>> load_of({"kind": "cpu", "amount": 1, "seconds": 2})
    Load(kind='cpu', amount=1.0, seconds=2.0)
    """
    if not isinstance(given, dict) or not set(given) <= {"kind", "amount", "seconds"}:
        raise BadLoad('send an object such as {"kind": "cpu", "amount": 1, "seconds": 20}')
    kind = given.get("kind")
    if kind not in KINDS:
        raise BadLoad(f"kind is one of {', '.join(KINDS)}")
    amount, seconds = given.get("amount", 1), given.get("seconds", 10)
    for name, value, most in (("amount", amount, AMOUNT_MAX[kind]), ("seconds", seconds, SECONDS_MAX)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            raise BadLoad(f"{name} is a number above 0, {most:g} at most")
    return Load(kind, float(amount), float(seconds))


class Stress:
    """The loads that are on, each for its time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: list[Load] = []
        self._ended = threading.Event()

    def begin(self, load: Load) -> None:
        """Put a load on; it ends by itself."""
        many = max(1, round(load.amount)) if load.kind == "cpu" else 1
        with self._lock:
            self._on.append(load)
        for number in range(many):
            work = threading.Thread(target=self._run, args=(load, number == 0), name=f"stress {load.kind}", daemon=True)
            work.start()

    def end(self) -> None:
        """End all loads."""
        self._ended.set()

    def amount(self, kind: str) -> float:
        """The sum of the loads of a kind that are on."""
        with self._lock:
            return sum(load.amount for load in self._on if load.kind == kind)

    def wait(self) -> None:
        """Wait as long as each request does."""
        self._ended.wait(self.amount("latency") / 1000)

    def _run(self, load: Load, first: bool) -> None:
        end = time.monotonic() + load.seconds
        held = bytearray()
        try:
            if load.kind == "cpu":
                while time.monotonic() < end and not self._ended.is_set():
                    sum(range(_SPIN))
                return
            if load.kind == "memory":
                held = bytearray(int(load.amount * 1e6))
                held[::_PAGE] = b"\1" * len(range(0, len(held), _PAGE))  # Memory counts once it is written to.
            self._ended.wait(max(0.0, end - time.monotonic()))
        finally:
            del held
            if first:
                with self._lock:
                    self._on.remove(load)

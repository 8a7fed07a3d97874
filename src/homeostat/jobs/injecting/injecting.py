"""Sends events when they are due, whatever becomes of those before: an open loop."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np

from homeostat.config.tree import App
from homeostat.ports import Clock
from homeostat.ports.streams import Outgoing

_TICK_S = 0.02
_TOGETHER = 500  # Events of one request or transaction.
_WAITING_MAX = 200_000  # Events that may wait for the target; more are given up as they come due.
_DRAIN_S = 10.0


class Target(Protocol):
    """The place that events are sent to. Threads call it, as many at once as `threads` says."""

    threads: int

    def send(self, messages: list[Outgoing]) -> Counter[str]:
        """Send events; how many were not taken, by reason. Raises nothing."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(slots=True)
class Injected:
    """The outcome. sent : events handed over in time; ok : those that were taken; bad : why the others were not."""

    sent: int = 0
    ok: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "sent": self.sent, "ok": self.ok, "failed": sum(self.bad.values()), "failures": dict(self.bad),
            "seconds": round(self.seconds, 3),
        }  # fmt: skip


class Injector:
    """Gives events an id and the time at which they are due, and sends them at a rate.

    rate : events a second; seconds : for how long, None until `stop`
    """

    def __init__(
        self, app: App, events: Iterator[dict[str, Any]], target: Target, clock: Clock, rate: float,
        seconds: float | None,
    ) -> None:  # fmt: skip
        self._events, self._target, self._clock = events, target, clock
        self._rate, self._seconds = rate, seconds
        self._id, self._time = app.events.id.name or "event_id", app.events.time.name or "time"
        plain = ((name, *one.aliases) for name, one in app.events.entities.items() if one.of is None)
        self._keys = next(plain, ())  # The names under which an event may hold its first entity.
        self._run, self._due = f"{clock.now_ns():x}", 0
        self._stopping, self._counted, self._waiting = threading.Event(), threading.Lock(), 0
        self.injected = Injected()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Send no more events, and end once those that were sent are answered. Any thread may call it."""
        self._stopping.set()

    def run(self, progress: Callable[[float], None] = lambda share: None) -> Injected:
        """Send until the time is over, or `stop` was called."""
        began_ns = self._clock.monotonic_ns()
        pool = ThreadPoolExecutor(self._target.threads, "inject")
        try:
            while not self._stopping.is_set():
                passed_s = (self._clock.monotonic_ns() - began_ns) / 1e9
                ended = self._seconds is not None and passed_s >= self._seconds
                until_s = passed_s if not ended or self._seconds is None else self._seconds
                self._hand_over(pool, round(self._rate * until_s))
                if ended:
                    break
                progress(0.0 if self._seconds is None else passed_s / self._seconds)
                self._stopping.wait(_TICK_S)
            self._drain(began_ns)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._target.close()
        return self.injected

    def _hand_over(self, pool: ThreadPoolExecutor, due: int) -> None:
        """Send the events that are due by now."""
        while self._due < due:
            count = min(_TOGETHER, due - self._due)
            messages = [self._message(next(self._events)) for _ in range(count)]
            with self._counted:
                self.injected.sent += count
                full = self._waiting + count > _WAITING_MAX
                if full:
                    self.injected.bad["too many waited"] += count
                else:
                    self._waiting += count
            if not full:
                pool.submit(self._target.send, messages).add_done_callback(partial(self._done, count))

    def _message(self, event: dict[str, Any]) -> Outgoing:
        self._due += 1
        key = next((event[name] for name in self._keys if name in event), None)
        event[self._id] = f"{self._run}-{self._due}"
        event[self._time] = f"{np.datetime64(self._clock.now_ns(), 'ns')}Z"
        return Outgoing(msgspec.json.encode(event), None if key is None else str(key).encode())

    def _done(self, count: int, done: Future[Counter[str]]) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            bad = Counter({type(error).__name__ if error else "not answered": count})
        else:
            bad = done.result()
        with self._counted:
            self._waiting -= count
            self.injected.bad += bad
            self.injected.ok += count - sum(bad.values())

    def _drain(self, began_ns: int) -> None:
        """Wait for the last answers, and count what has none then."""
        until_ns = self._clock.monotonic_ns() + round(_DRAIN_S * 1e9)
        idle = threading.Event()
        while self._waiting and self._clock.monotonic_ns() < until_ns:
            idle.wait(_TICK_S)
        self.injected.seconds = (self._clock.monotonic_ns() - began_ns) / 1e9

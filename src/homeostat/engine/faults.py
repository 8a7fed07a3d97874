"""Faults of ours that a message brings about: what is kept and logged of them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from hashlib import blake2b

import msgspec

from homeostat.ports import Clock

SAY_AGAIN_NS = 60_000_000_000  # A fault that goes on is logged once a minute, with how often it occurred.
_KEPT = 1024
_log = logging.getLogger("homeostat")


class Reports:
    """Puts faults into the log: each place in the code at once, and then now and then, however often it fails."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, tuple[int, int]] = {}  # When it was logged, and how many have come since.

    def fault(self, stage: str, error: BaseException) -> None:
        """Report a fault, with its traceback."""
        key, now_ns = _place(error), self._clock.monotonic_ns()
        at_ns, more = self._said.get(key, (-SAY_AGAIN_NS, 0))
        if now_ns - at_ns < SAY_AGAIN_NS:
            self._said[key] = at_ns, more + 1
            return
        self._said[key] = now_ns, 0
        often = f", and {more} times since it was last logged" if more else ""
        _log.error("an unexpected fault in %s%s", stage, often, exc_info=error)


def _place(error: BaseException) -> str:
    """The kind of a fault and the line of code that raised it."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = "" if at is None else f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
    return f"{type(error).__name__} {where}"


class Spoilt:
    """The last messages that broke the loop off, by their digests: another attempt would cost a recovery each time."""

    def __init__(self) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._digests)

    def add(self, item: object) -> None:
        """Remember a message."""
        self._digests[_digest(item)] = None
        if len(self._digests) > _KEPT:
            self._digests.popitem(last=False)

    def holds(self, item: object) -> bool:
        """Whether it is one of them."""
        return _digest(item) in self._digests


def shown(item: object) -> str:
    """A message as text, for a dead letter."""
    try:
        return msgspec.json.encode(item).decode("utf-8", "replace")
    except Exception:  # It need not have come as JSON, and may be anything.
        return f"a value of type {type(item).__name__}"


def _digest(item: object) -> bytes:
    return blake2b(shown(item).encode("utf-8", "replace"), digest_size=16).digest()

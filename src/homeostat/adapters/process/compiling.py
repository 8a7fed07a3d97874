"""Says while kernels are compiled: a machine's first start takes a minute or more before anything is decided.

It says for how long, and how long that usually takes. A percentage misled: which kernels a command needs shows only as
it comes to them, two processes compile side by side, and so the work ended at any figure between 40 and 90 %.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from homeostat.adapters.process.clock import SystemClock
from homeostat.records import compiling

Show = Callable[[str, bool], None]
TEXT = "compiling kernels, once on this machine"
USUALLY = "usually 20 s to 2 minutes"  # Idle cores, or ones that others keep busy: two of each were measured.
AFTER_S = 3.0  # A shorter time is not worth a word.
EVERY_S = 5.0
LATER = 1.5  # Lines come less and less often: each after so many times the time of the last one.
LONG_S = 120.0
_LOOK_S = 0.25


class Watch:
    """How long compiling took so far. `look` is called again and again, with the time in seconds."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._compiled, self._last_s = False, 0.0

    def look(self, now_s: float) -> bool:
        """Whether something is being compiled."""
        compiles = bool(compiling.now())
        if compiles and self._compiled:
            self.spent_s += now_s - self._last_s
        self._compiled, self._last_s = compiles, now_s
        return compiles

    @property
    def text(self) -> str:
        """The sentence for people."""
        slow = "; other work keeps the cores busy, so it takes longer" if self.spent_s > LONG_S else ""
        return f"{TEXT}: {self.spent_s:.0f} s so far, {USUALLY}{slow}"


@contextmanager
def said(say: Callable[[str], None], show: Show | None = None) -> Iterator[None]:
    """Say every few seconds that kernels are compiled, and for how long, while the block runs and they are.

    show : is given the same four times a second with True, and False once nothing is compiled, in place of `say`
    """
    ended = threading.Event()
    thread = threading.Thread(target=_look, args=(ended, say, show), name="compiling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _look(ended: threading.Event, say: Callable[[str], None], show: Show | None) -> None:
    watch, clock, next_s, shows = Watch(), SystemClock(), AFTER_S, False
    while not ended.wait(_LOOK_S):
        compiles = watch.look(clock.monotonic_ns() / 1e9)
        if show is not None and (shows or compiles) and watch.spent_s >= AFTER_S:
            show(watch.text, compiles)
            shows = compiles
        elif show is None and compiles and watch.spent_s >= next_s:
            say(watch.text)
            next_s = max(watch.spent_s + EVERY_S, watch.spent_s * LATER)

"""Says what is wrong at present: at once, again now and then while it lasts, and once it is over."""

from __future__ import annotations

from collections.abc import Callable

from homeostat.ports import Clock

SAY_AGAIN_S = 60.0  # docs/operations.md names it.
_REWORDED_S = 10.0  # A trouble whose wording changes all the time is not a line each time.


class Standing:
    """The state of one thing that may be wrong, as the log has it. Not for several threads at once.

    say : gets the lines
    well : the line once nothing is wrong any more
    again_s : after so many seconds it is logged again
    """

    def __init__(
        self, say: Callable[[str], None], clock: Clock, well: str = "all is well again", again_s: float = SAY_AGAIN_S
    ) -> None:
        self._say, self._clock, self._well, self._again_s = say, clock, well, again_s
        self._trouble = ""
        self._since_ns = self._said_ns = 0

    def now(self, trouble: str) -> None:
        """Take note of what is wrong now; an empty text where nothing is. Called as often as one likes."""
        if not trouble and not self._trouble:
            return
        now_ns = self._clock.monotonic_ns()
        if not trouble:
            self._say(f"{self._well}, after {_lasted(now_ns - self._since_ns)}")
        elif not self._trouble:
            self._since_ns = self._said_ns = now_ns
            self._say(trouble)
        else:
            quiet_s = (now_ns - self._said_ns) / 1e9
            if quiet_s >= self._again_s or (trouble != self._trouble and quiet_s >= _REWORDED_S):
                self._said_ns = now_ns
                self._say(f"{trouble} (for {_lasted(now_ns - self._since_ns)} now)")
            elif trouble != self._trouble:
                return  # The next line that is due shows it.
        self._trouble = trouble


def _lasted(ns: int) -> str:
    """How long something took, for people.

    >>> _lasted(300_000_000), _lasted(75 * 10**9), _lasted(7_300 * 10**9)
    ('0 s', '75 s', '2 h')
    """
    seconds = ns // 10**9
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"

"""When Python's collector looks for garbage: not at a start or an end, and never among objects that stay.

It walks through all objects that may be part of a cycle. A start makes 200,000 of them, nearly all of which stay.
"""

from __future__ import annotations

import atexit
import gc

from homeostat.records import compiling

_AT_START = 500_000  # Objects before the first collection: short commands end before, and save 0.15 s of 1.3 s.
_YOUNG = 50_000  # Objects between collections while serving: a request or a batch makes few in cycles.

_before: list[tuple[int, int, int]] = []  # The thresholds from before the start, while it lasts.


def collect_late() -> None:
    """Let the first collection wait until the start is over; from then on the collector works as before.

    A process that makes few objects ends without one: Python's last walk, which takes 0.1 s, finds all of them frozen.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    if not _before and gc.isenabled():
        _before.append(gc.get_threshold())
        gc.callbacks.append(_at_collection)
        gc.set_threshold(_AT_START, *_before[0][1:])


def _at_collection(phase: str, info: dict[str, int]) -> None:
    _end_start()


def _end_start() -> None:
    """Set the thresholds as they were before `collect_late`."""
    if _before:
        gc.set_threshold(*_before.pop())
        gc.callbacks.remove(_at_collection)


def freeze_objects() -> None:
    """Take the objects of a start out of the collector's sight, once in a process.

    All of them live as long as the process, and walking through them in the middle of a decision takes 0.1 s.
    Only once, so that the cycles of engines that come and go are still collected. In a process of this package
    that has compiled nothing, a start leaves a megabyte of garbage, which is not worth a walk.
    """
    if gc.get_freeze_count() == 0:
        if not _before or compiling.done() > 0:
            gc.collect()
        gc.freeze()  # Before the thresholds are low again, else the next object that is made starts a walk.
        _end_start()
        atexit.register(gc.unfreeze)  # Libraries that count their objects at the end find them gone, as ever.


def collect_seldom() -> None:
    """From now on this process serves: its objects stay, and collections must not hold up requests or batches."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)

"""How soon a thread that computes lets another one have its turn."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHORT_S = 0.0005
_LOCK = threading.Lock()
_running: list[float] = []  # The interval before the first block that runs, once for each of them.


@contextmanager
def short_turns() -> Iterator[None]:
    """While the block runs, a thread that computes gives way after half a millisecond, and not after Python's five.

    It is for long work beside requests: each of them waits for the interpreter several times. Blocks may overlap.
    """
    with _LOCK:
        before = _running[0] if _running else sys.getswitchinterval()
        _running.append(before)
        sys.setswitchinterval(min(SHORT_S, before))
    try:
        yield
    finally:
        with _LOCK:
            _running.pop()
            if not _running:
                sys.setswitchinterval(before)

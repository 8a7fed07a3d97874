"""The machine's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time, and the monotonic timer."""

    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.perf_counter_ns)


def thread_seconds() -> float:
    """The processor time of this thread so far, in seconds."""
    return time.thread_time()

"""The load of this machine."""

from __future__ import annotations

import os


def load_each() -> float:
    """The mean number of threads that ran or waited in the last minute, for each processor of this machine."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)

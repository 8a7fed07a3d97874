"""Waiting, in what waits for others."""

from __future__ import annotations

import time


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)

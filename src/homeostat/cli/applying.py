"""Waiting until each process of an app has applied a change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.engine.applying import Waited
    from homeostat.ports.settings import Settings
    from homeostat.records.changes import Change

_LOOK_S = 0.02


def wait_applied(settings: Settings, change: Change, timeout_s: float) -> Waited:
    """Look until every process that lives has applied a change, says that it can't, or the time is over."""
    from homeostat.engine.applying import taken_up

    until_s = time.monotonic() + timeout_s
    while True:
        waited, over = taken_up(change, settings.processes(), time.time_ns())
        if over or time.monotonic() >= until_s:
            return waited
        time.sleep(_LOOK_S)

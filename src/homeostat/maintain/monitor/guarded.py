"""A monitor of another package, held apart: whatever it does, the others go on."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Monitor, Tick
from homeostat.records.arrays import State
from homeostat.records.signals import Measured, Series


class GuardedMonitor:
    """Asks a monitor, and answers "not measured" where it fails or answers something else than it should.

    trouble : why it could not be asked the last time, empty where it could
    failures : how often it failed
    """

    def __init__(self, name: str, inner: Monitor) -> None:
        self.name, self.inner = name, inner
        self.series: tuple[Series, ...] = tuple(inner.series)
        self.trouble = ""
        self.failures = 0

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`."""
        try:
            found = self._sound(self.inner.measure(tick))
        except Exception as error:
            self.failures += 1
            self.trouble = f"the monitor {self.name} failed with {type(error).__name__}: {error}"
            k = len(self.series)
            return Measured(np.full(k, np.nan), np.zeros(k), np.full(k, np.nan))
        self.trouble = ""
        return found

    def _sound(self, found: Measured) -> Measured:
        columns = [np.array(column, np.float64) for column in (found.value, found.n, found.spread)]
        for column in columns:
            if column.shape != (len(self.series),):
                raise ValueError(f"{len(self.series)} series have values of the shape {column.shape}")
        value, n, spread = columns
        unknown = ~np.isfinite(value) | ~(n > 0)
        value[unknown], n[unknown] = np.nan, 0.0
        return Measured(value, n, spread)

    def notes(self, series: int) -> dict[str, object]:
        """See `Monitor`."""
        try:
            return dict(self.inner.notes(series))
        except Exception as error:
            self.trouble = f"the notes of the monitor {self.name} failed with {type(error).__name__}: {error}"
            return {}

    def state(self) -> State:
        """See `Monitor`; nothing where it fails."""
        try:
            return dict(self.inner.state())
        except Exception as error:
            self.trouble = f"the state of the monitor {self.name} failed with {type(error).__name__}: {error}"
            return {}

    def restore(self, state: State) -> None:
        """See `Monitor`; it begins again where it fails."""
        try:
            self.inner.restore(state)
        except Exception as error:
            self.trouble = f"the monitor {self.name} begins again: {type(error).__name__}: {error}"

"""The time that a batch takes for work that is due at it without being its own: learning, joining, late outcomes."""

from __future__ import annotations

from types import TracebackType

from homeostat.decide.meters import Meters, StageTimes


class DueWork:
    """See the module. `timed` gives a context manager for one piece of such work.

    spent_ns : by all pieces since this was last set to 0
    """

    def __init__(self, meters: Meters) -> None:
        self.spent_ns = 0
        self._meters = meters
        self._times = StageTimes()
        self._before_ns = 0

    def timed(self, stage: str) -> DueWork:
        """Time the work as that stage's too."""
        self._times = self._meters.timed(stage)
        return self

    def __enter__(self) -> None:
        self._before_ns = self._times.total_ns
        self._times.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._times.__exit__(kind, error, at)
        self.spent_ns += self._times.total_ns - self._before_ns

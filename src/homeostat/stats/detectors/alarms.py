"""An alarm, and the error of values or options that no detector takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from homeostat.errors import HomeostatError

Change: TypeAlias = Literal["rise", "fall", "wider", "narrower"]


class DetectionError(HomeostatError, ValueError):
    """Values or options that no detector takes; the text says which, and what to do."""

    why = "a detector takes finite numbers; errors lie from 0 to 1"
    remedy = "Correct the row or the option that the text names"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A change that was found.

    row : at which it was found, counted from 0 at the detector's first value
    since : the row at which it most likely began
    before, after : the mean of the values before `since` and from there to `row`; of a change of spread, their
        standard deviations
    change : the mean rises or falls, or values lie wider or narrower
    """

    row: int
    since: int
    before: float
    after: float
    change: Change

    def as_dict(self) -> dict[str, Any]:
        """Its fields, as JSON holds them."""
        return asdict(self)

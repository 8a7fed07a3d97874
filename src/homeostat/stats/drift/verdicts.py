"""The verdict on a column: a shift counts if it is beyond chance and at least of a stated size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from homeostat.stats.drift.distance import Distance

SIZE = 0.05  # 5 of 100 rows lie elsewhere: for normal values a shift of the mean by an eighth of a standard deviation.
_OWN = 3.0  # How many times a reference's own variation a shift must exceed.


class DriftVerdict(StrEnum):
    """A verdict on a column. Too few rows never say that nothing has changed."""

    DRIFT = "drift"
    NO_DRIFT = "no drift"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, the size that the distance had to reach, and a sentence."""

    verdict: DriftVerdict
    threshold: float
    why: str


def judge(found: Distance, own: float = 0.0, size: float = SIZE) -> Judged:
    """The verdict on a distance.

    own : how far the reference's own blocks lie from the whole of it, beyond chance
    size : the least distance that matters
    """
    threshold = max(size, _OWN * own)
    if found.n == 0 or found.reference_n == 0:
        return Judged(DriftVerdict.NOT_ENOUGH_DATA, threshold, "one of the tables has no value")
    if threshold >= 1.0:
        why = f"parts of the reference differ by {own:.0%}: as in a counter or a time, nothing is usual"
        return Judged(DriftVerdict.NOT_ENOUGH_DATA, 1.0, why)
    if found.size >= threshold and found.low > 0.0:
        return Judged(DriftVerdict.DRIFT, threshold, f"{found.size:.1%} of the rows lie elsewhere")
    if found.high - found.size > size:
        return Judged(DriftVerdict.NOT_ENOUGH_DATA, threshold, f"so few rows don't show a shift of {size:.0%}")
    if found.low > 0.0 and found.size >= size:
        why = f"{found.size:.1%} of the rows lie elsewhere, but parts of the reference differ by {own:.1%} already"
        return Judged(DriftVerdict.NO_DRIFT, threshold, why)
    if found.size >= size:
        why = f"{found.size:.1%} of the rows lie elsewhere, which chance explains in so few rows"
        return Judged(DriftVerdict.NOT_ENOUGH_DATA, threshold, why)
    return Judged(
        DriftVerdict.NO_DRIFT, threshold, f"{found.size:.1%} of the rows lie elsewhere, less than {threshold:.1%}"
    )

"""Folds over time: learn with what was known at a moment, be judged on the time after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.models.maturity import Maturity, matured
from homeostat.models.training_set import NothingToLearn
from homeostat.records.arrays import Bytes, Float, Int

_DAY_NS = 86_400 * 10**9
WEEK_NS = 7 * _DAY_NS
_UNITS_NS = (3600 * 10**9, 60 * 10**9, 10**9)


@dataclass(frozen=True, slots=True)
class Span:
    """One fold: models learn at `start_ns`, and are judged on the events from then until `end_ns`."""

    start_ns: int
    end_ns: int


def spans(first_ns: int, until_ns: int, age_ns: int, folds: int, length_ns: int | None) -> list[Span]:
    """The folds, the oldest first. The last one ends when its youngest event is of age at `until_ns`.

    first_ns : the first event
    age_ns : when both kinds of outcomes are known: at `start_ns` of a fold, younger events teach nothing
    length_ns : of each fold; a week, or less where half of the history would not hold the folds, when None
    Folds before which less than half of a fold's length can teach are left out.
    Raises NothingToLearn where none is left.

    >>> [span.start_ns for span in spans(0, 100, age_ns=10, folds=2, length_ns=20)]
    [50, 70]
    """
    end_ns = until_ns - age_ns
    if length_ns is None:
        length_ns = min(WEEK_NS, (end_ns - age_ns - first_ns) // (2 * folds))
        length_ns -= length_ns % next((unit for unit in _UNITS_NS if length_ns >= unit), 1)
    found = [Span(end_ns - k * length_ns, end_ns - (k - 1) * length_ns) for k in range(folds, 0, -1)]
    found = [span for span in found if 2 * (span.start_ns - age_ns - first_ns) >= length_ns > 0]
    if not found:
        days, age, least = (
            max(0, ns) / _DAY_NS for ns in (until_ns - first_ns, age_ns, 2 * age_ns + max(0, length_ns) * 1.5)
        )
        raise NothingToLearn(
            f"the history of {days:.1f} days is too short to learn from and be judged on; it takes more than "
            f"{least:.1f} days: before each fold, and once more at the end, outcomes need {age:.1f} days to be known "
            "(outcomes.maturity). Give earlier events, or a shorter fold (tune.fold)"
        )
    return found


@dataclass(frozen=True, slots=True)
class History:
    """`n` events with all that became known of them, in order of arrival.

    x : (n, features) as the windows serve them
    time_ns, id_code, groups : (n,)
    label, delay_ns : (n,) labels that came along with their events, which count as known after the delay
    known_row, known_ns, known_label : (m,) outcomes that came apart: of which row, when, and which; by row and time
    apart : whether outcomes came apart
    censored : (n,) whether an event's outcome could not be seen
    positive, negative : (n, actions) costs by outcome; None without costs
    people : see `TrainingSet`
    """

    names: tuple[str, ...]
    x: Float
    time_ns: Int
    id_code: Int
    groups: Int
    label: Float
    delay_ns: int
    known_row: Int
    known_ns: Int
    known_label: Float
    apart: bool
    censored: Bytes
    positive: Float | None
    negative: Float | None
    people: Float | None = None

    def __len__(self) -> int:
        return len(self.time_ns)

    def known_at(self, moment_ns: int) -> Float:
        """(n,) the label of each event as known at a moment; NaN where nothing is."""
        if not self.apart:
            return np.where(self.time_ns + self.delay_ns <= moment_ns, self.label, np.nan)
        found = np.full(len(self), np.nan)
        by_then = self.known_ns <= moment_ns
        found[self.known_row[by_then]] = self.known_label[by_then]  # The last of an event's stays.
        return found

    def teaching(self, from_ns: int | None, moment_ns: int, maturity: Maturity) -> tuple[Int, Float]:
        """The rows that teach at a moment, and their labels.

        from_ns : events before then do not count; None: all count
        """
        asked = self.time_ns < moment_ns
        if from_ns is not None:
            asked &= self.time_ns >= from_ns
        rows = np.flatnonzero(asked)
        found = matured(
            self.time_ns[rows], self.known_at(moment_ns)[rows], moment_ns, maturity, self.censored[rows].astype(bool)
        )
        taught = ~np.isnan(found.label)
        return rows[taught], found.label[taught]

    def judging(self, span: Span, until_ns: int, maturity: Maturity) -> tuple[Int, Float]:
        """The rows that a fold is judged on, and their labels as known at `until_ns`."""
        rows, label = self.teaching(span.start_ns, until_ns, maturity)
        inside = self.time_ns[rows] < span.end_ns
        return rows[inside], label[inside]

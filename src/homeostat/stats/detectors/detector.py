"""A detector of changes in a stream of numbers, one call a value or one call an array, with the same alarms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from homeostat.records.arrays import Float
from homeostat.stats.detectors.alarms import Alarm, DetectionError
from homeostat.stats.detectors.moves import Moves
from homeostat.stats.detectors.rises import Rises

Kind: TypeAlias = Literal["error", "number"]
FALSE_ALARMS_PER = 100_000.0
_PER_MIN, _PER_MAX = 100.0, 1e15
_LOOKED_AT = 64  # Values that show whether a stream is one of errors.
_CHUNK = 65_536
_METHODS: dict[str, Callable[[float], Rises | Moves]] = {"error": Rises, "number": Moves}


class Detector:
    """Finds changes in one stream, and starts afresh after each.

    kind : `error` finds rises of the mean of values from 0 to 1, `number` changes of mean and spread of any numbers
    false_alarms_per : the mean number of values until a false alarm, while nothing changes

    NaN is a missing value: it has a row and is passed over. Memory is bounded.

    >>> detector = Detector("error", false_alarms_per=1000)
    >>> [alarm.row for alarm in detector.add_all([0.0] * 50 + [1.0] * 20)]
    [53]
    >>> detector.add(1.0) is None, detector.rows
    (True, 71)
    """

    def __init__(self, kind: Kind = "error", *, false_alarms_per: float = FALSE_ALARMS_PER) -> None:
        if kind not in _METHODS:
            raise DetectionError(f"{kind!r} is no kind of values: choose error or number")
        if not _PER_MIN <= false_alarms_per <= _PER_MAX:
            raise DetectionError(
                f"one false alarm per {false_alarms_per:g} values can't be held: "
                f"choose from {_PER_MIN:g} to {_PER_MAX:g}"
            )
        self.kind: Kind = kind
        self.rows = 0
        self._method = _METHODS[kind](float(false_alarms_per))
        self._one = np.zeros(1)

    def add(self, value: float) -> Alarm | None:
        """Take in one value. Raises DetectionError for one that is impossible; it is then not taken in."""
        self._one[0] = value
        at, alarm = self._method.watch(self._one, 0, self.rows)
        if at == 0:
            raise self._fault(self.rows, value)
        self.rows += 1
        return alarm

    def add_all(self, values: ArrayLike) -> list[Alarm]:
        """Take in (n,) values, oldest first.

        Raises DetectionError, which names the row, at an impossible value. Those before it are then taken in.
        """
        array = numbers_of(values)
        alarms: list[Alarm] = []
        at = 0
        while at < len(array):
            at, alarm = self._method.watch(array, at, self.rows)
            if alarm is not None:
                alarms.append(alarm)
            elif at < len(array):
                self.rows += at
                raise self._fault(self.rows, array[at])
        self.rows += len(array)
        return alarms

    def _fault(self, row: int, value: float) -> DetectionError:
        return DetectionError(f"row {row}: {float(value)!r} {self._method.fault}")

    def state(self) -> dict[str, Float]:
        """All that it remembers, as arrays. `restore` of it continues bit for bit."""
        return {"rows": np.array([float(self.rows)]), **self._method.state()}

    def restore(self, state: dict[str, Float]) -> None:
        """Go on from what a detector with the same options remembered."""
        self.rows = int(state["rows"][0])
        self._method.restore(state)


def detect(
    values: ArrayLike | Iterable[float], *, kind: Kind | None = None, false_alarms_per: float = FALSE_ALARMS_PER
) -> list[Alarm]:
    """All changes in a stream: an array, a column, or an iterator, which is read in pieces.

    kind : `error` or `number`, see `Detector`; without one, `error` if the first 64 values are all 0 or 1

    >>> moved = [0.0, 1.0] * 100 + [5.0, 6.0] * 10
    >>> [(alarm.row, alarm.since, alarm.change) for alarm in detect(moved, kind="number")]
    [(203, 199, 'rise')]
    """
    return [alarm for alarms in detect_in(pieces_of(values), kind, false_alarms_per) for alarm in alarms]


def detect_in(
    pieces: Iterable[Float], kind: Kind | None = None, false_alarms_per: float = FALSE_ALARMS_PER
) -> Iterator[list[Alarm]]:
    """The alarms of each piece of a stream."""
    if kind is None:
        kind, pieces = kind_of(pieces)
    detector = Detector(kind, false_alarms_per=false_alarms_per)
    for piece in pieces:
        yield detector.add_all(piece)


def kind_of(pieces: Iterable[Float]) -> tuple[Kind, Iterator[Float]]:
    """`error` if the first 64 values are all 0 or 1, and all pieces."""
    rest = iter(pieces)
    seen: list[Float] = []
    known: list[float] = []
    for piece in rest:
        seen.append(piece)
        known += piece[~np.isnan(piece)][: _LOOKED_AT - len(known)].tolist()
        if len(known) >= _LOOKED_AT:
            break
    kind: Kind = "error" if all(value in (0.0, 1.0) for value in known) else "number"
    return kind, chain(seen, rest)


def pieces_of(values: ArrayLike | Iterable[float]) -> Iterator[Float]:
    """An array as one piece, an iterator as pieces of 65,536 values."""
    if not isinstance(values, Iterator):
        yield numbers_of(values)  # type: ignore[arg-type]
        return
    while True:
        piece = [math.nan if value is None else value for value in islice(values, _CHUNK)]
        if not piece:
            return
        yield numbers_of(piece)


def numbers_of(values: ArrayLike) -> Float:
    """(n,) float64. Raises DetectionError for text, or for an array of another shape."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DetectionError(
            f"the values are not all numbers ({error}): leave out text, and use NaN for missing"
        ) from error
    if array.ndim != 1:
        raise DetectionError(f"values have {array.ndim} dimensions: give one column, oldest value first")
    return np.ascontiguousarray(array)

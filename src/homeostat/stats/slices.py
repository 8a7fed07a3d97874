"""The segments of rows that fare worst, found on one half of the people and shown on the other.

The worst of many segments looks bad by chance alone. So the search ranks every segment on one half, and only the few
that it picks are tested, on people whom it has not seen. Holm's correction covers the number of tests, and all figures
of a segment are those of the second half, which the choice has not flattered.

A segment is one condition or two on different columns. Two are tried only if they are worse than each of them alone:
else the segment is a part of a larger one with the same trouble (Chung et al. 2019, Slice Finder, ICDE, 1550-1553).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np

from homeostat.records.arrays import Float, Int, Mask
from homeostat.stats.chance import uniform

NOT_KNOWN = "not known"
OTHER = "other"
PERSONS_MIN = 50  # In each half, inside and outside of a segment.
ERRORS = 2.0  # Standard errors taken off a segment's excess in the ranking, so that small ones don't lead by noise.
SAME = 0.9  # Segments with this share of rows in common are one, and the first of them is tested.
SHARE_MAX = 0.1  # Of the variance in one person's hands: beyond, a normal bound is too narrow.
_STREAM = 61  # Of chance: which half a person is in.

Conditions: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A feature in few values; code : (n,) index into `labels`, which are conditions such as `amount >= 20`."""

    name: str
    labels: tuple[str, ...]
    code: Int


def number_column(name: str, values: Float, bins: int = 5) -> Column:
    """Numbers in bins of about as many rows each; a frequent number has a bin to itself, and so has NaN.

    >>> number_column("amount", np.array([0.0, 0.0, 0.0, 5.0, 9.0, np.nan]), bins=3).labels
    ('amount < 5', '5 <= amount < 9', 'amount >= 9', 'amount not known')
    """
    known = np.isfinite(values)
    edges = _edges(values[known], bins)
    labels = [f"{name} < {edges[0]:.6g}"] if edges else [f"{name} known"]
    labels += [f"{low:.6g} <= {name} < {high:.6g}" for low, high in pairwise(edges)]
    labels += [f"{name} >= {edges[-1]:.6g}"] if edges else []
    code = np.where(known, np.searchsorted(edges, np.where(known, values, 0.0), side="right"), len(labels))
    return Column(name, (*labels, f"{name} {NOT_KNOWN}"), code.astype(np.int64))


def _edges(known: Float, bins: int) -> list[float]:
    """Lowest values of all bins but the first. A value that would fill a bin by itself begins one."""
    distinct, counts = np.unique(known, return_counts=True)
    upto, edges, start = np.concatenate([[0], np.cumsum(counts)]), [], 0
    for left in range(bins, 1, -1):
        size = (upto[-1] - upto[start]) / left
        end = int(np.searchsorted(upto, upto[start] + size))
        if end - 1 > start and counts[end - 1] >= size:
            end -= 1
        if end >= len(distinct):
            break
        edges.append(float(distinct[end]))
        start = end
    return edges


def category_column(name: str, values: Sequence[object], most: int = 20) -> Column:
    """The `most` frequent values, equal counts by name; others together, and None by itself.

    >>> category_column("country", ["BE", "NL", "BE", None], most=1).labels
    ('country = BE', 'country other', 'country not known')
    """
    texts = np.array([NOT_KNOWN if value is None else f"= {value}" for value in values], dtype=np.str_)
    found, counts = np.unique(texts, return_counts=True)
    ranked = sorted((-int(n), str(text)) for text, n in zip(found, counts, strict=True) if text != NOT_KNOWN)
    labels = [text for _, text in ranked[:most]] + [OTHER, NOT_KNOWN]
    place = {text: index for index, text in enumerate(labels)}
    code = [place.get(str(text), len(labels) - 2) for text in texts]
    return Column(name, tuple(f"{name} {label}" for label in labels), np.array(code, dtype=np.int64))


class Candidate(NamedTuple):
    """A segment of the first half; conditions : (column, label) indexes; score : excess less ERRORS standard errors."""

    conditions: Conditions
    rows: int
    mean: float
    score: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that was tested; figures are of the second half of the people.

    mean, rest : mean loss inside and outside
    excess : mean less rest; low : its lower bound, for all tested segments at once
    p : of "not worse than the rest", corrected for the number of tests
    shown : whether p is at most alpha. If not, it may be chance, or `why` says why there is not enough data
    """

    conditions: tuple[str, ...]
    rows: int
    persons: int
    mean: float
    rest: float
    excess: float
    low: float
    p: float
    shown: bool
    why: str = ""


def worst_segments(
    loss: Float,
    columns: Sequence[Column],
    person: Int | None = None,
    *,
    seed: int = 0,
    alpha: float = 0.05,
    tested: int = 20,
    persons_min: int = PERSONS_MIN,
) -> tuple[Segment, ...]:
    """Segments whose rows have a higher loss than the rest; those that are shown first, then by their lower bound.

    loss : (n,) such as a cost, or 1 for an error; NaN is not known, and left out
    person : (n,) codes; a person is in one half with all rows. Without it each row is another person
    tested : segments that are tested at most; more need larger effects
    Any segment is shown wrongly with probability alpha at most.

    >>> row = np.arange(4000)
    >>> night, country = number_column("hour", (row % 24) * 1.0, bins=4), category_column("country", list(row % 7))
    >>> found = worst_segments(((row % 24 < 6) & (row % 7 == 3)) * 1.0 + (row % 5 == 0), [night, country])
    >>> found[0].conditions, found[0].shown
    (('hour < 6', 'country = 3'), True)
    """
    known = np.flatnonzero(np.isfinite(loss))
    who = known if person is None else person[known]
    first = uniform(seed, who, _STREAM) < 0.5
    search, check = known[first], known[~first]
    people = who[first], who[~first]
    ranked = sorted(candidates(loss[search], _at(columns, search), persons_min), key=lambda c: (-c.score, c.conditions))
    chosen = _chosen(ranked, _at(columns, search), people[0], tested, persons_min)
    level = alpha / max(len(chosen), 1)
    found = [_checked(c, _at(columns, check), loss[check], people[1], level, persons_min) for c in chosen]
    return tuple(sorted(_holm(found, alpha), key=lambda s: (not s.shown, -s.low, s.conditions)))


def _at(columns: Sequence[Column], rows: Int) -> list[Column]:
    return [replace(column, code=column.code[rows]) for column in columns]


def candidates(loss: Float, columns: Sequence[Column], rows_min: int) -> list[Candidate]:
    """Segments of one or two conditions with a score above 0, and rows_min rows inside and outside, in no order.

    A segment of two conditions is there only if its mean is above that of each alone by one standard error.
    """
    n, centre = len(loss), float(loss.mean()) if len(loss) else 0.0
    away = loss - centre
    sums = float(away.sum()), float((away * away).sum())
    alone: dict[tuple[int, int], float] = {}
    found = []
    for at in [(i,) for i in range(len(columns))] + list(combinations(range(len(columns)), 2)):
        for conditions, rows, total, squares in _cells(at, columns, away):
            if len(at) == 1:
                alone[conditions[0]] = total / rows
            if not rows_min <= rows <= n - rows_min or rows < 2 or n - rows < 2:
                continue
            mean, error = total / rows, _error(rows, total, squares)
            if len(at) == 2 and any(mean <= alone[one] + error for one in conditions):
                continue
            outside = n - rows, sums[0] - total, sums[1] - squares
            score = mean - outside[1] / outside[0] - ERRORS * float(np.hypot(error, _error(*outside)))
            if score > 0:
                found.append(Candidate(conditions, rows, mean + centre, score))
    return found


def _cells(
    at: tuple[int, ...], columns: Sequence[Column], away: Float
) -> Iterator[tuple[Conditions, int, float, float]]:
    """Conditions, rows, sum and sum of squares of every combination of labels that has rows."""
    shape = tuple(len(columns[i].labels) for i in at)
    joint = np.ravel_multi_index([columns[i].code for i in at], shape)
    size = int(np.prod(shape))
    counts, totals, squares = (np.bincount(joint, w, size) for w in (None, away, away * away))
    for cell in np.flatnonzero(counts):
        labels = np.unravel_index(cell, shape)
        conditions = tuple((i, int(label)) for i, label in zip(at, labels, strict=True))
        yield conditions, int(counts[cell]), float(totals[cell]), float(squares[cell])


def _error(rows: int, total: float, squares: float) -> float:
    """Standard error of a mean."""
    return float(np.sqrt(max(squares - total * total / rows, 0.0) / (rows - 1) / rows))


def _inside(conditions: Conditions, columns: Sequence[Column]) -> Mask:
    inside = np.ones(len(columns[0].code), np.bool_)
    for column, label in conditions:
        inside &= columns[column].code == label
    return inside


def _chosen(
    ranked: Sequence[Candidate], columns: Sequence[Column], person: Int, most: int, persons_min: int
) -> list[Candidate]:
    """The first of those with enough people on both sides, and not nearly the same rows as one before."""
    chosen: list[Candidate] = []
    masks: list[Mask] = []
    for candidate in ranked:
        if len(chosen) == most:
            break
        inside = _inside(candidate.conditions, columns)
        few = min(len(np.unique(person[side])) for side in (inside, ~inside)) < persons_min
        if few or any((inside & mask).sum() >= SAME * (inside | mask).sum() for mask in masks):
            continue
        chosen.append(candidate)
        masks.append(inside)
    return chosen


def _checked(
    candidate: Candidate, columns: Sequence[Column], loss: Float, person: Int, level: float, persons_min: int
) -> Segment:
    """The segment's figures, with p not corrected yet."""
    inside = _inside(candidate.conditions, columns)
    conditions = tuple(columns[column].labels[label] for column, label in candidate.conditions)
    rows, persons = int(inside.sum()), len(np.unique(person[inside]))
    if min(persons, len(np.unique(person[~inside]))) < persons_min:
        return Segment(
            conditions, rows, persons, np.nan, np.nan, np.nan, -np.inf, 1.0, False, f"{persons} of {persons_min} people"
        )
    mean, rest = float(loss[inside].mean()), float(loss[~inside].mean())
    pull = np.where(inside, (loss - mean) / rows, (rest - loss) / (len(loss) - rows))
    squares = np.bincount(np.unique(person, return_inverse=True)[1], pull) ** 2
    error = float(np.sqrt(squares.sum()))
    if squares.max() > SHARE_MAX * squares.sum() or error == 0.0:
        why = "one person makes up too much of the variance" if error else "all values are the same"
        return Segment(conditions, rows, persons, mean, rest, mean - rest, -np.inf, 1.0, False, why)
    p = NormalDist().cdf(-(mean - rest) / error)
    low = mean - rest + NormalDist().inv_cdf(level) * error
    return Segment(conditions, rows, persons, mean, rest, mean - rest, low, p, False)


def _holm(segments: Sequence[Segment], alpha: float) -> Iterator[Segment]:
    """Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70."""
    reached = 0.0
    for index, segment in enumerate(sorted(segments, key=lambda s: s.p)):
        reached = max(reached, min(1.0, segment.p * (len(segments) - index)))
        yield replace(segment, p=reached, shown=reached <= alpha and not segment.why)

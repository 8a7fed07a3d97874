"""How groups of people fare: figures by group, how far groups differ, and whether that is within a bound.

A bound is PASSed only if every two groups are shown to lie within it, and FAILs if two of them are shown to lie outside
of it. A PASS claims something of every pair, so a chance result in one pair can't bring it about, and each pair is
tested at alpha (Berger 1982, intersection-union). A FAIL needs one pair, so the intervals behind it hold for all pairs
and bounds at once, with probability 1 - alpha (Bonferroni). A group with too few people is not compared: it is "not
enough data", and nothing PASSes beside it.

People who come again are not independent. Intervals take their rows together: the spread is that between people
(Korn and Graubard 1998, Survey Methodology 24, 193-201, for shares).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.verdicts import Verdict
from homeostat.stats.intervals import Interval, difference_of, mean_interval, ratio_of, share_interval
from homeostat.stats.metrics import calibration_bins

Measure: TypeAlias = Literal[
    "selection_rate", "true_positive_rate", "false_positive_rate", "calibration", "cost_per_person"
]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SHARES: tuple[Measure, ...] = MEASURES[:3]
PERSONS_MIN = 50  # Below, one more person moves a share by 2 % and more, and figures point at people.
GROUPS_MAX = 100  # 4,950 pairs: with more, no pair could be shown to differ.
SHARE_MAX = 0.1  # Of a mean's variance in one person's hands: beyond, a normal interval is too narrow.


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions, with the group of each person; every array is (n,).

    names : of the groups, each with its figures even if nobody is in it
    group : index into `names`, -1 if not known
    selected : whether the action in question was taken
    label : 1 positive, 0 negative, NaN not known
    probability : of a positive; cost : of the decision, NaN not known; without them, their measures are left out
    person : a code of the person; without it each row is another person
    weight : > 0, such as 1 / the chance that the outcome could be seen, so that the hold-out speaks for the blocked
    Raises ValueError if lengths differ, a group has no name or a weight is not a positive number.
    """

    names: tuple[str, ...]
    group: Int
    selected: Mask
    label: Float
    probability: Float | None = None
    cost: Float | None = None
    person: Int | None = None
    weight: Float | None = None

    def __post_init__(self) -> None:
        n, arrays = len(self.group), (self.selected, self.label, self.probability, self.cost, self.person, self.weight)
        if any(array is not None and len(array) != n for array in arrays):
            raise ValueError("decisions need arrays of one length")
        if n and not -1 <= self.group.min() <= self.group.max() < len(self.names):
            raise ValueError("each group needs a name")
        if self.weight is not None and not (np.isfinite(self.weight) & (self.weight > 0)).all():
            raise ValueError("weights must be positive numbers")


def grouped(values: Sequence[object]) -> tuple[tuple[str, ...], Int]:
    """Names and indexes of the groups of `values`: texts, numbers or None, which is a group not known.

    >>> grouped(["north", None, "east", "north"])[0]
    ('east', 'north')
    """
    known = [value is not None and value == value for value in values]
    texts = [str(value) if here else "" for value, here in zip(values, known, strict=True)]
    names = sorted({text for text, here in zip(texts, known, strict=True) if here})
    place = {name: index for index, name in enumerate(names)}
    codes = [place[text] if here else -1 for text, here in zip(texts, known, strict=True)]
    return tuple(names), np.array(codes, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of one group.

    value : NaN without a row
    rows, persons : that the measure rests on, such as the positives of a true positive rate
    spread : of a share, the number of independent rows that would have the same variance; of a mean, its standard error
    enough : False is "not enough data": the group is not compared with others, and `why` says the reason
    """

    measure: Measure
    group: str
    value: float
    rows: int
    persons: int
    spread: float
    enough: bool
    why: str = ""

    def interval(self, level: float = 0.95) -> Interval:
        """The value with bounds; all that is possible where it is not known."""
        if not self.persons:
            return Interval(np.nan, 0.0 if self.measure in SHARES else -np.inf, np.inf, level)
        if self.measure in SHARES:
            return share_interval(self.value, self.spread, level)
        return mean_interval(self.value, self.spread, level)


class _Sample(NamedTuple):
    value: Float
    weight: Float
    person: Int


def _samples(decided: Decided, measure: Measure, rows: Int) -> _Sample:
    """Value, weight and person of those of the rows that the measure is about."""
    label = decided.label[rows]
    person = rows if decided.person is None else decided.person[rows]
    weight = np.ones(len(rows)) if decided.weight is None else decided.weight[rows]
    if measure == "cost_per_person":
        assert decided.cost is not None
        cost = decided.cost[rows]
        seen = np.isfinite(cost)
        people, at = np.unique(person[seen], return_inverse=True)
        return _Sample(
            np.bincount(at, (cost * weight)[seen], len(people)).astype(np.float64), np.ones(len(people)), people
        )
    if measure == "calibration":
        assert decided.probability is not None
        value = decided.probability[rows] - label
        about = np.isfinite(value)
    else:
        value = decided.selected[rows].astype(np.float64)
        wanted = {"true_positive_rate": 1.0, "false_positive_rate": 0.0}.get(measure)
        about = np.ones(len(rows), np.bool_) if wanted is None else label == wanted
    return _Sample(value[about], weight[about], person[about])


def _rows_of(sample: _Sample, measure: Measure, decided: Decided, rows: Int) -> int:
    if measure != "cost_per_person" or decided.cost is None:
        return len(sample.value)
    return int(np.isfinite(decided.cost[rows]).sum())


def _figure(decided: Decided, measure: Measure, index: int, persons_min: int) -> Figure:
    rows = np.flatnonzero(decided.group == index)
    sample = _samples(decided, measure, rows)
    name, n = decided.names[index], _rows_of(sample, measure, decided, rows)
    if n == 0:
        return Figure(measure, name, np.nan, 0, 0, 0.0, enough=False, why="no rows")
    total = sample.weight.sum()
    mean = float((sample.weight * sample.value).sum() / total)
    people, at = np.unique(sample.person, return_inverse=True)
    squares: Float = np.bincount(at, sample.weight * (sample.value - mean)).astype(np.float64) ** 2
    variance = float(squares.sum() / total**2)
    if measure in SHARES:
        spread, why = _independent_rows(mean, variance, sample.weight, at), ""
    else:
        spread, why = float(np.sqrt(variance)), _crowded(squares)
    if len(people) < persons_min:
        why = f"{len(people)} of {persons_min} people"
    return Figure(measure, name, mean, n, len(people), spread, enough=not why, why=why)


def _independent_rows(share: float, variance: float, weight: Float, at: Int) -> float:
    """Rows of a simple sample with this variance; never more than there are. Without a spread, people count once."""
    counted = weight if 0.0 < share < 1.0 else np.bincount(at, weight)
    most = float(counted.sum() ** 2 / (counted**2).sum())  # Kish (1965): rows of one weight that are worth as much.
    return min(most, share * (1.0 - share) / variance) if variance > 0.0 and 0.0 < share < 1.0 else most


def _crowded(squares: Float) -> str:
    if squares.sum() == 0.0:
        return "all values are the same, which shows no spread"
    return "one person makes up too much of the variance" if squares.max() > SHARE_MAX * squares.sum() else ""


def figures(decided: Decided, persons_min: int = PERSONS_MIN) -> tuple[Figure, ...]:
    """Each measure of each group, by measure, then in the order of the names.

    selection_rate : share of rows with the action
    true_positive_rate, false_positive_rate : that share among positives, and among negatives
    calibration : mean probability less share of positives, 0 at best
    cost_per_person : sum of costs / people with a known cost

    >>> two = Decided(("a", "b"), np.array([0, 0, 1]), np.array([True, False, True]), np.array([1.0, 0.0, np.nan]))
    >>> [(f.group, f.value) for f in figures(two) if f.measure == "selection_rate"]
    [('a', 0.5), ('b', 1.0)]
    """
    there = [m for m in MEASURES if m not in _absent(decided)]
    return tuple(_figure(decided, m, index, persons_min) for m in there for index in range(len(decided.names)))


def _absent(decided: Decided) -> Iterator[Measure]:
    if decided.probability is None:
        yield "calibration"
    if decided.cost is None:
        yield "cost_per_person"


def calibration_curves(decided: Decided, bins: int = 10) -> dict[str, list[tuple[float, float, int]]]:
    """`metrics.calibration_bins` of each group, of the rows whose outcome is known, without weights.

    Raises ValueError without probabilities.
    """
    if decided.probability is None:
        raise ValueError("calibration needs probabilities")
    seen = np.isfinite(decided.label) & np.isfinite(decided.probability)
    rows = {name: seen & (decided.group == index) for index, name in enumerate(decided.names)}
    return {name: calibration_bins(decided.label[at], decided.probability[at], bins) for name, at in rows.items()}


@dataclass(frozen=True, slots=True)
class Bound:
    """How far groups may lie apart: by `difference_max` >= 0, or the smaller at least `ratio_min` of the larger.

    One of the two is given. Ratios are for shares only: the ratio of two errors of calibration says nothing.
    Raises ValueError otherwise.
    """

    measure: Measure
    difference_max: float | None = None
    ratio_min: float | None = None

    def __post_init__(self) -> None:
        if (self.difference_max is None) == (self.ratio_min is None):
            raise ValueError("a bound is either a difference or a ratio")
        if self.difference_max is not None and not self.difference_max >= 0:
            raise ValueError("a difference has a bound of 0 or more")
        if self.ratio_min is not None and not (0 < self.ratio_min <= 1 and self.measure in SHARES):
            raise ValueError("a ratio has a bound in (0, 1], and is one of rates")

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest difference or ratio of two groups that keep to it."""
        if self.ratio_min is not None:
            return self.ratio_min, 1.0 / self.ratio_min
        assert self.difference_max is not None
        return -self.difference_max, self.difference_max


@dataclass(frozen=True, slots=True)
class Pair:
    """Two groups against one bound.

    together : `first - second`, or `first / second`, with bounds that hold for all pairs and bounds at once
    alone : with bounds that hold for this pair, at 1 - 2 alpha
    """

    first: str
    second: str
    verdict: Verdict
    together: Interval
    alone: Interval


@dataclass(frozen=True, slots=True)
class Finding:
    """One bound over all groups.

    difference, ratio : largest less smallest, smallest / largest, of the groups that are compared; NaN without two
    small : groups that are not compared, with the reason of each
    """

    bound: Bound
    verdict: Verdict
    difference: float
    ratio: float
    pairs: tuple[Pair, ...]
    small: tuple[tuple[str, str], ...]
    why: str


@dataclass(frozen=True, slots=True)
class Fairness:
    """Figures by group, and the verdict of each bound and of all; unknown : rows without a group."""

    verdict: Verdict
    figures: tuple[Figure, ...]
    findings: tuple[Finding, ...]
    unknown: int


def apart(values: Iterable[Figure]) -> tuple[float, float]:
    """Largest less smallest value, and smallest / largest, of the figures that are enough; NaN without two of them.

    >>> apart(Figure("selection_rate", g, v, 90, 90, 90.0, True) for g, v in [("a", 0.25), ("b", 0.5)])
    (0.25, 0.5)
    """
    enough = [figure.value for figure in values if figure.enough]
    if len(enough) < 2:
        return np.nan, np.nan
    least, most = min(enough), max(enough)
    return most - least, least / most if least >= 0 and most > 0 else np.nan


def assess(decided: Decided, bounds: Sequence[Bound], alpha: float = 0.05, persons_min: int = PERSONS_MIN) -> Fairness:
    """Whether groups keep to the bounds, each PASS and each FAIL wrong with probability alpha at most.

    Without a bound, or with fewer than two groups that are large enough, it is INCONCLUSIVE. More rows make another
    assessment: it holds for data whose size did not depend on what was seen.
    Raises ValueError with more than GROUPS_MAX groups, or a bound on a measure whose values are not given.
    """
    if len(decided.names) > GROUPS_MAX:
        raise ValueError(f"{len(decided.names)} groups are more than {GROUPS_MAX}: list those to compare")
    found = figures(decided, persons_min)
    by_measure = {measure: [f for f in found if f.measure == measure] for measure in MEASURES}
    if missing := [bound.measure for bound in bounds if bound.measure in _absent(decided)]:
        raise ValueError(f"a bound on {missing[0]} needs its values")
    pairs = sum(len(list(_pairs(by_measure[bound.measure]))) for bound in bounds)
    findings = tuple(_finding(bound, by_measure[bound.measure], alpha, max(pairs, 1)) for bound in bounds)
    verdict = _all_of([finding.verdict for finding in findings])
    return Fairness(verdict, found, findings, int((decided.group == -1).sum()))


def _pairs(values: Iterable[Figure]) -> Iterator[tuple[Figure, Figure]]:
    return combinations([figure for figure in values if figure.enough], 2)


def _all_of(verdicts: Sequence[Verdict]) -> Verdict:
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts and all(v is Verdict.PASS for v in verdicts) else Verdict.INCONCLUSIVE


def _finding(bound: Bound, values: list[Figure], alpha: float, comparisons: int) -> Finding:
    pairs = tuple(_pair(bound, a, b, alpha, comparisons) for a, b in _pairs(values))
    small = tuple((figure.group, figure.why) for figure in values if not figure.enough)
    verdict = _all_of([pair.verdict for pair in pairs] + [Verdict.INCONCLUSIVE for _ in small])
    finding = Finding(bound, verdict, *apart(values), pairs, small, "")
    return replace(finding, why=_why(finding))


def _pair(bound: Bound, first: Figure, second: Figure, alpha: float, comparisons: int) -> Pair:
    between = difference_of if bound.ratio_min is None else ratio_of
    together, alone = (
        between(first.interval(level), second.interval(level)) for level in (1 - alpha / comparisons, 1 - 2 * alpha)
    )
    least, most = bound.range
    verdict = Verdict.INCONCLUSIVE
    if together.low > most or together.high < least:
        verdict = Verdict.FAIL
    elif least <= alone.low and alone.high <= most:
        verdict = Verdict.PASS
    return Pair(first.group, second.group, verdict, together, alone)


def _why(finding: Finding) -> str:
    kind = "difference" if finding.bound.ratio_min is None else "ratio"
    what = f"the {kind} of {finding.bound.measure.replace('_', ' ')}"
    for verdict, says in (
        (Verdict.FAIL, "lies outside of the bound"),
        (Verdict.INCONCLUSIVE, "may lie on either side"),
    ):
        for pair in finding.pairs if finding.verdict is verdict else ():
            if pair.verdict is verdict:
                return f"{what} between {pair.first} and {pair.second} {says}: {pair.together}"
    if finding.verdict is Verdict.PASS:
        return f"{what} lies within the bound for every two of {len({p.first for p in finding.pairs}) + 1} groups"
    if finding.small:
        return "not enough data: " + "; ".join(f"{group}: {why}" for group, why in finding.small)
    return "not enough data: there are no two groups to compare"

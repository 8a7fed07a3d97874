"""The judge: whether treatment may replace control, from values of both in order of arrival.

PASS and FAIL each need a bound that holds however often one looks, so that a judgement may stop at the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.verdicts import Verdict
from homeostat.stats import asymptotic, betting
from homeostat.stats.verdict_words import Seen, noticed, reason

Metric: TypeAlias = Literal["mean", "rate"]
Better: TypeAlias = Literal["higher", "lower"]
ARMS = ("control", "treatment")
_LARGEST = 1e305  # Differences of means of such values, and their bounds, are numbers still.


class ComparisonError(HomeostatError, ValueError):
    """Values or options that can't be compared; the text says which, and what to do."""

    why = "a comparison needs an arm with each value, and options that have a meaning for the values"
    remedy = "Correct the row or the option that the text names"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A verdict and what it rests on.

    estimate : mean of treatment less mean of control over all rows, None while an arm has no value
    low, high : bounds of that difference that hold at all rows at once, the tightest that were seen, widened where the
        estimate of all rows lies outside of them (a warning says so); None where there is none
    n : values by arm; missing : rows without a value by arm
    stopped_at : the row, counted from 1, at which the verdict fell; it stands from then on. None if INCONCLUSIVE
    method : `betting` (bounded values) or `asymptotic`; values_min : values in each arm before its first bound
    """

    verdict: Verdict
    estimate: float | None
    low: float | None
    high: float | None
    n: dict[str, int]
    stopped_at: int | None
    why: str
    warnings: tuple[str, ...]
    missing: dict[str, int]
    metric: Metric
    better: Better
    alpha: float
    margin: float
    method: str
    values_min: int

    def as_dict(self) -> dict[str, Any]:
        """The output of `homeostat compare --json`."""
        return asdict(self) | {"verdict": self.verdict.value, "warnings": list(self.warnings)}


class Limits(NamedTuple):
    """Bounds over all rows, and the index of the row at which each side of the margin was left.

    above : the first row at which the difference is shown to lie above `lower_edge`, None if there is none
    below : the first row at which it is shown to lie below `upper_edge`
    """

    low: float
    high: float
    above: dict[float, int | None]
    below: dict[float, int | None]
    crowded: bool


def compare(
    arms: Sequence[str],
    values: ArrayLike,
    *,
    metric: Metric | None = None,
    better: Better = "higher",
    alpha: float = 0.05,
    margin: float = 0.0,
) -> Comparison:
    """Whether treatment is not worse than control by more than `margin`: PASS, FAIL (it is) or INCONCLUSIVE.

    arms : (n,) `control` or `treatment`, in order of arrival; must not depend on the values
    values : (n,) numbers; NaN where a value is missing
    metric : `rate` for values within [0, 1], whose bounds are exact at any number of values; `mean` for others, whose
        bounds hold asymptotically from 100 values in each arm on; absent, `rate` if each value is 0 or 1
    alpha : the probability that PASS or FAIL is wrong at any row, at most
    margin : in the unit of the values; with 0, PASS means better
    Raises ComparisonError.

    >>> found = compare(["control", "treatment"] * 60, [0, 1] * 60)
    >>> found.verdict.value, found.stopped_at, found.estimate
    ('PASS', 22, 1.0)
    >>> compare([], []).why
    'there is no value at all'
    """
    x = np.asarray(values, dtype=np.float64)
    treated = _treated(arms, len(x))
    _check(x, better, alpha, margin)
    kind = _metric(metric, x)
    if kind == "rate" and margin >= 1:
        raise ComparisonError(f"a margin of {margin:g} allows any rate: give one below 1")
    limits = _bounded(treated, x, alpha, margin) if kind == "rate" else _unbounded(treated, x, alpha, margin)
    verdict, stop = _verdict(limits, better, margin)
    seen = _seen(treated, x, limits, kind, better, alpha, margin, verdict, stop)
    around = [] if seen.estimate is None else [seen.estimate]  # Bounds of arms that changed can lie apart from it.
    return Comparison(
        verdict, seen.estimate, _finite(min(limits.low, *around, np.inf)), _finite(max(limits.high, *around, -np.inf)),
        seen.n, stop, reason(seen),
        tuple(noticed(seen)), seen.missing, kind, better, alpha, margin,
        "betting" if kind == "rate" else "asymptotic", 1 if kind == "rate" else asymptotic.VALUES_MIN,
    )  # fmt: skip


def interval_at(
    rows: int, arms: Sequence[str], values: ArrayLike, found: Comparison
) -> tuple[float | None, float | None]:
    """The bounds after the first `rows` rows, as they were seen then."""
    x, treated = np.asarray(values, dtype=np.float64)[:rows], _treated(arms[:rows], rows)
    limits = (_bounded if found.metric == "rate" else _unbounded)(treated, x, found.alpha, found.margin)
    return _finite(limits.low), _finite(limits.high)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _treated(arms: Sequence[str], rows: int) -> Mask:
    given = np.asarray(arms, dtype=str)
    if len(given) != rows:
        raise ComparisonError(f"{len(given)} arms for {rows} values: give one arm with each value")
    treated: Mask = np.asarray(given == "treatment", dtype=np.bool_)
    wrong = np.flatnonzero(~(treated | (given == "control")))
    if len(wrong):
        raise ComparisonError(f"row {wrong[0] + 1}: the arm is {str(given[wrong[0]])!r}, not control or treatment")
    return treated


def _check(x: Float, better: str, alpha: float, margin: float) -> None:
    endless = np.flatnonzero(np.isinf(x))
    if len(endless):
        raise ComparisonError(f"row {endless[0] + 1}: the value is infinite; drop the row, or leave its value empty")
    far = np.flatnonzero(np.abs(x) > _LARGEST)
    if len(far):
        raise ComparisonError(f"row {far[0] + 1}: the value is {x[far[0]]:g}; give the values in a larger unit")
    if better not in ("higher", "lower"):
        raise ComparisonError(f"better is {better!r}: give higher or lower")
    if not 0.0 < alpha < 1.0:
        raise ComparisonError(f"alpha is {alpha:g}: give a probability above 0 and below 1, such as .05")
    if not (0.0 <= margin <= _LARGEST):
        raise ComparisonError(f"the margin is {margin:g}: give 0 or more, in the unit of the values")


def _metric(asked: str | None, x: Float) -> Metric:
    known = x[~np.isnan(x)]
    if asked is None or (asked == "mean" and len(known)):
        # The mean of zeros and ones is a rate, and a rate's bounds are exact.
        return "rate" if len(known) and bool(((known == 0.0) | (known == 1.0)).all()) else "mean"
    if asked not in ("mean", "rate"):
        raise ComparisonError(f"the metric is {asked!r}: give mean or rate")
    outside = np.flatnonzero((x < 0.0) | (x > 1.0))
    if asked == "rate" and len(outside):
        raise ComparisonError(
            f"row {outside[0] + 1}: the value is {x[outside[0]]:g}, and a rate has values from 0 to 1 only; "
            "compare with --metric mean"
        )
    return "rate" if asked == "rate" else "mean"


def _bounded(treated: Mask, x: Float, alpha: float, margin: float) -> Limits:
    """By betting. A missing value counts as the one that speaks most against each bound, so no verdict hangs on it."""
    missing = np.isnan(x)
    least, most = (betting.blocks(treated, np.where(missing, fill, x)) for fill in (~treated * 1.0, treated * 1.0))
    edges = {-margin, margin}
    return Limits(
        betting.lower_bound(least.difference, alpha / 2),
        betting.upper_bound(most.difference, alpha / 2),
        {edge: betting.found_above(least, edge, alpha / 2) for edge in edges},
        {edge: betting.found_below(most, edge, alpha / 2) for edge in edges},
        crowded=False,
    )


def _unbounded(treated: Mask, x: Float, alpha: float, margin: float) -> Limits:
    """By the asymptotic sequence, whose bounds at all rows hold together. Bounds end at the first missing value."""
    gap = np.flatnonzero(np.isnan(x))
    rows = int(gap[0]) if len(gap) else len(x)
    found = asymptotic.bounds(treated[:rows], x[:rows], alpha)
    edges = {-margin, margin}
    return Limits(
        float(found.low.max(initial=-np.inf)),
        float(found.high.min(initial=np.inf)),
        {edge: _first(found.low > edge) for edge in edges},
        {edge: _first(found.high < edge) for edge in edges},
        crowded=bool(rows and found.crowded[-1]),
    )


def _first(holds: Mask) -> int | None:
    rows: Int = np.flatnonzero(holds)
    return int(rows[0]) if len(rows) else None


def _verdict(limits: Limits, better: Better, margin: float) -> tuple[Verdict, int | None]:
    """The first of PASS and FAIL, and its row counted from 1."""
    if better == "higher":
        passed, failed = limits.above[-margin], limits.below[-margin]
    else:
        passed, failed = limits.below[margin], limits.above[margin]
    fallen = [(row, verdict) for row, verdict in ((passed, Verdict.PASS), (failed, Verdict.FAIL)) if row is not None]
    if not fallen:
        return Verdict.INCONCLUSIVE, None
    row, verdict = min(fallen)
    return verdict, row + 1


def _seen(
    treated: Mask, x: Float, limits: Limits, metric: Metric, better: Better, alpha: float, margin: float,
    verdict: Verdict, stop: int | None,
) -> Seen:  # fmt: skip
    known = ~np.isnan(x)
    parts = [x[chosen & known] for chosen in (~treated, treated)]
    missing = [int(np.count_nonzero(chosen & ~known)) for chosen in (~treated, treated)]
    unit = float(np.abs(x[known]).max(initial=0.0)) or 1.0  # A sum of the largest values would be infinite.
    means = [float((part / unit).mean()) * unit if len(part) else None for part in parts]
    return Seen(
        verdict=verdict, stopped_at=stop, rows=len(x), values=dict(zip(ARMS, parts, strict=True)),
        missing=dict(zip(ARMS, missing, strict=True)), n=dict(zip(ARMS, map(len, parts), strict=True)),
        estimate=None if means[0] is None or means[1] is None else means[1] - means[0],
        low=limits.low, high=limits.high, metric=metric, better=better, alpha=alpha, margin=margin,
        crowded=limits.crowded,
    )  # fmt: skip

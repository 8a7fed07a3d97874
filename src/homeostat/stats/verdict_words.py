"""The reason of a verdict, and what a reader should know beside it, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float
from homeostat.records.verdicts import Verdict
from homeostat.stats.asymptotic import VALUES_MIN

_SPREAD_RATIO = 3.0  # Between variances that are worth a warning.
_SPREAD_ERRORS = 2.5  # Standard errors by which the logarithm of the ratio must differ from 0.


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a verdict rests on; the fields are those of `Comparison`, and each arm's values without the missing."""

    verdict: Verdict
    stopped_at: int | None
    rows: int
    values: dict[str, Float]
    missing: dict[str, int]
    n: dict[str, int]
    estimate: float | None
    low: float
    high: float
    metric: str
    better: str
    alpha: float
    margin: float
    crowded: bool

    @property
    def edge(self) -> float:
        """The difference of treatment and control at which PASS ends and FAIL begins."""
        return -self.margin if self.better == "higher" else self.margin


def reason(seen: Seen) -> str:
    """Why the verdict is as it is; for an INCONCLUSIVE one, with what would decide it."""
    if seen.verdict is Verdict.INCONCLUSIVE:
        return _open(seen)
    passed = seen.verdict is Verdict.PASS
    side = "above" if passed == (seen.better == "higher") else "below"
    bound = seen.low if side == "above" else seen.high
    if seen.margin:
        found = (
            f"treatment is {'not ' if passed else ''}worse than control by more than the margin of {seen.margin:.6g}"
        )
    else:
        found = f"treatment is {'better' if passed else 'worse'} than control"
    limit = "least" if side == "above" else "most"
    return (
        f"{found}: with {1 - seen.alpha:.6g} confidence at every look, the difference of {seen.metric}s is at {limit} "
        f"{bound:.4g}, {side} {seen.edge + 0.0:.6g}; the verdict fell at row {seen.stopped_at:,} of {seen.rows:,}"
    )


def _open(seen: Seen) -> str:
    """The first obstacle in the way of a verdict."""
    n, lost = seen.n, sum(seen.missing.values())
    silent = [arm for arm, count in n.items() if count == 0]
    if len(silent) == 2:
        return f"all {lost:,} values are missing" if lost else "there is no value at all"
    if silent:
        other = "control" if silent == ["treatment"] else "treatment"
        return (
            f"{silent[0]} has no value, {other} has {n[other]:,}: silence is no evidence, so this waits for "
            f"values of {silent[0]}"
        )
    if seen.metric == "mean" and lost:
        return (
            f"{_missing(seen)}, and no bound is known for them: any verdict could hang on them; "
            "wait for them, or drop rows that will never have a value"
        )
    same = _same(seen)
    if seen.metric == "mean" and min(n.values()) < VALUES_MIN:
        return (
            f"too few values: {n['control']:,} of control and {n['treatment']:,} of treatment; without a known bound "
            f"of the values, an interval needs {VALUES_MIN} in each arm{f'; {same}' if same else ''}"
        )
    if same:
        return f"{same}: no difference was seen, and none is shown to be within the margin of {seen.margin:.6g}" + (
            "; a --margin above 0 says how much worse treatment may be" if not seen.margin else _more(seen)
        )
    if seen.crowded:
        return (
            "a few large values make up most of the spread, so that an interval can't be relied on yet; more values, "
            "or values with a limit, decide it"
        )
    return (
        f"the difference of {seen.metric}s lies between {seen.low:.4g} and {seen.high:.4g} with "
        f"{1 - seen.alpha:.6g} confidence at every look, which holds {seen.edge + 0.0:.6g}{_more(seen)}"
    )


def _missing(seen: Seen) -> str:
    """Which values are missing."""
    return " and ".join(f"{count:,} values of {arm} are missing" for arm, count in seen.missing.items() if count)


def _same(seen: Seen) -> str:
    """A sentence if all values of both arms are one number, else nothing."""
    every = np.concatenate(list(seen.values.values()))
    return f"all values of both arms are {every[0]:g}" if _constant(every) else ""


def _constant(values: Float) -> bool:
    return len(values) > 0 and bool((values == values[0]).all())


def _more(seen: Seen) -> str:
    """How many values would decide it, if the difference stays as it is."""
    assert seen.estimate is not None
    unit = max(float(np.abs(part).max(initial=0.0)) for part in seen.values.values()) or 1.0
    gap = abs(seen.estimate - seen.edge) / unit
    error = float(np.sqrt(sum(float((part / unit).var()) / len(part) for part in seen.values.values())))
    # The squared distance in standard errors at which the bound is reached on average: 2 log(1/alpha), and 3.5 for not
    # having fixed the number of values beforehand.
    distance = gap / error if error > 0.0 else np.inf
    factor = (3.5 - 2.0 * float(np.log(seen.alpha))) / distance**2 if distance > 1e-6 else np.inf
    if not 1.0 < factor < 1e6:
        return "; more values decide it"
    total = float(f"{factor * sum(seen.n.values()):.2g}")
    return f"; if the difference stays as it is, some {total:,.0f} values in all decide it"


def noticed(seen: Seen) -> Iterator[str]:
    """Warnings: sentences on the data that a verdict on means does not tell."""
    if sum(seen.missing.values()) and min(seen.n.values()) and seen.metric == "rate":
        yield f"{_missing(seen)}: the bounds allow for any rate among them"
    constant = [arm for arm, part in seen.values.items() if _constant(part)]
    if len(constant) == 1 and min(seen.n.values()):
        arm = constant[0]
        yield (
            f"all {seen.n[arm]:,} values of {arm} are {seen.values[arm][0]:g}: its spread is not known"
            + (", and that of the other arm stands in for it" if seen.metric == "mean" else "")
        )
    if seen.metric == "mean":
        yield from _spread(seen)
    if seen.estimate is not None and not seen.low <= seen.estimate <= seen.high:
        yield "the difference of all rows lies outside of the bounds: the arms changed on the way"


def _spread(seen: Seen) -> Iterator[str]:
    """Of variances that differ: equal means can hide more harm."""
    control, treatment = seen.values["control"], seen.values["treatment"]
    if min(len(control), len(treatment)) < 8 or _constant(control) or _constant(treatment):
        return
    scale = float(np.abs(np.concatenate([control, treatment])).max()) or 1.0
    control, treatment = control / scale, treatment / scale
    one, other = float(control.var()), float(treatment.var())
    if not (one > 0.0 and other > 0.0):  # Too near to 0 for a float.
        return
    error = np.sqrt((_kurtosis(control) - 1.0) / len(control) + (_kurtosis(treatment) - 1.0) / len(treatment))
    ratio = other / one
    if max(ratio, 1 / ratio) >= _SPREAD_RATIO and abs(np.log(ratio)) > _SPREAD_ERRORS * error:
        more, less = ("treatment", "control") if ratio > 1 else ("control", "treatment")
        yield (
            f"the variance of {more} is {max(ratio, 1 / ratio):.3g} times that of {less}: the means tell nothing of "
            "the difference in spread"
        )


def _kurtosis(values: Float) -> float:
    """The fourth central moment over the square of the variance; 3 for a normal distribution."""
    centred = values - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)

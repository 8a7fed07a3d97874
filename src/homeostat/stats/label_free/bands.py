"""Estimates of quality with their bands, the thresholds of a reference, and whether labels contradict an estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float
from homeostat.stats.label_free.estimates import Expected, Ranked, expected, slopes, values

CHUNKS_MIN = 5  # Fewer chunks of a reference say nothing about how far chunks differ.
WIDTH = 3.0  # Standard deviations of the reference's chunks, on either side of their mean.
_SPREAD_MIN = 0.5
_HALF_MIN = 0.005  # A threshold nearer to the mean would alarm at nothing.
SIZE_MIN = 0.01  # A contradiction smaller than this is of no consequence, however many labels show it.
CHANCE = 0.01  # That any chunk of a table contradicts its estimate by chance alone.
_Z95 = NormalDist().inv_cdf(0.975)
_BOUNDED = ("auc", "accuracy", "f1", "average_precision")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the band that holds the realised one in 95 of 100 chunks; NaN where it can't be had."""

    value: float
    low: float
    high: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """Bounds of a figure by the reference. rows : of the chunks that they were taken from."""

    low: float
    high: float
    mean: float
    rows: int

    def alarms(self, value: float, rows: int) -> bool:
        """Whether a figure of so many rows lies outside. A chunk of fewer rows gets wider bounds."""
        wider = float(np.sqrt(max(1.0, self.rows / max(rows, 1))))
        return bool(value < self.mean - (self.mean - self.low) * wider
                    or value > self.mean + (self.high - self.mean) * wider)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Excess:
    """Variances by figure of reference chunks around their estimates, beyond the chance of labels.

    chunks : how many they were taken from. Bands are wider after fewer, by Student's distribution
    """

    variance: Mapping[str, float]
    chunks: int

    @property
    def width(self) -> float:
        """The half width of the 95 % band of an excess, in its standard deviations."""
        return student_quantile(max(self.chunks, CHUNKS_MIN) - 1)


def student_quantile(freedom: int) -> float:
    """The .975 quantile of Student's distribution, by its expansion around the normal one; freedom >= 4.

    Source: Abramowitz and Stegun (1964), 26.7.5.

    >>> round(student_quantile(13), 2)
    2.16
    """
    z = _Z95
    first = (z**3 + z) / (4.0 * freedom)
    second = (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / (96.0 * freedom**2)
    return z + first + second + (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / (384.0 * freedom**3)


def estimate(rows: Ranked, probabilities: Float, excess: Excess) -> dict[str, Estimate]:
    """The figures of a chunk without its labels.

    probabilities : (folds + 1, n) as of `Law.probabilities`
    The variance of a figure is that of the labels, that of the law by the jackknife over its folds, and the excess.
    """
    found = expected(rows, probabilities[0])
    folds = [values(expected(rows, q)) for q in probabilities[1:]]
    out = {}
    for name, one in found.items():
        of_folds = np.array([fold[name] for fold in folds])
        of_law = float((len(folds) - 1) * np.var(of_folds)) if len(folds) else 0.0
        out[name] = _banded(name, one, one.variance + of_law, excess)
    return out


def _banded(name: str, one: Expected, variance: float, excess: Excess) -> Estimate:
    """Student's width is for the excess alone: the variance by labels follows from their probabilities."""
    beyond = excess.variance.get(name, 0.0)
    deviation, half = float(np.sqrt(variance + beyond)), float(np.sqrt(_Z95**2 * variance + excess.width**2 * beyond))
    low, high = one.value - half, one.value + half
    if name in _BOUNDED:
        low, high = max(low, 0.0) if low == low else low, min(high, 1.0) if high == high else high
    return Estimate(one.value, low, high, deviation)


def excess_of(differences: Mapping[str, Sequence[float]], variances: Mapping[str, Sequence[float]]) -> Excess:
    """The excess of reference chunks around their out-of-fold estimates.

    differences : realised less estimated, of each chunk; variances : as the labels alone would have it
    0 where there are fewer than `CHUNKS_MIN` chunks.
    """
    out = {}
    for name, found in differences.items():
        pairs = [(d, v) for d, v in zip(found, variances[name], strict=True) if d == d and v == v]
        if len(pairs) < CHUNKS_MIN:
            out[name] = 0.0
            continue
        out[name] = max(0.0, float(np.mean([d * d - v for d, v in pairs])))
    return Excess(out, max((len(found) for found in differences.values()), default=0))


def thresholds(chunks: Sequence[Mapping[str, float]], rows: int, spread: Mapping[str, float]) -> dict[str, Threshold]:
    """Bounds by figure: mean and 3 standard deviations (ddof 0) of the realised figures of the reference's chunks.

    rows : of a chunk
    spread : the standard deviation of a chunk by chance. With fewer than `CHUNKS_MIN` chunks, it is the least one, and
        else half of it: chunks that agree by luck, or by the order of their rows, don't make every chunk an alarm
    """
    out = {}
    for name in _BOUNDED:
        found = np.array([chunk[name] for chunk in chunks if chunk.get(name, np.nan) == chunk.get(name)])
        if not len(found):
            continue
        mean = float(found.mean())
        share = 1.0 if len(found) < CHUNKS_MIN else _SPREAD_MIN
        half = WIDTH * max(float(found.std()), share * spread.get(name, 0.0), _HALF_MIN / WIDTH)
        out[name] = Threshold(mean - half, mean + half, mean, rows)
    return out


class Surprise(NamedTuple):
    """A figure of labels less that of their probabilities, as a sum over rows.

    Its mean is 0 if the law still holds, where that of a ratio of few positives is not.

    total : the sum
    chance, skew : its variance and third moment by labels and excess; law : its variance by the law's error
    """

    total: float
    chance: float
    skew: float
    law: float


@dataclass(frozen=True, slots=True)
class Contradiction:
    """How far the labels of a chunk are from their probabilities.

    gaps : of each figure and of the share of positives, realised less estimated; NaN where it can't be had
    deviations : the standard deviation of each gap if the law still holds
    surprises : the gaps as sums over rows, where they can be had
    """

    gaps: Mapping[str, float]
    deviations: Mapping[str, float]
    surprises: Mapping[str, Surprise] = field(default_factory=dict)


def contradiction(rows: Ranked, label: Float, probabilities: Float, excess: Excess) -> Contradiction:
    """The gaps of the labelled rows of a chunk."""
    q, known = probabilities[0], values(expected(rows, label))
    sloped = {**slopes(rows, q), "share": (float(q.mean()), np.full(len(q), 1.0 / len(q)))}
    folds = [{**values(expected(rows, fold)), "share": float(fold.mean())} for fold in probabilities[1:]]
    known["share"] = float(label.mean())
    gaps, deviations = dict.fromkeys(known, float("nan")), dict.fromkeys(known, float("nan"))
    noise, surprises = q * (1.0 - q), {}
    for name, (value, slope) in sloped.items():
        of_law = float((len(folds) - 1) * np.var([fold[name] for fold in folds])) if folds else 0.0
        one = Surprise(
            float(slope @ (label - q)), float(noise @ slope**2) + excess.variance.get(name, 0.0),
            float((noise * (1.0 - 2.0 * q)) @ slope**3), of_law,
        )  # fmt: skip
        gaps[name], deviations[name], surprises[name] = known[name] - value, float(np.sqrt(one.chance + of_law)), one
    return Contradiction(gaps, deviations, surprises)


def broken(chunks: Sequence[Contradiction | None]) -> list[bool]:
    """For each chunk, whether its labels and those just before it contradict the law beyond chance, and by a size.

    Windows of 1, 2, 4 and so on chunks that end at the chunk are looked at. The chance that any chunk of a table is
    flagged while the law holds is about `CHANCE` at most, by Bonferroni's inequality over figures, windows and chunks.
    """
    labelled = [chunk for chunk in chunks if chunk is not None]
    windows = [2**k for k in range(max(len(labelled), 1).bit_length())]
    figures = sorted({name for chunk in labelled for name in chunk.gaps})
    tests = max(1, len(labelled) * len(windows) * len(figures))
    bound = NormalDist().inv_cdf(1.0 - CHANCE / (2.0 * tests))
    out, past = [], list[Contradiction]()
    for chunk in chunks:
        if chunk is None:
            out.append(False)
            continue
        past.append(chunk)
        out.append(any(_contradicts(past[-w:], name, bound) for w in windows for name in figures
                       if w <= len(past)))  # fmt: skip
    return out


def _contradicts(chunks: Sequence[Contradiction], name: str, bound: float) -> bool:
    """Whether the mean gap of a figure is beyond chance and large, and the last one large.

    Chance of the labels is independent from chunk to chunk, the law's error is the same in all. Few positives make a
    skewed sum, whose quantile is further out. Source: Cornish and Fisher (1938), for the first term of it.
    """
    held = [chunk for chunk in chunks if name in chunk.surprises and chunk.deviations[name] > 0.0]
    held = [chunk for chunk in held if np.isfinite(chunk.gaps[name])]
    if not held:
        return False
    gaps = [chunk.gaps[name] for chunk in held]
    total, chance, skew, law = (float(one) for one in np.mean([chunk.surprises[name] for chunk in held], axis=0))
    noise, gap = float(np.sqrt(chance / len(held) + law)), float(np.mean(gaps))
    lean = skew / len(held) ** 2 / noise**3 * (1.0 if total > 0.0 else -1.0)
    least = noise * (bound + max(0.0, lean) * (bound * bound - 1.0) / 6.0)
    return bool(abs(total) > least and abs(gap) > SIZE_MIN and gap * total > 0.0 and abs(gaps[-1]) > SIZE_MIN)

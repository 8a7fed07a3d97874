"""Streams whose concept flips while rows are corrupted, with the truth that a benchmark needs.

The first world is that of *Self-Healing Machine Learning* (Rauba and others, NeurIPS 2024, arXiv 2411.00186): eight
independent normal columns, a logistic concept that flips, and corrupted rows whose labels are fair coins. The second
is unlike it in what a method might have learned by heart: correlated, skewed and whole-numbered columns, another
concept, another size of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from homeostat.records.arrays import Float, Int, Mask

COLUMNS = ("HbA1c", "FastingGlucose", "Age", "BMI", "BloodPressure", "Cholesterol", "Insulin", "PhysicalActivity")
MEANS = np.array([5.7, 100, 50, 25, 120, 200, 85, 3])
SPREADS = np.array([0.5, 15, 12, 4, 15, 40, 45, 1])
BEFORE = np.array([0.3, 0.0075, -0.01, 0.05, 0.04, -0.03, -0.02, -0.1])
AFTER = np.array([-0.3, -0.0075, 0.2, -0.05, -0.015, -0.001, 0.02, -2.0])
ORDER = (2, 3, 0, 1, 4, 5, 6, 7)  # Age and BMI are corrupted first.
STRONG, SUBTLE = ("times 20",), ("times 1.5", "sign flipped", "swapped", "constant", "plus 2 sd")
FORMS = STRONG + SUBTLE
Chance: TypeAlias = np.random.Generator


class Stream(NamedTuple):
    """Rows in their order, cut into a reference, the stream before the shift and the stream after it.

    x : (n, d) as it arrives
    clean : (n, d) before it was corrupted
    y : (n,) labels as they arrive, 0 or 1
    corrupted : (n,)
    reference, shift : rows of the reference, and the first row after the shift
    law : the labels that the concept of a row's time gives to clean rows, without noise
    """

    x: Float
    clean: Float
    y: Int
    corrupted: Mask
    reference: int
    shift: int
    law: Int

    def batches(self, rows: int) -> Iterator[slice]:
        """The stream in batches; none holds rows of both sides of the shift."""
        for begin, end in ((self.reference, self.shift), (self.shift, len(self.y))):
            yield from (slice(at, min(at + rows, end)) for at in range(begin, end, rows))


def corrupt(x: Float, rows: Int, columns: Int, form: str, chance: Chance) -> None:
    """Corrupt cells in place. A constant is a value of the column, drawn once; swapped columns are the first two."""
    cells = np.ix_(rows, columns)
    if form == "times 20":
        x[cells] *= 20
    elif form == "times 1.5":
        x[cells] *= 1.5
    elif form == "sign flipped":
        x[cells] *= -1
    elif form == "swapped":
        x[np.ix_(rows, columns[:2])] = x[np.ix_(rows, columns[1::-1])]
    elif form == "constant":
        x[cells] = x[chance.integers(len(x)), columns]
    elif form == "plus 2 sd":
        x[cells] += 2 * np.nanstd(x[:, columns], axis=0)
    else:
        raise ValueError(f"{form!r} is no form; the forms are {', '.join(FORMS)}")


def published(seed: int, share: float, form: str, columns: int = 2, scale: float = 1.0, coins: bool = True) -> Stream:
    """The published generator.

    share : of the rows after the shift that are corrupted
    columns : how many columns of these rows are
    scale : of the numbers of rows, 1 for 50,000 before the shift and 40,000 after it
    coins : whether the label of a corrupted row is a fair coin; else it is that of the row before it was corrupted
    """
    chance = np.random.default_rng(seed)
    before, after = int(50_000 * scale), int(40_000 * scale)
    x = chance.normal(MEANS, SPREADS, (before + after, len(MEANS)))
    flipped = np.arange(len(x)) >= before
    sums = np.where(flipped, x @ AFTER, x @ BEFORE)
    y = (sums + chance.normal(0, 0.2, len(x)) > 0).astype(np.int64)
    return _finished(
        x, y, (sums > 0).astype(np.int64), (int(before * 0.3), before), share, form, columns, coins, chance
    )


def other(seed: int, share: float, form: str, columns: int = 2, scale: float = 1.0, coins: bool = True) -> Stream:
    """Six correlated columns: two skewed, two of whole numbers, one bounded, one normal; a curved concept."""
    chance = np.random.default_rng(1_000_003 + seed)
    before, after = int(10_000 * scale), int(20_000 * scale)
    mixing = chance.normal(size=(6, 6)) * 0.5 + np.eye(6)
    z = chance.normal(size=(before + after, 6)) @ mixing
    z /= z.std(axis=0)
    x = np.column_stack(
        [
            np.exp(3 + 0.6 * z[:, 0]),
            np.exp(1 + 0.4 * z[:, 1]),
            np.round(40 + 9 * z[:, 2]),
            np.floor(3 * np.exp(0.5 * z[:, 3])),
            100 / (1 + np.exp(-1.7 * z[:, 4])),
            12 + 2 * z[:, 5],
        ]
    )
    flipped = np.arange(len(x)) >= before
    first, second = chance.normal(size=(2, 6))
    sums = np.where(flipped, z @ second + 0.3 * z[:, 0] * z[:, 2], z @ first + 0.3 * z[:, 1] * z[:, 3])
    y = (sums + chance.normal(0, 0.3, len(x)) > 0).astype(np.int64)
    law = (sums > 0).astype(np.int64)
    return _finished(x, y, law, (int(before * 0.3), before), share, form, columns, coins, chance)


def _finished(
    x: Float,
    y: Int,
    law: Int,
    cuts: tuple[int, int],
    share: float,
    form: str,
    columns: int,
    coins: bool,
    chance: Chance,
) -> Stream:
    clean = x.copy()
    corrupted = (np.arange(len(x)) >= cuts[1]) & (chance.random(len(x)) < share)
    order = np.array([at for at in ORDER if at < x.shape[1]])
    rows = np.flatnonzero(corrupted)
    if len(rows):
        corrupt(x, rows, order[:columns], form, chance)
        if coins:
            y[rows] = chance.integers(0, 2, len(rows))
    return Stream(x, clean, y, corrupted, *cuts, law)


WORLDS: dict[str, Callable[..., Stream]] = {"published": published, "other": other}

"""A first start in two halves: the windows' kernel, which takes half of the compiler's time, and everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homeostat.decide.windows.engine import ABSENT_KEY, Windows
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.plan import NO_VALUE, Aggregate, Kind, LabelFilter, Window, WindowPlan
from homeostat.decide.windows.rows import advance
from homeostat.records.arrays import Bytes, Float, Mask
from homeostat.records.compiled import is_stored
from homeostat.records.events import EventBatch

KERNEL = "homeostat.decide.windows.rows.advance"
"""As `records.compiling` names it."""


def is_ready() -> bool:
    """Whether the disk holds the windows' kernel as machine code."""
    return is_stored(advance)


def place() -> Path:
    """The folder of the kernel's machine code."""
    stats: Any = advance.stats  # type: ignore[attr-defined]
    return Path(stats.cache_path)


def make_ready() -> None:
    """Compile the windows' kernel, or load it: one row of no entity goes through windows of its own."""
    count = Window(0, 1, 0, -1, LabelFilter.ANY, False, (Aggregate(Kind.COUNT, NO_VALUE, 0),))
    one, column = np.zeros(1, np.int64), np.zeros((1, 1), np.int64)
    Windows(WindowPlan(1, 0, 0, 1, (count,), 0, True)).advance(
        one, np.full_like(column, ABSENT_KEY), column, np.zeros((1, 0)), np.zeros((1, 0), np.bool_), np.zeros(1), one,
        np.zeros(1, np.uint8),
    )  # fmt: skip


class Unwindowed(WindowFeaturizer):
    """Makes features without the windows' kernel, so that the later stages can be tried before that is compiled.

    The windows' features are NaN, and nothing is remembered.
    """

    def _advance(self, events: EventBatch, seen: Float, masks: Mask) -> tuple[Float, Bytes]:
        plan = self.plan
        shape = (len(events), plan.fields + plan.windows.features + len(plan.derived))
        return np.full(shape, np.nan), np.zeros(shape, np.uint8)

    def move(self) -> None:
        """Have the windows' other kernels compiled, or loaded."""
        self.windows.expire(0)

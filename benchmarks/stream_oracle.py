"""The bound of what any detector can do on sine1 and mixed: one that knows both rates and the form of the transition.

It is the sum of the likelihood ratios over all starts of a change (Shiryaev and Roberts), which is optimal to a
vanishing term if all is known. Source: Pollak (1985), Optimal detection of a change in distribution, Annals of
Statistics 13, 206-227.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.stream_world import DRIFTS, Stream, errors_from
from homeostat.records.compiled import compiled

LEARNED, AFTER, WITHIN = 10_000, 60, 250  # Rows after a start of the learner, and rows after a change.
QUIET = 1_000  # Rows in which the learner still learns. It does not look at them.
AGES, WIDTH = 100, 50.0  # Of a change; it is done after 50 rows.


def rates(kind: str, streams: Sequence[Stream]) -> tuple[float, float]:
    """The shares of errors long before a change and right after it."""
    before, after = [], []
    for stream in streams:
        for drift in DRIFTS[kind]:
            start = drift - DRIFTS[kind].start
            errors = errors_from(stream.features, stream.label, start, drift + WITHIN)
            before.append(errors[LEARNED : drift - start].mean())
            after.append(errors[drift - start + AFTER :].mean())
    return float(np.mean(before)), float(np.mean(after))


def oracle(kind: str, streams: Sequence[Stream], limit: float) -> Callable[[np.ndarray], int | None]:
    """The index of its first alarm among some errors. limit : rows until a false alarm, about."""
    before, after = rates(kind, streams)
    age = np.arange(AGES) / WIDTH
    share = np.where(age < 1.0, 1.0 / (1.0 + np.exp(-4.0 * (age - 0.5))), 1.0)
    rate = before + (after - before) * share
    odds = np.column_stack([(1.0 - rate) / (1.0 - before), rate / before])

    def first(errors: np.ndarray) -> int | None:
        found = int(_passed(errors[QUIET:].astype(np.int64), odds, limit))
        return None if found < 0 else found + QUIET

    return first


@compiled
def _passed(errors: np.ndarray, odds: np.ndarray, limit: float) -> int:
    """The index at which the sum passes the limit, -1 where it never does. odds : (ages, 2) of right and wrong."""
    last = len(odds) - 1
    wealth = np.zeros(last + 1)
    for i in range(len(errors)):
        total = 0.0
        wealth[last] += wealth[last - 1]
        for age in range(last - 1, 0, -1):
            wealth[age] = wealth[age - 1]
        wealth[0] = 1.0
        for age in range(last + 1):
            wealth[age] *= odds[age, errors[i]]
            total += wealth[age]
        if total > limit:
            return i
    return -1

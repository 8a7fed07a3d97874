"""When a series left its level: the likelihood of a change of mean at each earlier measurement."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Float

_COVERAGE = 0.95


class ChangePoint(NamedTuple):
    """Indices of the first measurement after the change: the likeliest, and the ends of its 95 % interval."""

    at: int
    low: int
    high: int


def change_point(u: Float, variance: float = 1.0) -> ChangePoint:
    """The start of the change that ends at the last measurement.

    u : (m,) independent residuals in standard deviations, mean 0 before the change, oldest first; NaN is skipped
    variance : of sums of u, against that of independent ones
    All starts are equally likely before. The mean after the change is fitted, at the cost of half a logarithm.
    Source: Hinkley (1970), Biometrika 57, 1-17; Schwarz (1978), Annals of Statistics 6, 461-464.

    >>> change_point(np.array([0.1, -0.4, 0.3, 4.0, 3.6, 4.4])).at
    3
    """
    known = np.where(np.isnan(u), 0.0, u)
    counts = np.cumsum((~np.isnan(u))[::-1])[::-1].astype(np.float64)
    sums = np.cumsum(known[::-1])[::-1]
    found = 0.5 * sums**2 / np.maximum(counts, 1.0) / max(variance, 1e-9) - 0.5 * np.log(counts + 1.0)
    log_likelihood = np.where(counts > 0, found, -np.inf)
    share = np.exp(log_likelihood - log_likelihood.max())
    share /= share.sum()
    at = int(np.argmax(share))
    order = np.argsort(-share, kind="stable")
    needed = int(np.searchsorted(np.cumsum(share[order]), _COVERAGE)) + 1
    inside = order[:needed]
    return ChangePoint(at, int(inside.min()), int(inside.max()))

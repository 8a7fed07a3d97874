"""The baselines against what they are known to do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from homeostat.jobs.drill.baselines import _ddm, _p_value


def naive_ddm(error: list[float]) -> list[int]:
    found, n, p, least = [], 0, 0.0, (np.inf, np.inf)
    for row, one in enumerate(error):
        n += 1
        p += (one - p) / n
        s = (p * (1 - p) / n) ** 0.5
        if n < 30:
            continue
        if p + s <= sum(least):
            least = p, s
        if least[1] > 0 and p + s > least[0] + 3 * least[1]:
            found.append(row)
            n, p, least = 0, 0.0, (np.inf, np.inf)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_ddm_is_its_naive_twin_however_the_errors_are_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    error = np.concatenate([rng.random(500) < 0.1, rng.random(500) < 0.35]).astype(float)
    memory = np.array([0.0, 0.0, np.inf, np.inf, np.inf])
    cuts = np.sort(rng.integers(0, len(error), 5))
    found, start = [], 0
    for part in np.split(error, cuts):
        found += (_ddm(part, memory) + start).tolist()
        start += len(part)
    assert found == naive_ddm(error.tolist()) and any(row > 500 for row in found)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_the_p_value_is_that_of_the_limit(shift: float) -> None:
    rng = np.random.default_rng(1)
    a, b = np.sort(rng.normal(size=4000)), np.sort(rng.normal(shift, size=2000))
    assert _p_value(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").pvalue, rel=0.15, abs=1e-9)

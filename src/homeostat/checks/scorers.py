"""The contract of every scorer, whatever it is built on.

A plug-in's author calls each check with a way to build the scorer, and features that are typical of it::

    @pytest.mark.parametrize("check", SCORER_CHECKS, ids=lambda check: check.__name__)
    def test_my_scorer(check):
        check(lambda: MyScorer("mine"), features)

Each check asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from homeostat.decide.contracts import ContributingScorer, Scorer
from homeostat.records.arrays import Float
from homeostat.records.features import Features, Freshness

Builds = Callable[[], Scorer]

_EXTREMES = (0.0, -0.0, 1e-300, 5e-324, 1e300, -1e300, np.inf, -np.inf)


def scores_are_numbers_in_range(build: Builds, features: Features) -> None:
    """Score and confidence are float64 arrays (n,) within [0, 1]."""
    _sound(build(), features)


def no_rows_have_no_scores(build: Builds, features: Features) -> None:
    """A batch of nothing is answered by nothing."""
    _sound(build(), features.slice(0, 0))


def gaps_and_extremes_still_have_scores(build: Builds, features: Features) -> None:
    """Values that are missing, all missing, infinite or tiny are scored within [0, 1]; no feature takes it down."""
    values = features.values.copy()
    for column in range(values.shape[1]):
        values[column % len(values) :: 7, column] = np.nan
    values[0] = np.nan
    for k, extreme in enumerate(_EXTREMES):
        values[(k + 1) % len(values), k % values.shape[1]] = extreme
    absent = np.where(np.isnan(values), np.uint8(Freshness.ABSENT), features.freshness)
    _sound(build(), Features(features.names, values, absent))


def scores_do_not_depend_on_the_batch(build: Builds, features: Features) -> None:
    """A row has the same bits alone, in any part of the batch, and beside other rows."""
    scorer, n = build(), len(features)
    whole = np.stack(_sound(scorer, features))
    for size in (1, 2, 7, 64):
        parts = [
            np.stack(_sound(scorer, features.slice(k, min(n, k + size)))) for k in range(0, min(n, 40 * size), size)
        ]
        cut = np.concatenate(parts, axis=1)
        assert cut.tobytes() == np.ascontiguousarray(whole[:, : cut.shape[1]]).tobytes(), f"batches of {size} differ"
    turned = Features(features.names, features.values[::-1].copy(), features.freshness[::-1].copy())
    assert np.stack(_sound(scorer, turned))[:, ::-1].tobytes() == whole.tobytes(), "the order of the rows matters"


def scores_do_not_depend_on_the_past(build: Builds, features: Features) -> None:
    """A scorer remembers nothing: asked again, after other rows, or built again, it answers the same bits."""
    scorer = build()
    first = np.stack(_sound(scorer, features))
    _sound(scorer, Features(features.names, features.values * 0.5, features.freshness))
    assert np.stack(_sound(scorer, features)).tobytes() == first.tobytes()
    assert np.stack(_sound(build(), features)).tobytes() == first.tobytes()


def features_are_left_as_they_were(build: Builds, features: Features) -> None:
    """The features are everybody's: no scorer writes to them."""
    before = features.values.tobytes(), features.freshness.tobytes()
    scorer = build()
    scorer.score(features)
    if isinstance(scorer, ContributingScorer):
        scorer.contributions(features.slice(0, 3))
    assert (features.values.tobytes(), features.freshness.tobytes()) == before


def contributions_are_one_number_a_feature(build: Builds, features: Features) -> None:
    """Where a scorer contributes: (n, features) finite numbers and a baseline, and scores that are none the wiser."""
    scorer = build()
    if not isinstance(scorer, ContributingScorer):
        return
    before = np.stack(_sound(scorer, features))
    some = features.slice(0, min(5, len(features)))
    parts, baseline = scorer.contributions(some)
    assert parts.shape == (len(some), len(features.names)), f"contributions have shape {parts.shape}"
    assert np.isfinite(parts).all() and np.isfinite(baseline)
    for k in range(len(some)):
        alone, _ = scorer.contributions(some.slice(k, k + 1))
        assert np.allclose(alone[0], parts[k], rtol=1e-9, atol=1e-12), "contributions depend on the batch"
    assert np.stack(_sound(scorer, features)).tobytes() == before.tobytes()


def _sound(scorer: Scorer, features: Features) -> tuple[Float, Float]:
    values, confidence = scorer.score(features)
    for what, array in (("scores", values), ("confidences", confidence)):
        assert isinstance(array, np.ndarray) and array.dtype == np.float64, f"{what} are no float64 array"
        assert array.shape == (len(features),), f"{what} of {len(features)} rows have shape {array.shape}"
        assert ((array >= 0.0) & (array <= 1.0)).all(), f"{what} are not all in [0, 1]"
    return values, confidence


SCORER_CHECKS: tuple[Callable[[Builds, Features], None], ...] = (
    scores_are_numbers_in_range,
    no_rows_have_no_scores,
    gaps_and_extremes_still_have_scores,
    scores_do_not_depend_on_the_batch,
    scores_do_not_depend_on_the_past,
    features_are_left_as_they_were,
    contributions_are_one_number_a_feature,
)

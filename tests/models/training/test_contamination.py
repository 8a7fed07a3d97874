"""An isolation forest's contamination is chosen in time order, and puts the score of .5 where it says."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.decide.scorers.forest import ForestScorer
from homeostat.models.training.bundles import features_of
from homeostat.models.training.extras import BadSetting
from homeostat.models.training.isolation_forest import train_isolation_forest
from homeostat.records.parts import Part, PartError

NAMES = ("a", "b", "c")
GRID = (0.01, 0.05, 0.1)


def rows(anomalous: float, n: int = 1500):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(n, 3)), (rng.random(n) < anomalous).astype(float)
    x[y == 1.0] += rng.choice([-1.0, 1.0], (int(y.sum()), 1)) * rng.uniform(6, 9, (int(y.sum()), 3))
    return x, y


def trained(x, y, **settings) -> Part:
    return train_isolation_forest(x, y, NAMES, {"trees": 30, "contamination": GRID, **settings}, 1)


@pytest.mark.parametrize("share", [0.01, 0.1])
@pytest.mark.parametrize("labelled", [True, False])
def test_the_share_of_anomalies_is_found_and_flagged(share: float, labelled: bool) -> None:
    x, y = rows(share)
    part = trained(x, y if labelled else np.full(len(y), np.nan))
    assert [row["contamination"] for row in part.settings["grid"]] == list(GRID)
    assert part.settings["chosen_by"] == ("f1" if labelled else "apart")
    if labelled:
        assert part.settings["contamination"] == share
        assert part.settings["held_out"]["f1"] >= (0.8 if share == 0.1 else 0.5)
    flagged = ForestScorer("odd", part, NAMES).score(features_of(NAMES, x))[0] >= 0.5
    assert flagged.mean() == pytest.approx(part.settings["contamination"], abs=0.005)


def test_parts_sum_to_the_log_odds() -> None:
    x, y = rows(0.05)
    scorer, asked = ForestScorer("odd", trained(x, y), NAMES), features_of(NAMES, x[:200])
    parts, baseline = scorer.contributions(asked)
    score = scorer.score(asked)[0]
    np.testing.assert_allclose(parts.sum(axis=1) + baseline, np.log(score / (1 - score)), atol=1e-6, rtol=0)


def test_anomalies_are_left_out_of_the_forest_that_serves() -> None:
    x, y = rows(0.1)
    plain = train_isolation_forest(x, y, NAMES, {"trees": 30}, 1)
    assert "contamination" not in plain.settings and "grid" not in plain.settings
    covers = [float(part.arrays["cover"].max()) for part in (plain, trained(x, y, rows=100_000))]
    assert covers == [256.0, 1350.0]


@pytest.mark.parametrize(("given", "words"), [((0.6,), "at most .5"), ((0.0,), "above 0")])
def test_a_contamination_is_a_share_below_a_half(given: tuple[float, ...], words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        trained(*rows(0.1), contamination=given)


def test_few_rows_choose_nothing_and_another_link_is_refused() -> None:
    x, y = rows(0.1, 99)
    with pytest.raises(BadSetting, match="at least 100 rows"):
        trained(x, y)
    part = train_isolation_forest(x, y, NAMES, {"trees": 3}, 1)
    with pytest.raises(PartError, match="logistic"):
        ForestScorer("odd", Part(part.kind, part.features, part.arrays, settings={**part.settings, "link": 3}), NAMES)

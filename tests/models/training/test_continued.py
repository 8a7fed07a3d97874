"""Trees that go on learning keep what the old ones say, and mend what these get wrong."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.decide.scorers.build import serve_part
from homeostat.models.training.boosted_trees import train_boosted
from homeostat.models.training.continued import continue_boosted, log_odds
from homeostat.records.features import Features
from homeostat.stats.metrics import log_loss

NAMES = ("amount", "hour", "age")
MORE = {"trees": 20, "depth": 3, "rate": 0.2}


def rows(n: int, turned: bool, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Events whose outcome follows the amount; once the law has turned, the hour."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[rng.random((n, 3)) < 0.05] = np.nan
    y = np.nan_to_num(x[:, 1 if turned else 0]) > 0.8
    return x, y.astype(np.float64)


@pytest.fixture(scope="module")
def start():
    x, y = rows(2_000, False)
    return train_boosted(x, y, NAMES, {"trees": 30, "bags": 2}, 1)


def risk(part, x):
    score, _ = serve_part("boosted", part, NAMES).score(Features(NAMES, x, np.zeros(x.shape, np.uint8)))
    return score


def continued(start, x, y):
    return continue_boosted(start, log_odds(risk(start, x)), x, y, MORE, 5)


def test_the_new_trees_stand_on_top_of_the_old_ones(start):
    import xgboost

    x, y = rows(1_500, True)
    made = continued(start, x, y)
    assert len(made.arrays["depth"]) == len(start.arrays["depth"]) + 20 and made.settings["scale"] == 1.0
    assert made.features == start.features and len(made.arrays["start"]) == len(made.arrays["depth"]) + 1
    alone = xgboost.DMatrix(x, label=y, base_margin=log_odds(risk(start, x)), nthread=1)
    booster = xgboost.train(
        {"objective": "binary:logistic", "tree_method": "hist", "base_score": 0.5, "max_depth": 3, "eta": 0.2,
         "seed": 5, "nthread": 1, "verbosity": 0}, alone, num_boost_round=20,
    )  # fmt: skip
    assert np.allclose(log_odds(risk(made, x)), booster.predict(alone, output_margin=True), atol=1e-4)


def test_it_learns_the_new_law_and_the_same_training_gives_the_same_bits(start):
    x, y = rows(1_500, True)
    made, again = (continued(start, x, y) for _ in range(2))
    later, truth = rows(1_500, True, seed=9)
    assert log_loss(truth, risk(made, later)) < 0.5 * log_loss(truth, risk(start, later))
    assert all(np.array_equal(made.arrays[name], again.arrays[name], equal_nan=True) for name in made.arrays)


def test_where_the_law_is_the_same_it_forgets_nothing(start):
    x, y = rows(300, False, seed=11)
    made = continued(start, x, y)
    later, truth = rows(1_500, False, seed=12)
    assert log_loss(truth, risk(made, later)) < 1.2 * log_loss(truth, risk(start, later)) + 0.02

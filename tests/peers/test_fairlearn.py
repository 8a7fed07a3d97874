"""Figures of groups against Fairlearn; `tests/stats/fairlearn.json` keeps Fairlearn's for `make test`.

`HOMEOSTAT_RECORD=1` writes that file again.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.support.groups import compared, decisions

from homeostat.stats.fairness import MEASURES, SHARES, apart, figures

pytestmark = pytest.mark.peers
RECORDED = Path(__file__).parent.parent / "stats" / "fairlearn.json"


def theirs(decided):
    """Fairlearn's value of each measure and group, and its difference and ratio between groups."""
    from fairlearn import metrics

    truth, taken = decided.label, decided.selected.astype(float)
    weight = {} if decided.weight is None else {"sample_weight": decided.weight}
    functions = dict(zip(SHARES, (metrics.selection_rate, metrics.true_positive_rate, metrics.false_positive_rate)))
    frames = {
        name: metrics.MetricFrame(
            metrics=function,
            y_true=truth,
            y_pred=taken,
            sensitive_features=decided.group,
            sample_params=weight,
        )
        for name, function in functions.items()
    }
    for name, value in {"calibration": decided.probability - truth, "cost_per_person": decided.cost}.items():
        if weight and name == "cost_per_person":
            continue  # A sum of weighted costs is not a weighted mean.
        frames[name] = metrics.MetricFrame(
            metrics=metrics.mean_prediction,
            y_true=truth,
            y_pred=value,
            sensitive_features=decided.group,
            sample_params=weight,
        )
    found = {
        name: {
            "groups": [float(value) for value in frame.by_group.sort_index()],
            "difference": float(frame.difference(method="between_groups")),
        }
        for name, frame in frames.items()
    }
    for name in SHARES:
        found[name]["ratio"] = float(frames[name].ratio(method="between_groups"))
    both = {"y_true": truth, "y_pred": taken, "sensitive_features": decided.group, **weight}
    found["selection_rate"]["named"] = [
        float(metrics.demographic_parity_difference(**both)),
        float(metrics.demographic_parity_ratio(**both)),
    ]
    found["equalised_odds"] = float(metrics.equalized_odds_difference(**both))
    return found


CASES = {"plain": (4_000, 1, False), "weighted": (3_000, 2, True), "few": (60, 3, False)}


@pytest.mark.parametrize("name", CASES)
def test_the_recorded_figures_are_fairlearns(name):
    found = theirs(decisions(*CASES[name]))
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if os.environ.get("HOMEOSTAT_RECORD"):
        recorded[name] = found
        RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    assert recorded[name].keys() == found.keys()
    for measure, values in found.items():
        kept = recorded[name][measure]
        for key in values if isinstance(values, dict) else ():
            np.testing.assert_allclose(kept[key], values[key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_figures_of_groups_are_fairlearns_on_the_same_data(seed):
    decided = decisions(300 + 50 * seed, seed=seed, weighted=seed % 2 == 1)
    found, ours = theirs(decided), figures(decided, persons_min=1)
    assert {f.measure for f in ours} == set(MEASURES)
    for measure in set(found) - {"equalised_odds"}:
        mine = compared(ours, measure)
        np.testing.assert_allclose([f.value for f in mine], found[measure]["groups"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(apart(mine)[0], found[measure]["difference"], rtol=1e-9, atol=1e-12)
        if measure in SHARES:
            np.testing.assert_allclose(apart(mine)[1], found[measure]["ratio"], rtol=1e-9, atol=1e-12)


def wilson_and_newcombe(a, b):
    from statsmodels.stats import proportion

    one = proportion.proportion_confint(*a, alpha=0.05, method="wilson")
    two = proportion.confint_proportions_2indep(*a, *b, method="newcomb", compare="diff", alpha=0.05)
    return one, two


@pytest.mark.parametrize("counts", [((3, 40), (10, 90)), ((0, 30), (5, 50)), ((25, 25), (1, 400))])
def test_intervals_of_shares_and_of_their_difference_are_those_of_statsmodels(counts):
    from homeostat.stats.intervals import difference_of, share_interval

    ours = [share_interval(hits / rows, rows) for hits, rows in counts]
    one, two = wilson_and_newcombe(*counts)
    np.testing.assert_allclose((ours[0].low, ours[0].high), one, rtol=1e-9, atol=1e-12)
    difference = difference_of(*ours)
    np.testing.assert_allclose((difference.low, difference.high), two, rtol=1e-9, atol=1e-12)


def scores_alone():
    """A fitted classifier whose only feature is the probability."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Scores(ClassifierMixin, BaseEstimator):
        classes_ = np.array([0, 1])

        def fit(self, x, y):
            return self

        def __sklearn_is_fitted__(self):
            return True

        def predict_proba(self, x):
            return np.column_stack([1 - np.asarray(x)[:, 0], np.asarray(x)[:, 0]])

    return Scores()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds"])
def test_thresholds_by_group_err_as_seldom_as_theirs_or_less(constraint, seed):
    from fairlearn.postprocessing import ThresholdOptimizer

    from homeostat.stats.group_thresholds import same_error_rates, same_selection_rate

    data = decisions(2_000, seed=seed + 30)
    score = np.round(data.probability, 2)
    optimizer = ThresholdOptimizer(
        estimator=scores_alone(), constraints=constraint, prefit=True, predict_method="predict_proba", grid_size=5_000
    )
    optimizer.fit(score[:, None], data.label, sensitive_features=data.group)
    chance = optimizer._pmf_predict(score[:, None], sensitive_features=data.group)[:, 1]
    errors = float(np.mean(np.where(data.label == 1, 1 - chance, chance)))
    ours = {"demographic_parity": same_selection_rate, "equalized_odds": same_error_rates}[constraint]
    found = ours(data.label, score, data.group, 4)
    assert found.cost <= errors + 1e-9  # Theirs lies on a grid of rates, ours at the corner itself.
    assert found.cost >= errors - 1e-3

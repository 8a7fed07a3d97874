"""The `tune` section: hostile and mistaken ones are refused with their places, and it is no part of what an app is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.tuned import BOOSTED, app_file

from homeostat.app import fingerprint
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app

FOREST = "forest: {kind: isolation_forest}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ("{trails: 4}", "unknown key 'trails'. Did you mean trials?"),
        ("{trials: 0}", "greater than or equal to 1"),
        ("{trials: 1e9}", "less than or equal to 100000"),
        ("{folds: many}", "should be a whole number"),
        ("{metric: f1}", "f1 judges fixed cut-offs"),
        ("{fold: 0s}", "should be longer than nothing"),
        ("{windows: [7d, 0s]}", "should be longer than nothing"),
        ("{sampler: bayes}", "is not one of tpe, random, cmaes, grid"),
        ("{scorers: {bosted: {}}}", "there is no scorer 'bosted'. Did you mean boosted?"),
        ("{scorers: {boosted: {dept: {low: 1, high: 3}}}}", "no setting 'dept'. Did you mean depth?"),
        ("{scorers: {boosted: {__class__: {low: 1, high: 3}}}}", "not a name"),
        ("{scorers: {boosted: {depth: {low: 3, high: 3}}}}", "low should be below high"),
        ("{scorers: {boosted: {depth: {low: 3}}}}", "give low and high, or choices"),
        ("{scorers: {boosted: {depth: {low: 0, high: 3}}}}", "0.0 can't be set"),
        ("{scorers: {boosted: {depth: {low: 1, high: 99}}}}", "99.0 can't be set"),
        ("{scorers: {boosted: {rate: {low: 0, high: 1, log: true}}}}", "by their logarithm begin above 0"),
        ("{scorers: {boosted: {rate: {low: 0.1, high: .inf}}}}", "should be"),
        ("{scorers: {boosted: {rate: {choices: [0.1], low: 1}}}}", "choices stand alone"),
        ("{scorers: {boosted: {rate: {choices: [0.1, fast]}}}}", "can't be set"),
        ("{scorers: {boosted: {threads: {low: 1, high: 9}}}}", "changes nothing in what is learned"),
        ("{fusion: {weights: {low: -1, high: 1}}}", "a weight is at least 0"),
        ("{cuts: {low: 0.1, high: 0.2}}", "a cut-off changes f1"),
        ("{every: often}", "is not a duration"),
        ("{when: {metric: roc_auc}}", "roc_auc has a bound `below`"),
        ("{load_max: 0}", "greater than 0"),
        ("{every: 90d}\ncanary: {steps: [1]}", "let canary.steps begin below 1"),
        ("{constraints: {latency_us_max: -3}}", "greater than 0"),
        ("{constraints: {floors: [{metric: f1, value: 1}]}}", "f1 judges fixed cut-offs"),
    ],
)
def test_a_section_that_means_nothing_is_refused_with_its_fault(tmp_path: Path, tune: str, said: str) -> None:
    with pytest.raises(AppFileError) as refused:
        load_app(app_file(tmp_path, tune))
    assert said in str(refused.value) and "tune" in str(refused.value)


def test_what_is_not_trained_or_not_declared_can_not_be_tuned(tmp_path: Path) -> None:
    rules = "rules: {kind: rules, rules: [{name: big, when: amount > 9, score: 0.5}]}"
    with pytest.raises(AppFileError, match="is not trained, so nothing of it can be tuned"):
        load_app(app_file(tmp_path, "{scorers: {rules: {trees: {low: 1, high: 2}}}}", f"{BOOSTED}, {rules}"))
    for tune in ("{metric: cost}", "{when: {metric: cost, above: 2}}"):
        with pytest.raises(AppFileError, match="declares no costs"):
            load_app(app_file(tmp_path, tune, costs=False))
    with pytest.raises(AppFileError, match="if it is weighted or learned, not adaptive"):
        load_app(app_file(tmp_path, "{fusion: {kinds: [weighted]}}", f"{BOOSTED}, {FOREST}", "{kind: adaptive}"))
    with pytest.raises(AppFileError, match="between 0 and 1"):
        load_app(app_file(tmp_path, "{metric: f1, cuts: {low: 0.5, high: 2}}", costs=False))


def test_how_an_app_is_tuned_is_no_part_of_what_it_is(tmp_path: Path) -> None:
    one, other = load_app(app_file(tmp_path, "{trials: 3}")), load_app(app_file(tmp_path, "{trials: 4}"))
    assert fingerprint(one) == fingerprint(other)
    assert one.tune is not None and one.tune.trials == 3

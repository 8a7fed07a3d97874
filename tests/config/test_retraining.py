"""The `retrain` section: mistaken ones are refused with their places, and it is no part of what an app is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.tuned import app_file

from homeostat.app import fingerprint
from homeostat.config.faults import AppFileError
from homeostat.config.load import load_app


@pytest.mark.parametrize(
    ("retrain", "said"),
    [
        ("{outcome: 4}", "Did you mean outcomes?"),
        ("{outcomes: 0}", "retrain.outcomes"),
        ("{every: often}", "is not a duration"),
        ("{feedback: {}}", "retrain.feedback"),
        ("{quality: {metric: f1}}", "retrain.quality"),
        ("{quality: {metric: roc_auc}}", "roc_auc has a bound `below`"),
        ("{quality: {above: 2}}", "average_precision has a bound `below`"),
        ("{quality: {metric: cost, below: 0.5}}", "cost has a bound `above`"),
        ("{quality: {below: 0.5, confidence: 1}}", "retrain.quality.confidence"),
        ("{autonomy: always}", "retrain.autonomy"),
        ("{alpha: 0}", "retrain.alpha"),
        ("{autonomy: full}\ncanary: {steps: [1]}", "let canary.steps begin below 1"),
    ],
)
def test_a_section_that_means_nothing_is_refused_with_its_fault(tmp_path: Path, retrain: str, said: str) -> None:
    with pytest.raises(AppFileError) as refused:
        load_app(app_file(tmp_path, more=f"retrain: {retrain}"))
    assert said in str(refused.value) and "retrain" in str(refused.value)


@pytest.mark.parametrize("retrain", ["{autonomy: full}", "{quality: {metric: cost, above: 2}}"])
def test_an_app_without_costs_can_not_be_judged(tmp_path: Path, retrain: str) -> None:
    with pytest.raises(AppFileError, match="costs"):
        load_app(app_file(tmp_path, costs=False, more=f"retrain: {retrain}"))


def test_when_an_app_is_trained_again_is_no_part_of_what_it_is(tmp_path: Path) -> None:
    one = load_app(app_file(tmp_path, more="retrain: {every: 30d}"))
    other = load_app(app_file(tmp_path, more="retrain: {every: 20d}"))
    assert one.retrain is not None and one.retrain.autonomy == "assisted"
    assert fingerprint(one) == fingerprint(other)

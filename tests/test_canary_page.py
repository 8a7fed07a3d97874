"""The story of docs/canary.md, run as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.canary_story import check_mirror, told
from tests.support.mlflow_stand_in import standing_in


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of the MLflow client's own libraries.
def test_the_story_of_a_canary_runs_as_it_is_written(tmp_path: Path) -> None:
    with standing_in() as mlflow:
        _, _, _, second, third, end, mirrored = told(tmp_path, mlflow)
        check_mirror(tmp_path, mlflow)
    assert "1,000 events in shadow" in second and "events, of which" in second
    assert "next: promote, every guardrail passes" in second, second[-1500:]
    assert "next: end, action block" in third and "no canary: ended: action block" in third
    assert "homeostat canary" in end and "the first did as well" in end
    assert "whole" in end and "settings.db" in end
    assert mirrored == "mirrored 3 versions and 0 deletions; moved champion, challenger\n"

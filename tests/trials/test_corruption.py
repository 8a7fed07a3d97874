"""A short form of each trial of corruption: an error of ours, or a result that is right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # Trials are no part of the installed package.

from trials.corruption.redis_keys import RedisKeys
from trials.corruption.roads import ROADS

COUNTS = {"app_files": 150, "bundles": 600, "snapshots": 150, "journals": 150, "parquet": 150, "stores": 200}


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(ROADS))
def test_what_is_corrupted_is_refused_in_a_sentence_or_read_right(name: str, tmp_path: Path) -> None:
    road = ROADS[name](tmp_path)
    ended = {road.case(number, np.random.default_rng([7, number])) for number in range(COUNTS[name])}
    assert len(ended) > 1, "every case ended alike: the corruption reaches nothing"


def test_garbage_in_keys_of_redis_is_noticed_and_mended(redis, tmp_path: Path) -> None:
    road = RedisKeys(tmp_path)
    try:
        ended = {road.case(number, np.random.default_rng([7, number])) for number in range(40)}
    finally:
        road.close()
    assert "flagged and mended" in ended

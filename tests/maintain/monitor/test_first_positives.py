"""Only the first positive of an entity's run counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.checks.ticks import HOUR_NS, no_outcomes
from homeostat.maintain.contracts import Known
from homeostat.maintain.monitor.first_positives import FirstPositives
from homeostat.records.identity import ABSENT

DAY_NS = 24 * HOUR_NS


def of(*keys: tuple[int, int]) -> Known:
    return replace(no_outcomes(3, 5, 2), keys=np.array(keys, np.int64))


def test_a_positive_is_a_first_one_where_none_of_its_entities_had_one_lately() -> None:
    first, at = FirstPositives(2), np.arange(3)
    assert first.among(of((1, 10), (2, 20), (1, 30)), at, DAY_NS).tolist() == [True, True, False]
    assert first.among(of((3, 10), (2, 40), (4, 50)), at, 2 * DAY_NS).tolist() == [False, False, True]
    assert first.among(of((5, 20), (1, 60), (6, 70)), at, 15 * DAY_NS).tolist() == [True, True, True]


def test_an_absent_key_is_no_entity() -> None:
    first = FirstPositives(2)
    found = first.among(of((ABSENT, 10), (ABSENT, 20)), np.arange(2), DAY_NS)
    assert found.tolist() == [True, True]


def test_without_entities_every_positive_is_a_first_one() -> None:
    assert FirstPositives(0).among(of((1, 1), (1, 1)), np.arange(2), DAY_NS).all()

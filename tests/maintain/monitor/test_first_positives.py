"""Only the first positive of an entity's run counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from homeostat.checks.ticks import HOUR_NS, no_outcomes
from homeostat.maintain.contracts import Known
from homeostat.maintain.monitor.first_positives import FirstPositives
from homeostat.records.identity import ABSENT

DAY_NS = 24 * HOUR_NS


def of(*keys: tuple[int, int]) -> Known:
    return replace(no_outcomes(3, 5, 2), keys=np.array(keys, np.int64))


def first_of(first: FirstPositives, known: Known, day: int) -> list[bool]:
    """Those among the positives of one tick."""
    m = len(known.keys)
    return first.chosen(known, np.arange(m), np.array([0, m]), np.array([day * DAY_NS])).tolist()


def test_a_positive_is_a_first_one_where_none_of_its_entities_had_one_lately() -> None:
    first = FirstPositives(2)
    assert first_of(first, of((1, 10), (2, 20), (1, 30)), 1) == [True, True, False]
    assert first_of(first, of((3, 10), (2, 40), (4, 50)), 2) == [False, False, True]
    assert first_of(first, of((5, 20), (1, 60), (6, 70)), 15) == [True, True, True]


def test_an_absent_key_is_no_entity() -> None:
    assert first_of(FirstPositives(2), of((ABSENT, 10), (ABSENT, 20)), 1) == [True, True]


def test_without_entities_every_positive_is_a_first_one() -> None:
    assert all(first_of(FirstPositives(0), of((1, 1), (1, 1)), 1))


@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=5), min_size=1, max_size=30))
def test_the_first_positives_of_a_block_are_those_of_a_naive_count(ticks: list[list[tuple[int, int]]]) -> None:
    last: dict[tuple[int, int], int] = {}
    expected = []
    for day, rows in enumerate(ticks, 1):
        for row in rows:
            expected.append(all(day - last.get(one, -99) >= 14 for one in enumerate(row)))
            last |= dict.fromkeys(enumerate(row), day)
    known = of(*(row for rows in ticks for row in rows)) if any(ticks) else replace(no_outcomes(3, 5, 2))
    offsets = np.cumsum([0, *map(len, ticks)])
    end_ns = DAY_NS * np.arange(1, len(ticks) + 1)
    whole = FirstPositives(2)
    assert whole.chosen(known, np.arange(offsets[-1]), offsets, end_ns).tolist() == expected
    cut, half = FirstPositives(2), len(ticks) // 2
    found = []
    for begin, stop in ((0, half), (half, len(ticks))):
        at = np.arange(offsets[begin], offsets[stop])
        found += cut.chosen(known, at, offsets[begin : stop + 1] - offsets[begin], end_ns[begin:stop]).tolist()
    assert found == expected and (cut.memory["last"] == whole.memory["last"]).all()

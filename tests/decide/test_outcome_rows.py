import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.outcome_rows import located, outcome_rows
from homeostat.decide.waiting import Waiting
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.identity import ABSENT, Ids, rows_in
from homeostat.records.rows import inserted, joined_outcomes, pick


def events(ids):
    n = len(ids)
    codes = np.array(ids, np.int64)
    return EventBatch(
        codes, codes * 10, np.column_stack([codes, -codes]), codes[:, None].astype(float), np.full(n, np.nan),
        np.zeros(n, np.uint8), {5: "five"},
    )  # fmt: skip


def outcomes(ids, known, located=True, scheduled=True):
    codes = np.array(ids, np.int64)
    return OutcomeBatch(
        codes, np.ones(len(ids)), np.array(known, np.int64), np.zeros(len(ids)), scheduled=scheduled,
        time_ns=codes * 10 if located else None, keys=np.column_stack([codes, -codes]) if located else None,
    )  # fmt: skip


@pytest.mark.long
@settings(deadline=None)
@given(st.lists(st.integers(0, 6), max_size=10))
def test_outcomes_stand_before_their_rows_in_order_of_arrival(positions):
    base = events([1, 2, 3, 4, 5, 6])
    found = outcomes([100 + k for k in range(len(positions))], [0] * len(positions))
    mixed = inserted(base, outcome_rows(found, 1), np.array(positions, np.int64))
    expected = []
    for row in range(7):
        expected += [100 + k for k, position in enumerate(positions) if position == row]
        expected += [row + 1] if row < 6 else []
    assert mixed.id_code.tolist() == expected
    assert mixed.time_ns.tolist() == [key * 10 for key in expected]
    assert mixed.keys[:, 1].tolist() == [-key for key in expected]
    assert (mixed.kind == Row.OUTCOME).tolist() == [key >= 100 for key in expected]
    assert pick(mixed, mixed.kind != Row.OUTCOME).numbers.tobytes() == base.numbers.tobytes()
    assert mixed.texts == base.texts


def test_rows_are_found_by_id():
    asked = Ids.of([(9, 0), (1, 0), (7, 0), (7, 0), (7, 1)])
    assert rows_in(events([7, 3, 9]).ids, asked).tolist() == [2, -1, 0, 0, -1]


def test_merged_outcomes_say_which_of_them_were_located():
    both = joined_outcomes([outcomes([1], [5], located=False), outcomes([2], [4])])
    assert located(both).tolist() == [False, True] and both.time_ns.tolist() == [ABSENT, 20]
    assert located(outcomes([1], [5], located=False)).tolist() == [False]
    assert both.rows(np.array([1])).keys.tolist() == [[2, -2]]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(1, 3)), max_size=25),
    st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(1, 12), st.integers(0, 25),
)  # fmt: skip
def test_what_waits_is_handed_out_like_its_naive_twin_also_after_a_restart(added, steps, size, restart):
    waiting, at_once, scheduled, number = Waiting(), [], [], 0
    for k, (known, later, count) in enumerate(added):
        ids = list(range(number, number + count))
        number += count
        waiting.add(outcomes(ids, [known + 3 * j for j in range(count)], located=k % 2 == 0, scheduled=later))
        if later:
            scheduled += [(known + 3 * j, key) for j, key in enumerate(ids)]
        else:
            at_once += ids
        if k == restart:
            state = waiting.state()
            waiting = Waiting()
            waiting.restore(state)
    assert len(waiting) == len(at_once) + len(scheduled)
    running = np.cumsum(steps)
    scheduled.sort()  # By moment, then by arrival: ids rise.
    for start in range(0, len(running), size):
        part = running[start : start + size]
        expected = [(0, key) for key in at_once]
        expected += [(int(np.argmax(part >= known)), key) for known, key in scheduled if known <= part[-1]]
        scheduled, at_once = [(known, key) for known, key in scheduled if known > part[-1]], []
        due = waiting.due(part)
        found = [] if due is None else list(zip(due[0].tolist(), due[1].id_code.tolist(), strict=True))
        assert found == expected
    assert len(waiting) == len(scheduled)
    assert waiting.due(np.empty(0, np.int64)) is None

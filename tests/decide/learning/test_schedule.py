import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from homeostat.decide.learning.schedule import Schedule


@given(st.lists(st.integers(0, 25), max_size=30), st.integers(1, 7), st.integers(-500, 500))
def test_moments_do_not_depend_on_the_batch_or_on_a_restart(steps, size, start_ns):
    running = start_ns + np.cumsum(np.array(steps, np.int64))
    whole, cut = list(Schedule(10).cuts(running)), []
    schedule = Schedule(10)
    for start in range(0, len(running), size):
        cut += [(a + start, b + start, moment) for a, b, moment in schedule.cuts(running[start : start + size])]
        state, schedule = schedule.state(), Schedule(10)
        schedule.restore(state)
    assert [(a, moment) for a, _, moment in whole if moment is not None] == [
        (a, moment) for a, _, moment in cut if moment is not None
    ]
    assert [k for a, b, _ in whole for k in range(a, b)] == list(range(len(running)))
    for a, b, moment in whole:
        assert len(set((running[a:b] // 10).tolist())) == 1
        assert moment is None or running[a] >= moment > running[a] - 10


def test_the_first_event_of_all_learns_nothing():
    assert list(Schedule(10).cuts(np.array([95]))) == [(0, 1, None)]
    assert list(Schedule(10).cuts(np.empty(0, np.int64))) == []

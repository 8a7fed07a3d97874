import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from homeostat.decide.admission import Watermark, admit
from homeostat.records.events import EventBatch, Row
from homeostat.records.identity import Ids, first_rows

LATENESS = 5


def batch(ids, times):
    n = len(ids)
    return EventBatch(
        np.array(ids, np.int64), np.array(times, np.int64), np.zeros((n, 1), np.int64), np.zeros((n, 1)),
        np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip


@given(st.lists(st.integers(0, 6)))
def test_the_first_row_of_each_id_is_found(ids):
    # Codes are shared by twos: checks tell these apart.
    table = np.array(ids, np.int64)
    assert first_rows(Ids(table >> 1, table & 1)).tolist() == [ids.index(key) for key in ids]


def naive(rows, decided, now, reject):
    """What becomes of each row when they come one by one."""
    taken, fate = {}, []
    for k, (key, time) in enumerate(rows):
        if key in decided:
            fate.append("seen")
        elif key in taken:
            fate.append(taken[key])
        elif reject and time < now - LATENESS:
            fate.append("refused")
        else:
            taken[key] = k
            now = max(now, time)
            fate.append("new")
    return fate, now


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=15),
    st.sets(st.integers(0, 9), max_size=3), st.integers(0, 15), st.booleans(),
)  # fmt: skip
def test_admission_equals_its_naive_twin(rows, decided, now, reject):
    events = batch([key for key, _ in rows], [time for _, time in rows])
    watermark = Watermark(LATENESS)
    watermark.now_ns = now
    seen = np.array([key in decided for key, _ in rows], bool)
    found = admit(events, seen, watermark, reject)
    expected, then = naive(rows, decided, now, reject)
    for k, fate in enumerate(expected):
        assert (found.new[k], found.refused[k], found.again[k]) == (
            fate == "new",
            fate == "refused",
            not isinstance(fate, str),
        )
        assert found.first[k] == (k if isinstance(fate, str) or seen[k] else fate) or seen[k]
    assert watermark.now_ns == now
    watermark.advance(events.time_ns[found.new])
    assert watermark.now_ns == then


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(1, 5))
def test_the_watermark_and_its_late_rows_do_not_depend_on_the_batch(times, size):
    events = batch(range(len(times)), times)
    one, other = Watermark(LATENESS), Watermark(LATENESS)
    running = one.advance(events.time_ns)
    kinds = one.mark_late(events, running).kind
    cut_running, cut_kinds = [], []
    for start in range(0, len(times), size):
        part = events.slice(start, start + size)
        cut_running += (passed := other.advance(part.time_ns)).tolist()
        cut_kinds += other.mark_late(part, passed).kind.tolist()
    assert running.tolist() == cut_running == [max(times[: k + 1]) for k in range(len(times))]
    late = [time < max(times[: k + 1]) - LATENESS for k, time in enumerate(times)]
    assert kinds.tolist() == cut_kinds == [Row.LATE_EVENT if is_late else Row.EVENT for is_late in late]
    other = Watermark(LATENESS)
    other.restore(one.state())
    assert other.now_ns == one.now_ns


def test_a_watermark_that_saw_nothing_finds_nothing_late():
    watermark = Watermark(LATENESS)
    events = batch([1], [-(1 << 62)])
    assert watermark.mark_late(events, watermark.advance(events.time_ns)) is events
    assert len(watermark.advance(np.empty(0, np.int64))) == 0

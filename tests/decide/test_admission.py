import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from homeostat.decide.admission import Watermark, admit, admitted
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
    """The fate of each row when they come one by one."""
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


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 99)), min_size=1, max_size=20), st.integers(1, 20))
def test_how_far_events_reach_does_not_hang_on_what_came_with_them(rows, step):
    """Each row is (time, clock); rows of one clock reading come together, as a server takes them."""
    clocks = sorted(clock for _, clock in rows)
    parts = [admitted(batch([k], [time]), clock, 5, 60) for k, ((time, _), clock) in enumerate(zip(rows, clocks))]
    for part, (time, _), clock in zip(parts, rows, clocks, strict=True):
        assert part.reach.tolist() == [time if time <= clock + 5 else clock - 60]
    for clock in set(clocks):
        chosen = [k for k, one in enumerate(clocks) if one == clock]
        together = admitted(batch(chosen, [rows[k][0] for k in chosen]), clock, 5, 60)
        assert together.reach.tolist() == [parts[k].reach.item() for k in chosen]
        for start in range(0, len(chosen), step):
            assert together.slice(start, start + step).reach.tolist() == together.reach.tolist()[start : start + step]
    watermark = Watermark(LATENESS)
    for part, clock in zip(parts, clocks, strict=True):
        watermark.advance(part.reach)
        assert watermark.now_ns <= clock + 5


def test_an_ordinary_batch_has_no_column_of_how_far_it_reaches():
    events = batch([1, 2, 3], [100, 105, 7])
    assert admitted(events, 100, 5, 60) is events
    assert admitted(batch([], []), 100, 5, 60).reach_ns is None


def test_what_is_refused_as_late_hangs_on_how_far_earlier_events_reach():
    events = admitted(batch([1, 2, 2, 3], [100, 150, 150, 94]), 100, 5, 60)
    found = admit(events, np.zeros(4, bool), Watermark(LATENESS), reject_late=True)
    assert found.refused.tolist() == [False, False, False, True] and found.again.tolist() == [False, False, True, False]
    alone = admit(events.slice(0, 2), np.zeros(2, bool), Watermark(LATENESS), reject_late=True)
    assert not alone.refused.any()

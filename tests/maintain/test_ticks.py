from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.maintain.journals import SPAN, cut, form, journal

from homeostat.maintain import open_decisions
from homeostat.maintain.ticks import TickReader, ticks_of
from homeostat.records.bodies import ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, OutcomeBatch


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        floats = one.dtype.kind == "f"
        return (
            one.shape == other.shape and np.allclose(one, other, 1e-12, 0, equal_nan=True)
            if floats
            else np.array_equal(one, other)
        )
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one) if f.name != "texts")
    return one == other


def alike(ticks, others) -> bool:
    return len(ticks) == len(others) and all(same(one, other) for one, other in zip(ticks, others))


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), cuts=st.integers(0, 10**6))
def test_entries_in_any_pieces_give_the_same_ticks(seed, cuts):
    bodies = journal(seed)
    assert alike(list(ticks_of(bodies, form())), list(ticks_of(cut(bodies, np.random.default_rng(cuts)), form())))


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(0, 30))
def test_a_restart_anywhere_changes_nothing(seed, at):
    bodies = journal(seed)
    whole, first = TickReader(form()), TickReader(form())
    expected = [tick for body in bodies for tick in whole.add(body)] + whole.end()
    found = [tick for body in bodies[:at] for tick in first.add(body)]
    again = TickReader(form())
    again.restore({name: column.copy() for name, column in first.state().items()})
    found += [tick for body in bodies[at:] for tick in again.add(body)] + again.end()
    assert alike(expected, found)
    ends = again.state(), whole.state()
    assert all(same(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("remembered", [None, 2])
def test_a_ring_that_is_full_again_and_again_forgets_nothing_too_early(monkeypatch, remembered):
    bodies, asked = journal(5, entries=60), form(known_features=remembered)
    expected = list(ticks_of(bodies, asked))
    assert len(expected) > 20 and any(len(tick.known.label) for tick in expected[20:])
    monkeypatch.setattr(open_decisions, "ROOM", 1)  # So that rows begin again at the first place many times.
    reader = TickReader(asked)
    found = [tick for body in bodies for tick in reader.add(body)] + reader.end()
    assert alike(expected, found)
    assert {tick.known.features.shape[1] for tick in found} == {remembered or 5}


def test_only_the_first_features_are_remembered_where_no_more_are_wanted():
    bodies = journal(7)
    for few, all_ in zip(ticks_of(bodies, form(known_features=2)), ticks_of(bodies, form()), strict=True):
        assert same(few.known.features, all_.known.features[:, :2]) and same(few.features, all_.features)


def naive(bodies, f):
    """Row by row: the tick of each decision, and of each outcome."""
    now, following, first = None, None, None
    rows, reported = {}, {}
    waiting = []
    for body in bodies:
        if isinstance(body, DecisionBatch):
            for i in range(len(body)):
                time = int(body.events.time_ns[i])
                span = -(-time // f.span_ns)
                if first is None:
                    first, following = span, span
                now = time if now is None else max(now, time)
                following = max(following, -(-(now - f.lateness_ns) // f.span_ns))
                tick = max(span, following)
                rows.setdefault(tick, []).append(int(body.events.id_code[i]))
                if not np.isnan(body.events.label[i]):
                    due = max(-(-(time + f.label_delay_ns) // f.span_ns), tick)
                    reported.setdefault(due, []).append(int(body.events.id_code[i]))
        elif isinstance(body, OutcomeBatch):
            for i in range(len(body)):
                if first is None:
                    waiting.append((int(body.id_code[i]), int(body.known_ns[i])))
                    continue
                at = int(body.known_ns[i]) if body.scheduled else now
                reported.setdefault(max(-(-at // f.span_ns), following), []).append(int(body.id_code[i]))
    return first, rows, reported


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rows_and_outcomes_are_in_the_ticks_of_a_naive_twin(seed):
    f, bodies = form(), journal(seed)
    first, rows, reported = naive(bodies, f)
    for tick in ticks_of(bodies, f):
        number = tick.number + first - 1
        assert tick.end_ns == number * f.span_ns and tick.start_ns == tick.end_ns - f.span_ns
        assert tick.events.id_code.tolist() == rows.get(number, [])
        assert int(tick.known.fresh.sum()) == len(reported.get(number, []))
        assert tick.events_n == len(tick)


def test_numbers_count_from_one_without_gaps_and_changes_stand_where_they_were():
    bodies = journal(3, entries=30)
    ticks = list(ticks_of(bodies, form()))
    assert [tick.number for tick in ticks] == list(range(1, len(ticks) + 1))
    changes = [change for body in bodies if isinstance(body, ChangeBatch) for change in body.changes]
    assert [change.number for tick in ticks for change in tick.changes] == [change.number for change in changes]


def quiet(labels: bool = False) -> list:
    """Six ticks with three rows each, in order, without outcomes."""
    found = []
    for k, body in enumerate(b for b in journal(1, 40) if isinstance(b, DecisionBatch) and len(b) >= 3):
        three = np.arange(3)
        times = (5 + k) * SPAN + 1 + three
        events = replace(
            body.events.rows(three), time_ns=times, id_code=3 * k + three, id_check=np.zeros(3, np.int64),
            label=np.full(3, np.nan),
        )  # fmt: skip
        from homeostat.records.rows import decisions_at

        found.append(replace(decisions_at(body, three), events=events))
        if k == 9:
            break
    return found


def outcome(ids, labels, known):
    ids = np.array(ids)
    return OutcomeBatch(ids, np.array(labels, float), np.array(known), np.full(len(ids), np.nan))


def test_an_outcome_meets_its_decision_and_comes_again_when_it_is_mature():
    bodies = quiet()
    bodies.insert(2, outcome([0], [1.0], [6 * SPAN + 5]))
    f = form(ages=replace(form().ages, unknown_negative=False))
    ticks = list(ticks_of(bodies, f))
    rows = [
        (t.number, k.mature.tolist(), k.fresh.tolist(), k.risk.tolist()) for t in ticks if len((k := t.known).label)
    ]
    risk = [float(bodies[0].fused.risk[0])]
    assert rows == [(2, [0], [1], risk), (4, [1], [0], risk)]


def test_silence_is_a_negative_at_the_age_of_maturity_unless_the_action_hides_it():
    ticks = list(ticks_of(quiet(), form()))
    one = next(t for t in ticks if len(t.known.label))
    assert one.number == 4 and not one.known.fresh.any() and one.known.mature.all()
    first = ticks[0]
    assert one.known.risk.tolist() == first.risk[first.action != 2].tolist()
    assert (one.known.label == 0).all() and (one.known.known_ns == one.known.time_ns + 3 * SPAN).all()


def test_an_outcome_of_a_forgotten_or_unknown_decision_says_so():
    bodies = quiet()
    bodies.append(outcome([0, 777], [1.0, 0.0], [15 * SPAN] * 2))
    known = list(ticks_of(bodies, form()))[-1].known
    fresh = known.fresh == 1
    assert np.isnan(known.risk[fresh]).all() and (known.action[fresh] == -1).all()


def test_many_rows_are_sampled_by_their_ids_and_counted(monkeypatch):
    bodies = journal(5, entries=40)
    f = form(rows_max=8, remembered_max=16)
    ticks, whole = list(ticks_of(bodies, f)), list(ticks_of(bodies, form()))
    assert all(len(tick) <= 8 for tick in ticks) and any(tick.events_n > len(tick) > 0 for tick in ticks)
    assert [tick.events_n for tick in ticks] == [len(tick) for tick in whole]
    rng = np.random.default_rng(0)
    assert alike(ticks, list(ticks_of(cut(bodies, rng), f)))


def test_memory_does_not_grow_with_time():
    f = form(remembered_max=40)
    reader = TickReader(f)
    sizes = []
    for k in range(12):
        for body in journal(k, entries=20, start=(5 + 40 * k) * SPAN):
            if isinstance(body, DecisionBatch):
                codes = body.events.id_code + 10_000 * k
                body = replace(body, events=replace(body.events, id_code=codes))
            reader.add(body)
        assert len(reader.decisions) <= 40
        sizes.append(sum(column.nbytes for column in reader.decisions.state().values()))
    assert max(sizes[6:]) <= 2 * max(sizes[:6])


def test_a_clock_closes_ticks_of_a_silent_source():
    reader = TickReader(form())
    bodies = quiet()
    assert reader.pass_time(10**9) == []
    assert reader.add(bodies[0]) == []
    ticks = reader.pass_time(9 * SPAN + SPAN // 2 + 1)
    assert [len(tick) for tick in ticks] == [3, 0, 0, 0]
    late = reader.add(bodies[1]) + reader.end()
    assert (
        [len(tick) for tick in late] == [3]
        and late[0].number == 5
        and (late[0].events.time_ns <= late[0].start_ns).all()
    )


def test_letters_and_repeats_count_in_the_present_tick():
    reader = TickReader(form())
    letter = DeadLetter(1, "amount", "x", "wrong_type")
    reader.refuse([letter])
    bodies = quiet()
    reader.add(bodies[0])
    reader.refuse([letter], 7)
    reader.repeat(4)
    restored = TickReader(form())
    restored.restore(reader.state())
    tick = restored.end()[0]
    assert (tick.letters_n, tick.letters, tick.repeats) == (8, (letter, letter), 4)


@pytest.mark.parametrize("scheduled", [True, False])
def test_outcomes_before_any_event_wait_for_it(scheduled):
    bodies = quiet()
    early = replace(outcome([4, 1], [1.0, 0.0], [7 * SPAN, 6 * SPAN]), scheduled=scheduled)
    ticks = list(ticks_of([early, *bodies], form()))
    assert [int(t.known.fresh.sum()) for t in ticks[:4]] == [1, 1, 0, 0]


def test_features_that_are_new_have_no_values():
    f = form(features=("feature_1", "fresh_one"))
    tick = next(iter(ticks_of(quiet(), f)))
    assert tick.features.values.shape == (3, 2) and np.isnan(tick.features.values[:, 1]).all()

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.checks.batches import decisions, same
from homeostat.decide.outcomes.joiner import OutcomeJoiner
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import Ids

_spec = importlib.util.spec_from_file_location("naive_joiner", Path(__file__).with_name("naive.py"))
naive = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(naive)

DELAY, HORIZON, BLOCK = 7, 20, 2


def costs(events):
    amount = events.numbers[:, 0]
    return np.column_stack([amount, amount / 2, amount * 0]), np.column_stack([amount * 0, amount * 0 + 1, amount])


def joiner(unknown_negative=True, horizon=HORIZON, maturity=None, context=("feature_1", "absent", "feature_0")):
    return OutcomeJoiner(
        costs, context=context, actions=3, scorers=2, entities=2, delay_ns=DELAY, horizon_ns=horizon,
        unknown_negative=unknown_negative, maturity_ns=maturity, censoring=(BLOCK,),
    )  # fmt: skip


def batch_of(ids, times, labels, actions, seed=0):
    batch = decisions(list(ids), seed)
    events = replace(
        batch.events, time_ns=np.array(times, np.int64), label=np.array(labels, float),
        kind=np.zeros(len(ids), np.uint8),
    )  # fmt: skip
    # The risk depends on the id and not on the batch, as it must where batches are cut differently.
    risk = (batch.events.id_code % 10) / 10
    ruling = replace(batch.ruling, action=np.array(actions, np.int16))
    return replace(batch, events=events, ruling=ruling, fused=replace(batch.fused, risk=risk))


def outcomes_of(ids, known, labels):
    n = len(ids)
    return OutcomeBatch(np.array(ids, np.int64), np.array(labels, float), np.array(known, np.int64), np.full(n, np.nan))


def rows(experience):
    return list(
        zip(experience.id_code.tolist(), experience.time_ns.tolist(), experience.label.tolist(),
            experience.censored.tolist(), strict=True)
    )  # fmt: skip


ids, times = st.integers(0, 25), st.integers(0, 60)
decided = st.tuples(st.just("decided"), ids, times, st.sampled_from([np.nan, 0.0, 1.0]), st.integers(0, 2))
outcome = st.tuples(st.just("outcome"), ids, times, st.sampled_from([0.0, 1.0]))
due = st.tuples(st.just("due"), st.integers(0, 100))


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(decided, decided, outcome, due), max_size=60),
    st.booleans(),
    st.sampled_from([3, HORIZON]),
    st.sampled_from([None, 0, 2, 3, 11, HORIZON]),
)
def test_the_joiner_equals_its_naive_twin_through_a_restart_at_every_step(steps, unknown_negative, horizon, maturity):
    maturity = maturity if maturity is None else min(maturity, horizon)
    made = unknown_negative, horizon, maturity
    fast, restarted = joiner(*made), joiner(*made)
    twin = naive.NaiveJoiner(DELAY, horizon, unknown_negative, {BLOCK}, maturity)
    for what, *step in [*steps, ("due", 1000)]:
        was, taken = fast.state(), fast.taken()
        if what == "decided":
            id, time, label, action = step
            batch = batch_of([id], [time], [label], [action])
            fast.remember(batch)
            restarted.remember(batch)
            twin.remember(id, time, label, action, (id % 10) / 10)
        elif what == "outcome":
            fast.deliver(outcomes_of([step[0]], [step[1]], [step[2]]))
            restarted.deliver(outcomes_of([step[0]], [step[1]], [step[2]]))
            twin.deliver(*step)
        else:
            experience = fast.due(step[0])
            assert rows(experience) == twin.due(step[0])
            assert same(experience, restarted.due(step[0]))
        # A state that is put in order later is of the moment when it was taken.
        assert was.keys() == (found := taken()).keys() and all(same(was[name], found[name]) for name in was)
        again = joiner(*made)
        again.restore(restarted.state())
        assert all(same(fast.state()[name], array) for name, array in again.state().items())
        restarted = again
        for one in (fast, restarted):
            assert (one.unknown, one.given_up, one.repeated) == (twin.unknown, twin.given_up, twin.repeated)
            assert len(one) == len(twin.kept)
    assert len(fast) == 0


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_how_decisions_and_outcomes_are_batched_does_not_matter(seed, sizes):
    rng, n = np.random.default_rng(seed), sum(sizes)
    whole = batch_of(range(n), rng.integers(0, 60, n), rng.choice([0.0, 1.0, np.nan], n), rng.integers(0, 3, n))
    delivered = outcomes_of(rng.integers(0, n + 5, n), rng.integers(0, 60, n), rng.integers(0, 2, n))
    one, many = joiner(), joiner()
    one.remember(whole)
    one.deliver(delivered)
    from homeostat.records.rows import outcome_parts, rows_of

    start = 0
    for size in sizes:
        many.remember(rows_of(whole, start, start + size))
        start += size
    for part in outcome_parts(delivered, 7):
        many.deliver(part)
    at_once = one.due(100)
    in_steps = [many.due(until) for until in (5, 6, 30, 30, 100)]
    for name in (
        "time_ns",
        "id_code",
        "context",
        "scores",
        "risk",
        "action",
        "propensity",
        "label",
        "cost",
        "censored",
    ):
        stepped = np.concatenate([getattr(part, name) for part in in_steps])
        assert stepped.tobytes() == getattr(at_once, name).tobytes()


def test_an_experience_holds_what_the_policy_saw_and_what_each_action_would_have_cost():
    batch = batch_of([1, 2, 3], [0, 1, 2], [1.0, 0.0, 1.0], [0, 1, BLOCK])
    batch = replace(batch, ruling=replace(batch.ruling, rule=np.array([-1, 4, -1], np.int16)))
    stage = joiner()
    stage.remember(batch)
    assert len(stage.due(DELAY - 1)) == 0
    known = stage.due(DELAY + 2)
    assert known.id_code.tolist() == [1, 2, 3]
    values = batch.features.values
    np.testing.assert_array_equal(known.context, np.column_stack([values[:, 1], np.full(3, np.nan), values[:, 0]]))
    assert known.scores.tobytes() == batch.scores.values.tobytes()
    assert known.propensity.tolist() == [batch.proposal.propensity[0, 0], 1.0, batch.proposal.propensity[2, BLOCK]]
    positive, negative = costs(batch.events)
    risk = batch.fused.risk[2]
    assert known.label.tolist() == [1.0, 0.0, risk] and known.censored.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(known.cost[:2], [positive[0], negative[1]])
    np.testing.assert_allclose(known.cost[2], (1 - risk) * negative[2] + risk * positive[2])


def test_a_corrected_label_is_handed_on_again_and_a_repeated_one_is_not():
    stage = joiner()
    stage.remember(batch_of([1], [0], [np.nan], [0]))
    stage.deliver(outcomes_of([1, 1, 1, 1, 9], [2, 3, 4, 5, 3], [0, 0, 1, 1, 1]))
    assert rows(stage.due(2)) == [(1, 0, 0.0, 0)]
    assert rows(stage.due(3)) == []
    assert rows(stage.due(HORIZON)) == [(1, 0, 1.0, 0)]
    assert stage.unknown == 1


def test_bad_news_waits_until_good_news_could_be_known():
    stage = joiner(maturity=12)
    stage.remember(batch_of([1, 2, 3], [0, 1, 2], [np.nan] * 3, [0] * 3))
    stage.deliver(outcomes_of([2, 1], [3, 14], [1.0, 1.0]))
    assert rows(stage.due(11)) == []
    assert rows(stage.due(12)) == [(1, 0, 0.0, 0)], "silent for long enough"
    assert rows(stage.due(13)) == [(2, 1, 1.0, 0)], "known at 3 already, when no good one could be"
    assert rows(stage.due(14)) == [(1, 0, 1.0, 0), (3, 2, 0.0, 0)], "what becomes known later corrects silence"


def test_a_restart_keeps_the_order_of_what_becomes_known_at_one_moment():
    stage = joiner()
    stage.remember(batch_of([1, 2], [0, 1], [np.nan, 1.0], [0, 0]))
    stage.deliver(outcomes_of([1], [1 + DELAY], [0.0]))
    again = joiner()
    again.restore(stage.state())
    assert rows(again.due(1 + DELAY)) == rows(stage.due(1 + DELAY)) == [(2, 1, 1.0, 0), (1, 0, 0.0, 0)]


def test_an_outcome_delivered_for_a_censoring_action_counts():
    stage = joiner()
    stage.remember(batch_of([1], [0], [np.nan], [BLOCK]))
    stage.deliver(outcomes_of([1], [3], [1.0]))
    assert rows(stage.due(HORIZON)) == [(1, 0, 1.0, 0)]


def test_time_and_keys_of_remembered_events_are_found_until_the_horizon():
    stage = joiner()
    batch = batch_of(range(200), range(200), [np.nan] * 200, [0] * 200)
    stage.remember(batch)
    stage.due(100 + HORIZON)
    found, time_ns, keys, _ = stage.locate(Ids.of([(one, 0) for one in range(-5, 200)]))
    assert found.tolist() == [0] * 106 + [1] * 99
    assert time_ns[106:].tolist() == list(range(101, 200))
    np.testing.assert_array_equal(keys[106:], batch.events.keys[101:])
    assert stage.locate(Ids.of([]))[2].shape == (0, 2)


def test_the_last_moments_of_time_do_not_overflow():
    stage = joiner()
    last = np.iinfo(np.int64).max
    stage.remember(batch_of([1, 2], [last, last - 8], [1.0, np.nan], [0, 0]))
    assert rows(stage.due(last - 1)) == []
    assert sorted(rows(stage.due(last))) == [(1, last, 1.0, 0), (2, last - 8, 0.0, 0)]


def test_a_state_of_another_app_is_refused():
    stage = joiner()
    with pytest.raises(ValueError, match="of another app"):
        stage.restore(joiner(context=("feature_0",)).state())


def test_memory_is_given_back_to_new_decisions_and_stays_within_the_figure_stated():
    stage = OutcomeJoiner(
        costs, context=[f"feature_{k}" for k in range(10)], actions=3, scorers=4, entities=2, delay_ns=7 * 60,
        horizon_ns=60 * 100, unknown_negative=True,
    )  # fmt: skip
    for k in range(40):
        batch = decisions(list(range(k * 1000, k * 1000 + 1000)), k, features=10, scorers=4)
        batch = replace(batch, events=replace(batch.events, time_ns=np.arange(k * 1000, k * 1000 + 1000)))
        stage.remember(batch)
        stage.due(k * 1000 + 999)
    assert len(stage) == 6000
    assert stage.nbytes < 2 * 330 * 6000

"""Lateness, shed scorers, rates and drawn thresholds in a running engine, and decisions once they are undone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from tests.engine.test_repairs import START_S, ask, bodies, change, events, opened, plain

KINDS = [
    ("lateness", "app", {"lateness": "2h"}), ("lateness", "app", {"lateness": "0s"}),
    ("shed", "app", {"scorers": ["large"]}),
    ("rate", "user", {"count": 2, "per": "10m", "action": "block"}),
    ("random", "block", {"low": 0.1, "high": 0.95}),
]  # fmt: skip


def shuffled(first, count):
    """Events, of which every fifth comes an hour late, and every seventh some minutes."""
    made = events(first, count)
    return [
        {**one, "time": one["time"] - (3600 if k % 5 == 0 else 300 if k % 7 == 0 else 0)} for k, one in enumerate(made)
    ]


@pytest.mark.parametrize(("kind", "scope", "body"), KINDS)
def test_after_the_undo_decisions_are_those_of_a_run_without_it_and_recovery_comes_to_the_same(
    kind, scope, body, tmp_path
):  # fmt: skip
    with opened() as without, opened(tmp_path) as engine:
        assert plain(engine.decide(shuffled(0, 60))) == plain(without.decide(shuffled(0, 60)))
        ask(engine, change(kind, scope, body))
        found, wanted = plain(engine.decide(shuffled(60, 60))), plain(without.decide(shuffled(60, 60)))
        assert found != wanted
        single = shuffled(120, 30)
        for one in single:  # The same, however events are batched.
            engine.decide([one])
        without.decide(single)
        engine.parts.loop.state()
        ask(engine, change(kind, scope, None))
        if kind != "lateness":  # At once: no window has seen anything else.
            assert plain(engine.decide(shuffled(150, 30))) == plain(without.decide(shuffled(150, 30)))
        late = shuffled(600, 60)
        assert plain(engine.decide(late)) == plain(without.decide(late))
        state = engine.parts.loop.state()
    for one in tmp_path.glob("snapshot*"):
        one.unlink()
    with opened(tmp_path) as again:
        made = again.parts.loop.state()
        assert made.keys() == state.keys() and all(np.array_equal(made[name], state[name]) for name in state)


@pytest.mark.parametrize(("kind", "scope", "body"), KINDS)
def test_a_snapshot_under_a_change_goes_on_where_it_stood(kind, scope, body, tmp_path):
    opened(tmp_path / "a").close()
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # Chance goes by the folder's secret.
    with opened(tmp_path / "a") as straight, opened(tmp_path / "b") as engine:
        for one in (straight, engine):
            ask(one, change(kind, scope, body))
            one.decide(shuffled(0, 50))
        engine.snapshot()
        straight.decide(shuffled(50, 10)), engine.decide(shuffled(50, 10))
        wanted = plain(straight.decide(shuffled(60, 40)))
    with opened(tmp_path / "b") as engine:
        assert plain(engine.decide(shuffled(60, 40))) == wanted


def test_late_events_count_within_the_wider_bound():
    sent = [{**events(0, 1)[0], "event_id": f"l{k}", "user": "u1", "time": START_S - 1800 * (k % 2)} for k in range(4)]
    with opened() as narrow, opened() as wide:
        ask(wide, change("lateness", "app", {"lateness": "1h"}))
        found = [engine.decide(sent) for engine in (narrow, wide)]
        assert [[one["late"] for one in answers] for answers in found] == [[False, True] * 2, [False] * 4]
        counts = [
            [engine.decision(f"l{k}", features=True)["features"]["count_1h"]["value"] for k in (2, 3)]
            for engine in (narrow, wide)
        ]
        assert counts[0] == [2, 1] and counts[1] == [3, 2]


def test_a_shed_scorer_is_not_asked_and_each_answer_says_so():
    with opened() as engine:
        ask(engine, change("shed", "app", {"scorers": ["large"]}))
        found = [*engine.decide(events(0, 20)), *engine.decide(events(20, 1))]
        assert {one["fallback"] for one in found} == {"scorer_shed"}
        assert {one["scores"]["large"] for one in found} == {None} and all(
            one["scores"]["often"] is not None for one in found
        )
        assert engine.parts.loop.fallbacks["scorer_shed"] == 21
        assert "the settings leave it out" in " ".join(engine.parts.loop.notes())
        ask(engine, change("shed", "app", None))
        assert engine.decide(events(30, 1))[0]["fallback"] is None


def test_beyond_a_rate_events_get_its_action_and_the_decision_names_it():
    body = {"count": 3, "per": "10m", "action": "block", "where": "amount < 90"}
    one = {**events(0, 1)[0], "amount": 1.0}
    sent = [{**one, "event_id": f"r{k}", "time": START_S + 60 * k, "amount": 95.0 if k == 2 else 1.0} for k in range(8)]
    with opened() as engine:
        ask(engine, change("rate", "user", body))
        rules = [answer["rule"] for k in range(8) for answer in engine.decide(sent[k : k + 1])]
        assert rules == ["", "", "", "", *["rate_user"] * 4]
        (answer,) = engine.decide([{**one, "event_id": "after", "time": START_S + 60 * 17}])
        assert answer["rule"] == ""  # Of ten minutes and no longer.
        other = engine.decide([{**one, "event_id": "o", "user": "else", "time": START_S + 60 * 8}])
        assert other[0]["rule"] == ""


def test_a_rate_counts_the_same_in_one_batch_or_in_many():
    body = {"count": 2, "per": "7m", "action": "block"}
    with opened() as whole, opened() as single:
        for engine in (whole, single):
            ask(engine, change("rate", "shop", body))
        sent = shuffled(0, 80)
        assert plain(whole.decide(sent)) == plain([single.decide([one])[0] for one in sent])


@pytest.mark.long
def test_a_drawn_threshold_has_the_shares_that_its_propensities_state(tmp_path):
    with opened(tmp_path) as engine:
        ask(engine, change("random", "block", {"low": 0.2, "high": 0.8}))
        engine.decide(events(0, 4000, minutes=30))
    made = bodies(tmp_path)[0]
    risk, propensity = made.fused.risk, made.proposal.propensity
    wanted = np.clip((risk - 0.2) / 0.6, 0, 1)
    assert np.allclose(propensity[:, 1], wanted) and np.allclose(propensity.sum(axis=1), 1)
    between = (wanted > 0.05) & (wanted < 0.95)
    assert between.sum() > 300
    taken = (made.proposal.action == 1)[between]
    error = np.sqrt((wanted * (1 - wanted))[between].sum())
    assert abs(taken.sum() - wanted[between].sum()) < 4 * error and 0 < taken.mean() < 1

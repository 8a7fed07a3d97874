"""Quarantines in a running engine: outcomes that neither teach nor enter the windows, and life after the undo."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.test_repairs import APP, START_S, ask, change, events, plain

from homeostat.config.load import parse_app
from homeostat.engine.assembly import open_engine

LABELS = '    - {entity: shop, lengths: [2h], delay: 1h, compute: {"frauds_{length}": mean(label)}}\n'
WATCHED = APP.replace("  derived:", LABELS + "  derived:").replace("ages_1h > 60", "frauds_2h > 0.5")
_OUTCOMES, _POLICY = "outcomes: {delay: 1h, horizon: 6h}", "policy: {holdout: 0.1}"
TEACHING = WATCHED.replace(
    _OUTCOMES, "outcomes: {delay: 1h, horizon: 6h, unknown: negative}\nlearning: {every: 30m}"
).replace(_POLICY, "policy: {kind: bandit, context: [count_1h], exploration: {rate: 0.1, budget: 50}}")
INSIDE = {"where": "shop == 2"}


def opened(text=WATCHED, data=None):
    return open_engine(parse_app(text), data=data)


def outcomes(sent, label=None):
    return [
        {"event_id": one["event_id"], "label": k % 2 if label is None else label, "time": one["time"] + 3900}
        for k, one in enumerate(sent)
    ]


def outside(sent):
    return [one for one in sent if one["shop"] != 2]


@pytest.mark.parametrize(("scope", "body"), [("source:shop-2", INSIDE), ("labels", INSIDE), ("segment:x", INSIDE)])
def test_outcomes_in_a_quarantine_enter_no_window_and_after_the_undo_they_do(scope, body, tmp_path):
    sent = events(0, 60)
    with opened() as without, opened(data=tmp_path) as engine:
        for one in (without, engine):
            one.decide(sent)
        ask(engine, change("quarantine", scope, body))
        engine.decide(events(60, 1)), without.decide(events(60, 1))
        receipts = engine.learn(outcomes(sent, 1))
        assert all(one["accepted"] for one in receipts)
        without.learn(outcomes(outside(sent), 1))
        later = events(150, 40)
        assert plain(engine.decide(later)) == plain(without.decide(later))
        ask(engine, change("quarantine", scope, None))
        more = events(190, 40)  # Outcomes count again, and the windows that missed some pass.
        for one in (without, engine):
            one.decide(more)
            one.learn(outcomes(later, 1))
        much = events(600, 40)
        assert plain(engine.decide(much)) == plain(without.decide(much))
        state = engine.parts.loop.state()
    for one in tmp_path.glob("snapshot*"):
        one.unlink()
    with opened(data=tmp_path) as again:
        made = again.parts.loop.state()
        assert made.keys() == state.keys() and all(np.array_equal(made[name], state[name]) for name in state)


def learned(engine):
    return {name: column.copy() for name, column in engine.parts.loop.stages.policy.learned().items()}


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("body", [{}, {"from": "2000-01-01"}, {"where": "shop in (1, 2, 3)"}])
def test_nothing_in_a_quarantine_teaches_whatever_was_decided_before(body):
    with opened(TEACHING) as engine:
        sent = events(0, 60)
        engine.decide(sent)
        before = learned(engine)
        ask(engine, change("quarantine", "labels", body))
        engine.decide(events(60, 30))
        engine.learn(outcomes(sent))
        for first in (400, 1000):  # The bandit waits for a batch of experience.
            engine.decide(events(first, 60))
        assert same(learned(engine), before)
        ask(engine, change("quarantine", "labels", None))
        fresh = events(1500, 60)
        engine.decide(fresh)
        engine.learn(outcomes(fresh))
        for first in (2000, 2700):
            engine.decide(events(first, 60))
        assert not same(learned(engine), before)


def test_a_quarantine_begins_at_its_instant():
    sent = events(0, 60)
    body = {"where": "shop == 2", "from": "2023-11-14T22:43:20Z"}  # Half an hour after the first event.
    inside = {one["event_id"] for one in sent if one["shop"] == 2 and one["time"] >= START_S + 1800}
    with opened() as without, opened() as engine:
        ask(engine, change("quarantine", "source:shop-2", body))
        for one in (without, engine):
            one.decide(sent)
        engine.learn(outcomes(sent, 1))
        without.learn(outcomes([one for one in sent if one["event_id"] not in inside], 1))
        assert plain(engine.decide(events(150, 40))) == plain(without.decide(events(150, 40)))
        assert inside and len(inside) < sum(one["shop"] == 2 for one in sent)

"""The peers do the work that they are measured by: their features are homeostat's."""

from __future__ import annotations

import numpy as np
import pytest
import redis
from benchmarks.transactions import events_of, published_features, transactions

from benchmarks import peer_pandas, peer_stack, peers
from homeostat.checks.servers import redis_server
from homeostat.sim.payments.transactions import PaymentsSpec, generate

SPEC = PaymentsSpec(customers=20, terminals=60, days=50, radius=30.0, terminals_a_day=1, cards_a_day=1)


@pytest.fixture(scope="module")
def table():
    return generate(SPEC, 3).table()


@pytest.fixture(scope="module")
def ours(table):
    return peers.published(events_of(table))[2]


def test_there_are_the_15_published_features():
    assert set(published_features().names) == set(peer_stack.NAMES) and len(peer_stack.NAMES) == 15


def test_pandas_computes_the_same_features(table, ours):
    pytest.importorskip("pandas")
    frame = peer_pandas.frame_of(table)
    for theirs in (peer_pandas.pandas_features(frame), peer_pandas.entity_by_entity(frame)):
        assert peers.differs(ours, slice(None), theirs.to_numpy(), tuple(theirs.columns)) < 1e-9


def test_other_work_is_noticed(ours):
    wrong = np.zeros((len(ours), 1))
    with pytest.raises(AssertionError, match="not the same work"):
        peers.differs(ours, slice(None), wrong, ("amount",))


def test_the_ordinary_stack_serves_the_same_features(table, ours, own_server):
    server = own_server(redis_server)
    events = events_of(table)
    rows = np.arange(len(events) - 60, len(events))
    with redis.Redis.from_url(server.url) as client:
        peer_stack.fill(client, peer_stack.payments_of(events, peers.past_of(events, rows)))
        served = [peer_stack.windows(client, payment) for payment in peer_stack.payments_of(events, rows)]
    assert peers.differs(ours, rows, np.array(served), peer_stack.NAMES) < 1e-9


def test_river_gets_events_of_the_whole_time(table):
    events = events_of(table)
    chosen = peers.river_events(events, len(events) // 5)
    assert len({payment.customer for payment in chosen}) == 4
    assert chosen[-1].time_s - chosen[0].time_s > 40 * 86_400


def test_payments_are_simulated_where_there_are_no_published_ones(tmp_path, monkeypatch):
    monkeypatch.delenv("HOMEOSTAT_DATA", raising=False)
    data = transactions(tmp_path, 500)
    assert data.rows == 500 and data.path.exists() and "simulated" in data.said

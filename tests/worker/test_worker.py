"""A worker on twins in memory: every event is decided, journalled and published once, whatever fails meanwhile."""

from __future__ import annotations

import json
import threading
from collections import Counter

import numpy as np
import pytest
from tests.worker.worlds import FakeServers, access_events, until

import homeostat
from homeostat.adapters.memory.journal import MemoryJournal
from homeostat.adapters.memory.stream import MemoryStream
from homeostat.ports import Unavailable
from homeostat.ports.streams import Outgoing, Pulled
from homeostat.records.decisions import DecisionBatch
from homeostat.worker.intake import read
from homeostat.worker.publishing import DEPTH, Work

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.


@pytest.fixture
def servers(tmp_path):
    return FakeServers(tmp_path)


def journalled(servers):
    """Every journalled decision by event id: its features, freshness and action."""
    found = {}
    for entry in MemoryJournal(servers.ledger).read():
        if isinstance(entry.body, DecisionBatch):
            body = entry.body
            for row in range(len(body)):
                assert body.events.id_text(row) not in found
                values, freshness = body.features.values[row], body.features.freshness[row]
                found[body.events.id_text(row)] = (values, freshness, int(body.ruling.action[row]))
    return found


def embedded(app, events):
    """The decisions of one engine in this process about the events."""
    with homeostat.load(app) as engine:
        engine.decide(events)
        found = {}
        for event in events:
            decisions, row = engine.find(event["event_id"])
            found[str(event["event_id"])] = (
                decisions.features.values[row], decisions.features.freshness[row], int(decisions.ruling.action[row])
            )  # fmt: skip
        return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for event_id, (values, freshness, action) in expected.items():
        np.testing.assert_array_equal(found[event_id][0], values)
        np.testing.assert_array_equal(found[event_id][1], freshness)
        assert found[event_id][2] == action


def assert_once(servers, events):
    counts = Counter(decision["event_id"] for decision in servers.decisions)
    assert counts == Counter(str(event["event_id"]) for event in events)


def test_a_worker_decides_as_an_engine_in_one_process_does(servers):
    events = access_events(400)
    servers.send(events)
    with servers.running():
        until(lambda: len(servers.broker.decisions) == 400)
    assert_once(servers, events)
    assert_same(journalled(servers), embedded("access", events))


def test_what_is_published_is_what_the_interface_answers(servers):
    events = access_events(30)
    servers.send(events)
    with servers.running():
        until(lambda: len(servers.broker.decisions) == 30)
    with homeostat.load("access") as engine:
        for sent, answered in zip(servers.decisions, engine.decide(events), strict=True):
            sent.pop("took_us"), answered.pop("took_us")
            assert sent == answered


def test_two_workers_and_a_third_that_comes_and_goes_decide_as_one(tmp_path):
    servers = FakeServers(tmp_path, partitions=4)
    events = access_events(1200, entities=40)
    servers.send(events[:400])
    with servers.running(2):
        until(lambda: len(servers.broker.decisions) >= 200)
        servers.send(events[400:800])
        with servers.running(1):
            until(lambda: len(servers.broker.decisions) >= 500)
        servers.send(events[800:])
        until(lambda: len(servers.broker.decisions) >= 1200)
    assert_once(servers, events)
    assert_same(journalled(servers), embedded("access", events))


class DyingStream(MemoryStream):
    """Its worker dies when it would publish: what was journalled before is not published."""

    def publish(self, done, decisions, dead_letters):
        raise ConnectionAbortedError("the worker dies")


def test_what_a_dead_worker_journalled_and_did_not_publish_is_published_by_the_next(servers):
    events = access_events(120)
    servers.send(events)
    dying = servers.worker(DyingStream(servers.broker))
    with pytest.raises(ConnectionAbortedError):
        dying.run()
    dying.close()
    assert servers.broker.decisions == []
    before = journalled(servers)
    assert before
    with servers.running():
        until(lambda: len(servers.broker.decisions) == 120)
    assert_once(servers, events)
    assert_same(journalled(servers), embedded("access", events))


def test_an_event_that_is_sent_twice_is_published_once(servers):
    events = access_events(60)
    servers.send([*events[:40], *events[:40], *events[30:]])
    with servers.running() as workers:
        until(lambda: len(servers.broker.decisions) == 60 and workers[0].counts.repeated == 50)
    assert_once(servers, events)
    assert_same(journalled(servers), embedded("access", events))


def test_an_id_that_comes_again_with_another_content_gets_its_first_decision_marked(servers):
    events = access_events(40)
    others = [{**event, "value": 77} for event in events[:5]]
    servers.send([*events, *events[:5], *others])
    with servers.running() as workers:
        until(lambda: len(servers.broker.decisions) == 45)
        servers.send(others[:2])  # In a later batch, when their first decisions are in the journal.
        until(lambda: len(servers.broker.decisions) == 47 and workers[0].parts.loop.counts["differing"] == 7)
    marked = [decision for decision in servers.decisions if "differs" in decision]
    first = {one["event_id"]: one for one in servers.decisions if "differs" not in one}
    assert len(first) == 40 and sorted(one["event_id"] for one in marked) == sorted(
        str(event["event_id"]) for event in [*others, *others[:2]]
    )
    assert all(one == {**first[one["event_id"]], "duplicate": True, "differs": True} for one in marked)
    assert_same(journalled(servers), embedded("access", events))


def test_bad_messages_become_dead_letters_and_stop_nothing(servers):
    events = access_events(20)
    bad = [b"", b"{", b"[]", b"\xff\xfe", b'{"event_id": 1}', json.dumps({**events[0], "timestamp": "never"}).encode()]
    for k, event in enumerate(events):
        servers.send([event])
        servers.broker.produce([Outgoing(bad[k % len(bad)])])
    spread = json.dumps({**events[0], "event_id": "spread"}, indent=2).encode()
    servers.broker.produce([Outgoing(spread)])
    with servers.running():
        until(lambda: len(servers.broker.decisions) == 21 and len(servers.broker.dead_letters) == 20)
    assert_once(servers, [*events, {"event_id": "spread"}])
    assert {letter["reason"] for letter in servers.letters} == {"malformed", "missing", "bad_time"}
    assert all(letter["lane"] == "events/0" for letter in servers.letters)


def test_lateness_is_judged_in_each_partition_by_itself(tmp_path):
    servers = FakeServers(tmp_path, partitions=2)
    early, much_later = access_events(5), access_events(5, start=100_000)
    servers.send(much_later, partition=0)
    servers.send(early, partition=1)
    behind_its_own = {**access_events(1, start=100)[0], "event_id": "late"}
    servers.send([behind_its_own], partition=0)
    with servers.running():
        until(lambda: len(servers.broker.decisions) == 11)
    assert {decision["event_id"]: decision["late"] for decision in servers.decisions if decision["late"]} == {
        "late": True
    }


def test_outcomes_find_their_events_whichever_comes_first(servers):
    events = access_events(30)
    outcomes = [{"event_id": event["event_id"], "label": k % 2} for k, event in enumerate(events)]
    servers.send(outcomes[:20], "outcomes")
    with servers.running() as workers:
        until(lambda: len(workers[0].outcomes) == 20)
        servers.send(events)
        servers.send(outcomes[20:], "outcomes")
        until(lambda: workers[0].outcomes.count == 30)
    labels = {}
    for entry in MemoryJournal(servers.ledger).read():
        if not isinstance(entry.body, DecisionBatch):
            for one, label in zip(entry.body.ids.tolist(), entry.body.label.tolist(), strict=True):
                labels[entry.body.texts[one]] = label
    assert labels == {outcome["event_id"]: float(outcome["label"]) for outcome in outcomes}


def test_an_outcome_whose_event_never_comes_is_a_dead_letter(tmp_path):
    servers = FakeServers(tmp_path, outcome_wait="50ms")
    servers.send([{"event_id": "nobody", "label": 1}, {"label": 1}], "outcomes")
    servers.send(access_events(1))
    with servers.running():
        until(lambda: len(servers.broker.dead_letters) == 2)
    assert {letter["reason"] for letter in servers.letters} == {"unknown_event", "missing"}


def test_without_the_feature_store_decisions_are_flagged_and_nothing_is_missing_afterwards(servers):
    events = access_events(600)
    servers.send(events[:200])
    with servers.running():
        until(lambda: len(servers.broker.decisions) == 200)
        servers.features.away = "the feature store is away"
        servers.send(events[200:400])
        until(lambda: len(servers.broker.decisions) == 400)
        servers.features.away = ""
        until(lambda: any("whole again" in note for note in servers.notes))
        servers.send(events[400:])
        until(lambda: len(servers.broker.decisions) == 600)
    flagged = {
        decision["event_id"] for decision in servers.decisions if "features_stale" in (decision["fallback"] or "")
    }
    assert flagged == {event["event_id"] for event in events[200:400]}
    found, expected = journalled(servers), embedded("access", events)
    for event in [*events[:200], *events[400:]]:
        assert_same({0: found[event["event_id"]]}, {0: expected[event["event_id"]]})


def test_a_worker_that_died_without_the_feature_store_leaves_nothing_out(servers):
    events = access_events(300)
    with servers.running():
        servers.send(events[:100])
        until(lambda: len(servers.broker.decisions) == 100)
        servers.features.away = "the feature store is away"
        servers.send(events[100:200])
        until(lambda: len(servers.broker.decisions) == 200)
    servers.features.away = ""
    with servers.running():
        servers.send(events[200:])
        until(lambda: len(servers.broker.decisions) == 300)
    found, expected = journalled(servers), embedded("access", events)
    for event in events[200:]:
        assert_same({0: found[event["event_id"]]}, {0: expected[event["event_id"]]})


def test_a_feature_store_that_forgot_everything_is_filled_from_the_journal(servers):
    events = access_events(300)
    with servers.running():
        servers.send(events[:200])
        until(lambda: len(servers.broker.decisions) == 200)
    servers.features = type(servers.features)()
    with servers.running():
        servers.send(events[200:])
        until(lambda: len(servers.broker.decisions) == 300)
    assert_same(journalled(servers), embedded("access", events))


def test_while_the_journal_is_away_nothing_is_published_and_afterwards_all_is(servers):
    events = access_events(200)
    with servers.running() as workers:
        servers.send(events[:100])
        until(lambda: len(servers.broker.decisions) == 100)
        servers.ledger.away = "the journal is away"
        servers.send(events[100:])
        until(lambda: any("the journal is away" in note for note in servers.notes))
        assert len(servers.broker.decisions) == 100
        assert not workers[0].ready
        servers.ledger.away = ""
        until(lambda: len(servers.broker.decisions) == 200)
    assert_once(servers, events)


def test_a_worker_says_what_it_waits_for(servers):
    servers.ledger.away = "the journal is away"
    with pytest.raises(Unavailable, match="the journal is away"):
        MemoryJournal(servers.ledger).last
    worker = servers.worker()
    assert worker.parts.featurizer.behind
    worker.stop()
    assert worker.run()
    worker.close()


def test_copies_in_one_batch_hold_nothing_up_while_the_journal_is_away(tmp_path):
    servers = FakeServers(tmp_path, spools=True)
    events = access_events(200)
    with servers.running():
        servers.send(events[:50])
        until(lambda: len(servers.broker.decisions) == 50)
        servers.ledger.away = "the journal is away"
        servers.send([event for event in events[40:] for _ in range(2)])
        until(lambda: len(servers.broker.decisions) == 200)
        servers.ledger.away = ""
    assert_once(servers, events)


def test_a_worker_that_can_not_drain_ends_in_time_and_says_so(servers, monkeypatch):
    monkeypatch.setattr("homeostat.worker.worker.DRAIN_S", 0.1)
    events = access_events(600)
    worker = servers.worker()
    drained = []
    thread = threading.Thread(target=lambda: drained.append(worker.run()))
    thread.start()
    servers.send(events[:50])
    until(lambda: len(servers.broker.decisions) == 50)
    servers.ledger.away = "the journal is away"
    servers.send(events[50:])
    until(lambda: not worker.outbox.has_room or worker.trouble)
    worker.stop()
    thread.join(30)
    worker.close()
    assert drained == [False] and "delivered again" in servers.notes[-1]
    servers.ledger.away = ""
    with servers.running():
        until(lambda: len(servers.broker.decisions) == 600)
    assert_once(servers, events)


def test_a_full_queue_whose_thread_has_failed_holds_nothing_up(servers):
    """The thread that journals ends while as much waits for it as may: nobody takes the end of it all."""
    worker = servers.worker()
    ended = threading.Event()

    def fail(work):
        ended.wait(30)
        raise Unavailable("the journal is away")

    worker.outbox._journal_one = fail
    nothing = read(Pulled(), worker.parts.prepared.schema, 0)
    for _ in range(1 + DEPTH):
        worker.outbox.put(Work(nothing))
    ended.set()
    assert not worker.outbox.drain(0.1)
    assert not any(thread.is_alive() for thread in worker.outbox._threads)
    worker.stop()
    worker.close()


def test_a_worker_says_that_the_journal_is_away_though_decisions_go_on(tmp_path):
    servers = FakeServers(tmp_path, spools=True)
    with servers.running():
        servers.send(access_events(10))
        until(lambda: len(servers.decisions) == 10)
        servers.ledger.away = "the server is away"
        servers.send(access_events(10, start=10))
        until(lambda: len(servers.decisions) == 20)
        until(lambda: any("decisions wait on this machine's disk" in note for note in servers.notes))
        assert sum("the server is away" in note for note in servers.notes) == 1
        servers.ledger.away = ""
        until(lambda: any("all parts are well again" in note for note in servers.notes))


def test_a_copy_that_comes_to_another_worker_while_the_journal_is_away_is_decided_again_and_journalled_once(tmp_path):
    servers = FakeServers(tmp_path, partitions=2, spools=True)
    events = access_events(4)
    with servers.running(workers=2):
        servers.ledger.away = "the server is away"
        servers.send(events, partition=0)
        until(lambda: len(servers.decisions) == 4)
        servers.send(events[:1], partition=0)  # A copy in the same partition: its worker knows the decision.
        servers.send(events[1:2], partition=1)
        until(lambda: len(servers.decisions) == 5)
        servers.ledger.away = ""
        until(lambda: len(journalled(servers)) == 4)
    assert Counter(one["event_id"] for one in servers.decisions) == {"e0": 1, "e1": 2, "e2": 1, "e3": 1}
    assert len(journalled(servers)) == 4  # `journalled` itself finds each id once.

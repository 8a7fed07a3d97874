"""Engines of several server processes on one Redis and one PostgreSQL decide as one."""

from __future__ import annotations

import numpy as np

import homeostat
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.serving import engine_of


def events(count, entities=5):
    return [
        {
            "event_id": f"e{k}", "entity_id": f"user-{k % entities}", "event_type": "login" if k % 3 else "read",
            "value": k % 11, "timestamp": 1_780_000_000 + k,
        }
        for k in range(count)
    ]  # fmt: skip


def opened_on(servers):
    return engine_of(open_shared("access", servers, judges_lateness=True))


def test_two_engines_decide_as_one_in_one_process_would(servers, redis):
    import redis as client

    sent = events(200)
    with opened_on(servers) as one, opened_on(servers) as other, homeostat.load("access") as alone:
        expected = {answer["event_id"]: answer for answer in alone.decide(sent)}
        for start in range(0, len(sent), 20):
            engine = (one, other)[start // 20 % 2]
            for answer in engine.decide(sent[start : start + 20]):
                same = {**expected[answer["event_id"]], "took_us": answer["took_us"]}
                assert answer == same
        again = other.decide(sent[0])
        assert again["duplicate"] and again["action"] == expected["e0"]["action"]
        ours, theirs = other.find("e150"), alone.find("e150")
        np.testing.assert_array_equal(ours[0].features.values[ours[1]], theirs[0].features.values[theirs[1]])
        other.resume()
        shown = client.Redis.from_url(redis.url, decode_responses=True).hgetall("features:entity:user-4")
        last = theirs = alone.decision("e199", features=True)["features"]
        assert float(shown["count_1d"]) == last["count_1d"]["value"]
        assert shown["freshness"] == "fresh"
        assert shown["watermark"] == "2026-05-28T20:29:59Z"


def test_outcomes_given_to_one_engine_are_of_events_decided_by_another(servers):
    sent = events(10)
    with opened_on(servers) as one, opened_on(servers) as other:
        one.decide(sent)
        receipts = other.learn([{"event_id": "e3", "label": 1}, {"event_id": "nobody", "label": 0}])
    assert receipts[0] == {"event_id": "e3", "accepted": True}
    assert receipts[1]["status"] == 404


def test_a_race_for_an_event_has_one_winner_whose_decision_both_give(servers):
    (event,) = events(1)
    with opened_on(servers) as one, opened_on(servers) as other:
        seen = other.parts.loop.recording.journal.seen
        other.parts.loop.recording.journal.seen = lambda id_code: np.zeros(len(id_code), bool)
        first, second = one.decide(event), other.decide({**event, "value": 99})
        other.parts.loop.recording.journal.seen = seen
    assert second["duplicate"]
    assert {**second, "took_us": 0} == {**first, "took_us": 0, "duplicate": True, "differs": True}

"""Messages are read and written as `servers.encoding` says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

from tests.worker.worlds import FakeServers, access_events, until

from homeostat.config.servers import Servers
from homeostat.ports.streams import Outgoing
from homeostat.worker.encodings import ENCODINGS, JSON


def test_every_encoding_that_a_world_may_name_is_there():
    assert set(get_args(Servers.model_fields["encoding"].annotation)) == set(ENCODINGS)


def test_all_messages_of_a_worker_are_read_and_written_by_the_encoding_of_its_world(tmp_path, monkeypatch):
    """Here they are JSON written backwards: what passed the encoding by would be read, or written, forwards."""
    backwards = replace(
        JSON,
        events=lambda values, schema, wall_ns: JSON.events([value[::-1] for value in values], schema, wall_ns),
        outcome=lambda value: JSON.outcome(value[::-1]),
        decision=lambda members: JSON.decision(members)[::-1],
        dead_letter=lambda members: JSON.dead_letter({**members, "written": "by the encoding"}),
    )
    monkeypatch.setitem(ENCODINGS, "json", backwards)
    servers, events = FakeServers(tmp_path), access_events(3)
    outcome = {"event_id": events[0]["event_id"], "label": 1}
    for kind, sent in (("events", events), ("outcomes", [outcome, {}])):
        servers.broker.produce([Outgoing(json.dumps(one).encode()[::-1], b"") for one in sent], kind)
    servers.send(access_events(1, start=3))  # Forwards, and so unreadable.
    with servers.running() as [worker]:
        until(lambda: len(servers.broker.decisions) == 3 and len(servers.broker.dead_letters) == 2)
        until(lambda: worker.outcomes.count == 1)
    decided = [json.loads(message.value[::-1]) for message in servers.broker.decisions]
    assert sorted(one["event_id"] for one in decided) == [event["event_id"] for event in events]
    assert {(one["action"], one["action_index"]) for one in decided} == {("allow", 0)}
    assert {(letter["written"], letter["reason"]) for letter in servers.letters} == {
        ("by the encoding", "malformed"), ("by the encoding", "missing"),
    }  # fmt: skip

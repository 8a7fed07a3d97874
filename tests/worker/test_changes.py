"""Changes of the settings under workers that decide a stream."""

from __future__ import annotations

import pytest
from tests.worker.worlds import FakeServers, access_events, until

from homeostat.adapters.memory.settings import MemorySettings
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch


@pytest.mark.long
def test_workers_decide_under_changes_in_their_order_while_events_come(tmp_path):
    world = FakeServers(tmp_path, partitions=2, features_down="stale")
    world.settings = MemorySettings()
    with world.running(workers=2) as workers:
        for k in range(6):
            body = {"action": "block"} if k % 2 == 0 else None
            number = world.settings.append(Change(ChangeKind.FALLBACK, "app", body, "ann", "a test"), None).number
            world.send(access_events(40, start=40 * k))
            until(lambda: all(one.parts.loop.stages.settings == number for one in workers))
        world.send(access_events(40, start=240))
        until(lambda: len(world.decisions) == 280)
    last = {one["event_id"]: one for one in world.decisions[-280:]}
    assert {last[event["event_id"]]["settings"] for event in access_events(40, start=240)} == {6}
    journalled: list[int] = []
    for sequence in range(1, len(world.ledger.bodies) + 1):
        body = world.ledger.decoded(sequence)
        if isinstance(body, ChangeBatch):
            journalled += [one.number for one in body.changes]
        elif isinstance(body, DecisionBatch):
            assert body.settings in (0, *journalled)
    assert journalled == [1, 2, 3, 4, 5, 6]


def test_a_worker_without_events_applies_changes_and_says_so(tmp_path):
    world = FakeServers(tmp_path)
    world.settings = MemorySettings()
    with world.running() as (worker,):
        world.settings.append(Change(ChangeKind.FALLBACK, "app", {"action": "stop"}, "ann", "a mistake"), None)
        until(lambda: worker.parts.notes() != [])
        assert "there is no action 'stop'" in worker.parts.notes()[-1]
        world.settings.append(Change(ChangeKind.FALLBACK, "app", {"action": "block"}, "ann", "meant"), None)
        until(lambda: [one.number for one in world.settings.processes()] == [2])
        assert worker.parts.notes() == []
    assert world.settings.processes() == []  # It has left.

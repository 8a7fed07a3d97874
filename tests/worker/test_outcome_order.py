"""The journal has decisions and outcomes of a worker in the order in which the entities' logs have them."""

from __future__ import annotations

import threading

from tests.worker.worlds import FakeServers, access_events, until

from homeostat.adapters.memory.journal import MemoryJournal
from homeostat.records.decisions import DecisionBatch


class GatedJournal(MemoryJournal):
    """Decisions wait at a gate."""

    def __init__(self, ledger, gate):
        super().__init__(ledger)
        self._gate = gate

    def append(self, body, places=None):
        if isinstance(body, DecisionBatch):
            self._gate.wait()
        return super().append(body, places)


class GatedServers(FakeServers):
    def __init__(self, *given):
        super().__init__(*given)
        self.gate = threading.Event()
        self.gate.set()

    def journal(self):
        return GatedJournal(self.ledger, self.gate)


def test_outcomes_are_journalled_after_what_was_decided_before_them(tmp_path):
    servers = GatedServers(tmp_path)
    events = access_events(20)
    with servers.running() as (worker,):
        servers.send(events[:10])
        until(lambda: len(servers.broker.decisions) == 10)
        servers.gate.clear()
        servers.send(events[10:])
        until(lambda: worker.counts.batches == 2)
        servers.send([{"event_id": event["event_id"], "label": 1} for event in events[:10]], "outcomes")
        until(lambda: worker.outcomes.count == 10)
        servers.gate.set()
        until(lambda: len(servers.broker.decisions) == 20)
    entries = [(type(entry.body), len(entry.body)) for entry in MemoryJournal(servers.ledger).read()]
    assert [is_decision is DecisionBatch for is_decision, _ in entries] == [True, True, False]
    assert sum(size for _, size in entries) == 30

"""A worker that another process learns for."""

from __future__ import annotations

import threading

import pytest
from tests.engine.shared.learning_worlds import BANDIT, Alone, events, learned, outcomes, same
from tests.worker.worlds import FakeServers, until

from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.adapters.memory.learning import MemoryLearning
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build
from homeostat.config.load import parse_app
from homeostat.config.servers import Servers
from homeostat.engine.assembly import prepare
from homeostat.engine.shared.leading import open_learner
from homeostat.engine.stores import Stores
from homeostat.records.allowance import EVERYTHING

pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.fixture
def world(tmp_path):
    app = parse_app(BANDIT.replace("budget: 50", "budget: 1e9"))
    made = FakeServers(tmp_path, app=app, learning_wait="60s", outcome_wait="10m")
    made.settings = MemorySettings()
    made.learning = MemoryLearning(made.settings)
    return made


def test_one_worker_of_one_partition_that_waits_decides_as_one_process(world):
    prepared = prepare(world.app).keyed(world.ledger.coding)
    ready = brain(prepared.app, prepared.features, None)
    loop = build(prepared.app, prepared.features, ready, Ports(MemoryJournal(Ledger()), SystemClock(), prepared.coding))
    alone, expected = Alone(loop, prepared.schema), {}
    stores = Stores(world.settings, learning=world.learning)
    with open_learner(world.app, Servers(), journal=MemoryJournal(world.ledger), stores=stores) as leading:
        leading.step()
        learning = threading.Thread(target=leading.run)
        learning.start()
        try:
            with world.running() as (worker,):
                worker.parts.taught.purse._store = None
                worker.parts.loop.stages.allowance = EVERYTHING
                worker.parts.loop.stages.policy.allow(EVERYTHING)
                journalled = 0
                for first in range(0, 400, 50):
                    some, known = events(0, 400)[first : first + 50], outcomes(first, 50)
                    world.send(some)
                    until(lambda count=first + 50: len(world.decisions) == count)
                    world.send(known, "outcomes")
                    journalled += len(known)
                    until(lambda count=journalled: worker.outcomes.count == count)
                    ours = alone.decide(some)
                    expected |= {
                        ours.events.id_text(row): (ours.fused.risk[row], world.app.actions[ours.ruling.action[row]])
                        for row in range(50)
                    }
                    alone.learn(known)
                moments = worker.parts.moments
                assert moments.waited >= 15 and moments.missed == 0
                assert same(learned(worker.parts.loop), learned(loop))
        finally:
            leading.stop()
            learning.join()
    found = {one["event_id"]: (one["risk"], one["action"]) for one in world.decisions}
    assert found == expected
    loop.close()

"""`homeostat learn` as a process on a real PostgreSQL, killed again and again: nothing is lost or counts twice."""

from __future__ import annotations

import signal
from contextlib import closing

import numpy as np
import pytest
from tests.engine.shared.learning_worlds import BOTH, events, learned, outcomes, same
from tests.engine.test_changes import app, versions  # noqa: F401
from tests.support.job_programs import until
from tests.support.warm import start_logging

from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.adapters.postgres import PostgresJournal
from homeostat.app import Ports, brain, build
from homeostat.config.servers import Servers
from homeostat.decide.redo import redo
from homeostat.engine.assembly import bundle_of, prepare
from homeostat.engine.shared.again import Deciding
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.leading import open_learner
from homeostat.engine.shared.serving import engine_of
from homeostat.engine.stores import stores_on
from homeostat.records.changes import ChangeKind

KILLS = 5


@pytest.mark.long
@pytest.mark.usefixtures("unhurried")
def test_a_learner_killed_five_times_learns_what_one_that_never_died_would_have(database, tmp_path, versions):  # noqa: F811
    file = tmp_path / "gate.yaml"
    file.write_text(BOTH + f"servers: {{journal: '{database}', spool: '{tmp_path}/spool'}}\n", "utf-8")
    bundle, servers = versions / "one", Servers(journal=database, spool=str(tmp_path / "spool"))
    stores = stores_on(servers, "gate", learning=True)
    command = ["learn", str(file), "--bundle", str(bundle), "--lease", "0.5"]

    def start():
        return start_logging(command, tmp_path / "log", {})

    shared = open_shared(file, servers, bundle=bundle, judges_lateness=True, store=MemoryFeatures())
    rng, children, at = np.random.default_rng(3), [], 0

    def leader():
        """The process that leads, once there is one that has begun to read."""
        owner = stores.learning.standing().owner
        return next((child for child in children if owner.endswith(f"-{child.pid}")), None)

    def feed():
        nonlocal at
        process.decide(events(15 * at, 15))
        process.learn(outcomes(15 * at, 15))
        at += 1

    with closing(stores), engine_of(shared) as process:
        try:
            children = [start(), start()]  # One leads, and the other waits for its lease.
            for _ in range(KILLS):
                until(lambda: leader() is not None and stores.learning.standing().leads, 180.0)
                for _ in range(4):
                    feed()
                target = shared.journal.last - int(rng.integers(0, 8))  # An instant of its work, whichever it is.
                until(lambda target=target: stores.learning.standing().position >= target, 180.0)
                feed()
                victim = leader()
                victim.send_signal(signal.SIGKILL)
                victim.wait()
                children = [child for child in children if child is not victim] + [start()]
            last = shared.journal.last
            until(lambda: stores.learning.standing().position == last, 180.0)
        finally:
            for child in children:
                child.kill()
                child.wait()
        published = [one for one in stores.settings.since(0) if one.kind == ChangeKind.STATE]
        prepared = prepare(file).keyed(shared.journal.coding)
        ready = brain(prepared.app, prepared.features, bundle_of(prepared, bundle))
        with PostgresJournal(database, app="gate", words=prepared.words) as journal:
            alone = build(prepared.app, prepared.features, ready, Ports(journal, shared.clock, prepared.coding))
            redo(alone, journal.read(), stand=True)
        with open_learner(file, servers, bundle=bundle, lease_s=5.0) as leading:
            until(lambda: leading.learner is not None or leading.step(), 180.0)
            while leading.step():
                pass
            assert same(learned(leading.learner.loop), learned(alone))
            again = Deciding(leading.source).run()
        assert (again.decisions, again.same) == (15 * at, 15 * at) and at == 5 * KILLS
        alone.close()
    assert len(published) >= KILLS
    for name in ("fusion", "policy"):
        positions = [one.body["position"] for one in published if one.scope == name]
        assert positions == sorted(set(positions))
    assert max(again.charged.values(), default=0.0) <= 50

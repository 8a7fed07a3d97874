"""Processes that share a journal and settings in memory, the learner that teaches them, and one process by itself."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from tests.engine.test_changes import APP, START_S

from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.adapters.memory.learning import MemoryLearning
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build
from homeostat.config.load import parse_app
from homeostat.config.servers import Servers
from homeostat.decide.contracts import Explorer
from homeostat.decide.intake.objects import parse_outcomes, read_objects
from homeostat.engine.assembly import bundle_of, prepare
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.leading import open_learner
from homeostat.engine.shared.serving import engine_of
from homeostat.engine.stores import Stores
from homeostat.records.allowance import EVERYTHING
from homeostat.records.changes import Change, ChangeKind

BANDIT = APP.replace("fusion: {kind: adaptive}", "fusion: {kind: weighted, weights: {large: 1.0, often: 1.0}}")
ADAPTIVE = APP.replace(
    "policy: {kind: bandit, context: [count_1h], holdout: 0.1, exploration: {rate: 0.1, budget: 50}}",
    "policy: {kind: thresholds, holdout: 0.1}",
)
BOTH = APP
NEVER_NS = 1 << 62
CELL_S = 1800


class LearningWorld:
    """See the module. It closes what it opened."""

    def __init__(self, folder, text, bundle):
        self.app, self.bundle = parse_app(text), bundle
        self.folder, self.opened = folder, ExitStack()
        self.ledger, self.settings, self.clock = Ledger(), MemorySettings(), MovedClock()
        self.learning = MemoryLearning(self.settings, self.clock)
        self.stores = Stores(self.settings, learning=self.learning)

    def process(self, **servers):
        """A process that decides."""
        shared = open_shared(
            self.app, Servers(spool=str(self.folder), **servers), judges_lateness=True, stores=self.stores,
            journal=MemoryJournal(self.ledger), bundle=self.bundle,
        )  # fmt: skip
        shared.taught._stop.set()  # It looks when the test says so.
        shared.taught._thread.join()
        return self.opened.enter_context(engine_of(shared))

    def learner(self, name="one"):
        """A learner, which leads if it can with its first step."""
        return self.opened.enter_context(open_learner(
            self.app, Servers(), bundle=self.bundle, journal=MemoryJournal(self.ledger), stores=self.stores, name=name,
            clock=self.clock,
        ))  # fmt: skip

    def alone(self):
        """One process that decides and learns by itself: its loop, and how objects are read."""
        prepared = prepare(self.app).keyed(self.ledger.coding)
        ready = brain(prepared.app, prepared.features, bundle_of(prepared, self.bundle))
        journal = MemoryJournal(Ledger())
        loop = build(prepared.app, prepared.features, ready, Ports(journal, SystemClock(), prepared.coding))
        self.opened.callback(loop.close)
        return Alone(loop, prepared.schema)

    def states(self):
        """The published states, oldest first."""
        return [one for one in self.settings.since(0) if one.kind == ChangeKind.STATE]

    def change(self, kind, scope, body):
        return self.settings.append(Change(ChangeKind(kind), scope, body, "ann", "a test"), None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.opened.close()


class MovedClock(SystemClock):
    """A clock that a test moves on."""

    moved_s = 0.0

    def now_ns(self):
        return super().now_ns() + int(self.moved_s * 1e9)

    def monotonic_ns(self):
        return super().monotonic_ns() + int(self.moved_s * 1e9)


class Alone:
    """See `LearningWorld.alone`."""

    def __init__(self, loop, schema):
        self.loop, self._schema = loop, schema

    def decide(self, objects):
        return self.loop.decide(read_objects(objects, self._schema, NEVER_NS)[0]).fresh

    def learn(self, objects):
        self.loop.learn(parse_outcomes(objects, self._schema, NEVER_NS)[0])


def events(first, count):
    """Some events, two minutes apart, so that each quarter hour of the grid has its own."""
    rng = np.random.default_rng(first)
    return [
        {
            "event_id": f"e{k}", "time": START_S + 120 * k, "user": f"u{rng.integers(1, 8)}",
            "amount": float(rng.integers(30, 1000)) / 10, "land": "XY"[int(rng.integers(2))],
        }
        for k in range(first, first + count)
    ]  # fmt: skip


def outcomes(first, count):
    """The outcomes of some of them, known 40 minutes after the last of them."""
    rng = np.random.default_rng(7 + first)
    at = START_S + 120 * (first + count) + 2400
    return [
        {"event_id": f"e{k}", "label": int(rng.random() < 0.4), "time": at}
        for k in range(first, first + count) if rng.random() < 0.8
    ]  # fmt: skip


def catch_up(leading):
    """Let a learner read all that there is."""
    while leading.step():
        pass


def look(engine):
    """Let a process put in force what the settings say."""
    engine.parts.watcher.look()
    engine.parts.loop.change()


def learned(loop):
    """All that the parts of a loop have learned."""
    stages = loop.stages
    found = {}
    for name, part in (("fusion", stages.fusion), ("policy", stages.policy)):
        if hasattr(part, "learned"):
            found |= {f"{name}/{key}": value for key, value in part.learned().items()}
    return found


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def cells(first, count):
    """Events by the cell of the grid that they are in."""
    found: dict[int, list[dict]] = {}
    for event in events(first, count):
        found.setdefault(event["time"] // CELL_S, []).append(event)
    return list(found.values())


def unbounded(process):
    """Let a process explore as much as chance would; that the budget is shared is another test's."""
    process.duties.shared.taught.purse._store = None
    process.duties.shared.loop.stages.allowance = EVERYTHING
    if isinstance(process.duties.shared.loop.stages.policy, Explorer):
        process.duties.shared.loop.stages.policy.allow(EVERYTHING)


def feed(process, first=0, count=200):
    for cell in cells(first, count):
        process.decide(cell)
        process.learn(outcomes(int(cell[0]["event_id"][1:]), len(cell)))

"""Learning online: simulated payments through one process, and through two workers with a learner that is killed.

    python -m benchmarks.online --events 200000

Real Kafka, Redis and PostgreSQL, `homeostat worker` and `homeostat learn` as processes. Time is compressed: a phase of
events, some hours to a day of event time, takes seconds. So each phase waits until the learner has read the one before,
as it would have within seconds of a real day. Within a phase, workers decide as fast as they can.

The cost of a run is what its actions cost by the app's cost matrix, beyond perfect foresight. Both runs are held
against one that never learns. The cost of exploring is computed again from the journal, by the policy that each
decision was made with, and summed over both workers.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.fleet import Fleet, Sender, payments, stopped_after, until
from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.adapters.postgres import PostgresJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build
from homeostat.decide.intake.objects import parse_outcomes, read_objects
from homeostat.engine.assembly import prepare
from homeostat.engine.shared.again import Again, Deciding
from homeostat.engine.shared.leading import open_learner
from homeostat.engine.stores import stores_on
from homeostat.ports.learning import LearnerStanding
from homeostat.records.changes import ChangeKind
from homeostat.records.identity import Coding

BUDGET = 30.0  # Expected extra cost a day, in the currency of the costs.
DAY_S = 86_400
KNOWN_S = 7 * DAY_S
LEASE_S = 5.0
RATIO_MAX = 1.05
NEVER_NS = 1 << 62
APP = f"""homeostat: 1
app: online
seed: 5
events:
  time: {{name: time}}
  entities: {{customer: {{}}, terminal: {{}}}}
  fields: {{amount: {{type: number}}}}
  lateness: 1h
features:
  windows:
    - {{entity: customer, lengths: [1d, 7d], compute: {{"count_{{length}}": count, "mean_{{length}}": mean(amount)}}}}
    - {{entity: terminal, lengths: [7d], compute: {{"terminal_count_{{length}}": count}}}}
  derived:
    ratio: min(amount / max(default(mean_7d, amount), 1), 20)
    large: amount > 220
scorers:  # They know little of the frauds, and are wrong about how frequent these are: there is something to learn.
  amounts: {{kind: rules, rules: [{{name: large, when: amount > 220, score: 0.3}}]}}
  unusual:
    kind: rules
    rules: [{{name: far, when: ratio > 3, score: 0.4}}, {{name: very_far, when: ratio > 6, score: 0.7}}]
fusion: {{kind: weighted, weights: {{amounts: 1.0, unusual: 1.0}}}}
actions: [allow, challenge, block]
costs:
  allow: {{positive: amount, negative: "0"}}
  challenge: {{positive: 0.25 * amount + 0.5, negative: "0.5"}}
  block: {{positive: "0", negative: 0.1 * amount + 5}}
policy:
  kind: bandit
  context: [ratio, large]
  holdout: 0.01
  exploration: {{rate: 0.05, budget: {BUDGET}, period: 1d}}
guards:
  fallback: {{scorers_absent: challenge, policy: thresholds}}
outcomes: {{delay: 7d, maturity: 7d, horizon: 30d, unknown: negative, censoring: [block]}}
learning: {{every: 6h}}
"""
Phase = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@dataclass(slots=True)
class Payments:
    """The truth: events by phase, with the outcomes that are known before each, and each event's label and amount."""

    phases: list[Phase]
    labels: dict[str, int]
    amounts: dict[str, float]

    @property
    def events(self) -> int:
        """How many there are."""
        return len(self.labels)

    def cost(self, actions: dict[str, str]) -> float:
        """The cost of actions beyond perfect foresight, whose cost is 0."""
        total = 0.0
        for event_id, action in actions.items():
            amount, fraud = self.amounts[event_id], self.labels[event_id]
            if action == "allow":
                total += amount if fraud else 0.0
            elif action == "challenge":
                total += 0.25 * amount + 0.5 if fraud else 0.5
            else:
                total += 0.0 if fraud else 0.1 * amount + 5.0
        return total


def simulated(count: int, phases: int) -> Payments:
    """So many payments in order of time, over about 60 days."""
    made = [one for one, _ in zip(payments(max(20, count // 110), 66, seed=11), range(count))]
    labels = {str(event["event_id"]): label for event, label in made}
    amounts = {str(event["event_id"]): event["amount"] for event, _ in made}
    size, shown = -(-count // phases), 0
    cut: list[Phase] = []
    for first in range(0, count, size):
        phase = [event for event, _ in made[first : first + size]]
        outcomes = []
        while shown < first and made[shown][0]["time"] + KNOWN_S <= phase[0]["time"]:
            event, label = made[shown]
            outcomes.append({"event_id": event["event_id"], "label": label, "time": event["time"] + KNOWN_S})
            shown += 1
        cut.append((outcomes, phase))
    return Payments(cut, labels, amounts)


def in_one_process(app: Path, truth: Payments, coding: Coding, learns: bool) -> dict[str, str]:
    """The action of each event, by one process that learns by itself, or never."""
    prepared = prepare(app).keyed(coding)
    journal = MemoryJournal(Ledger(coding=coding))
    ready = brain(prepared.app, prepared.features, None)
    tree = prepared.app
    if not learns:
        tree = tree.model_copy(update={"learning": tree.learning.model_copy(update={"policy": False})})
    loop = build(tree, prepared.features, ready, Ports(journal, SystemClock(), prepared.coding, bounded=False))
    actions: dict[str, str] = {}
    for outcomes, events in truth.phases:
        if outcomes:
            loop.learn(parse_outcomes(outcomes, prepared.schema, NEVER_NS)[0])
        for first in range(0, len(events), 1000):
            fresh = loop.decide(read_objects(events[first : first + 1000], prepared.schema, NEVER_NS)[0]).fresh
            assert fresh is not None
            for row in range(len(fresh)):
                actions[fresh.events.id_text(row)] = tree.actions[int(fresh.ruling.action[row])]
    loop.close()
    return actions


class Learners:
    """Two `homeostat learn` processes: one leads, one waits. A context manager."""

    def __init__(self, fleet: Fleet, journal: str) -> None:
        self._fleet, self.kills = fleet, 0
        self.stores = stores_on(fleet.addresses, "online", learning=True)
        assert self.stores is not None
        assert self.stores.learning is not None
        self.learning = self.stores.learning
        self._processes = [self._start(), self._start()]

    def _start(self) -> subprocess.Popen[bytes]:
        places = {
            f"HOMEOSTAT_SERVERS__{name.upper()}": str(value)
            for name, value in self._fleet.addresses.plain.items() if not isinstance(value, dict)
        }  # fmt: skip
        with open(self._fleet.folder / "learners.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "homeostat", "learn", self._fleet.app, "--lease", str(LEASE_S)],
                env={**os.environ, **places, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def standing(self) -> LearnerStanding:
        """The one that leads, and how far it is."""
        return self.learning.standing()

    def kill(self) -> None:
        """Kill the one that leads, and start another, which waits."""
        leading = [one for one in self._processes if self.standing.owner.endswith(f"-{one.pid}")]
        if not leading:
            return
        leading[0].send_signal(signal.SIGKILL)
        leading[0].wait()
        self._processes = [one for one in self._processes if one is not leading[0]] + [self._start()]
        self.kills += 1

    def caught_up(self, last: int) -> bool:
        """Whether all up to an entry was learned from."""
        found = self.standing
        return found.leads and found.position >= last and found.stale_s is not None and found.stale_s < 2.0

    def __enter__(self) -> Learners:
        return self

    def __exit__(self, *error: object) -> None:
        for one in self._processes:
            one.kill()
            one.wait()
        assert self.stores is not None
        self.stores.close()


@dataclass(slots=True)
class Found:
    """The results.

    cost_* : of the three runs; stale_s : of the learning, as looked at while events were decided
    charged_max, granted_max : of one period, over both workers, of a budget of `BUDGET`
    """

    events: int
    cost_never: float = 0.0
    cost_one: float = 0.0
    cost_workers: float = 0.0
    kills: int = 0
    states: int = 0
    stale_s_max: float = 0.0
    charged_max: float = 0.0
    granted_max: float = 0.0
    charged: float = 0.0
    explored: int = 0
    decided_again: int = 0
    same_again: int = 0
    seconds: float = 0.0
    by_worker: list[int] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The workers' regret as a share of one process's."""
        return self.cost_workers / self.cost_one

    @property
    def met(self) -> dict[str, bool]:
        """Each target, and whether it is met."""
        return {
            "regret within 5 % of one process's": self.ratio <= RATIO_MAX,
            "learning pays": self.cost_one < self.cost_never and self.cost_workers < self.cost_never,
            "the budget holds over all workers": max(self.charged_max, self.granted_max) <= BUDGET,
            "decided again to the same, bit for bit": self.same_again == self.decided_again == self.events,
        }


def by_workers(fleet: Fleet, truth: Payments, kills: int, found: Found) -> dict[str, str]:
    """The action of each event, by two workers that a learner teaches."""
    sender, rng = Sender(fleet), np.random.default_rng(2)
    at_phases = set(np.linspace(2, len(truth.phases) - 2, kills).astype(int).tolist()) if kills else set()
    with fleet.reader("decisions") as decisions, Learners(fleet, fleet.journal_url) as learners:
        workers = [fleet.worker(), fleet.worker()]
        until("the workers are ready", lambda: all(one.asked("healthz")[0] == 200 for one in workers))
        until("there is a learner", lambda: learners.standing.leads)
        outcomes = 0
        for number, (known, events) in enumerate(truth.phases):
            for one in known:
                sender.put("outcomes", json.dumps(one).encode(), one["event_id"])
            sender.flush()
            outcomes += len(known)
            until("outcomes are journalled", lambda expected=outcomes: _count(fleet, "outcomes") == expected)
            before = len(sender.sent.events)
            for event in events:
                sender.event(event)
            sender.flush()
            if number in at_phases:
                target = before + int(rng.integers(1, len(events)))
                until("some are decided", lambda some=target: len(decisions.ids) >= some)
                learners.kill()
            until("events are decided", lambda: len(decisions.ids) == len(sender.sent.events), 300.0)
            stale_s = learners.standing.stale_s
            found.stale_s_max = max(found.stale_s_max, stale_s or 0.0)
            last = _last(fleet)
            until("it is learned", lambda entry=last: learners.caught_up(entry))
        assert learners.stores is not None
        found.states = sum(one.kind == ChangeKind.STATE for one in learners.stores.settings.since(0))
        found.kills = learners.kills
        found.by_worker = [int(one.metric("homeostat_messages_published_total")) for one in workers]
    return {str(value["event_id"]): value["action"] for value in decisions.values}


def _count(fleet: Fleet, table: str) -> int:
    with psycopg.connect(fleet.journal_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row is not None else 0


def _last(fleet: Fleet) -> int:
    with psycopg.connect(fleet.journal_url) as connection:
        row = connection.execute("SELECT max(sequence) FROM entries").fetchone()
    return int(row[0] or 0) if row is not None else 0


def _granted_max(fleet: Fleet) -> float:
    with psycopg.connect(fleet.journal_url) as connection:
        row = connection.execute("SELECT coalesce(max(granted), 0) FROM exploration_grants").fetchone()
    return float(row[0]) if row is not None else 0.0


def processes(fleet: Fleet) -> dict[int, int]:
    """Which process decided each entry, as a number: partitions that occur in one entry have the same reader."""
    with psycopg.connect(fleet.journal_url) as connection:
        rows = connection.execute("SELECT DISTINCT entry, split_part(place, '@', 1) FROM decisions").fetchall()
    reader: dict[str, str] = {}

    def found(lane: str) -> str:
        while reader.setdefault(lane, lane) != lane:
            lane = reader[lane]
        return lane

    first: dict[int, str] = {}
    for entry, lane in rows:
        reader[found(lane)] = found(first.setdefault(entry, lane))
    number = {lane: k for k, lane in enumerate(sorted({found(lane) for lane in reader}))}
    return {entry: number[found(lane)] for entry, lane in first.items()}


def decided_again(fleet: Fleet, app: Path) -> Again:
    """All decisions of the journal, made again."""
    with open_learner(app, fleet.addresses) as leading:
        return Deciding(leading.source, processes(fleet).__getitem__).run()


def measure(count: int, phases: int, kills: int, folder: Path) -> Found:
    """Both runs, and what became of the budget."""
    app = folder / "online.yaml"
    app.write_text(APP, "utf-8")
    prepare(app)  # Its faults are reported before servers are started.
    began, truth = time.monotonic(), simulated(count, phases)
    found = Found(truth.events)
    with Fleet(folder, app=str(app), retention=None) as fleet, stopped_after(fleet):
        actions = by_workers(fleet, truth, kills, found)
        assert actions.keys() == truth.labels.keys(), "each event is decided, and once"
        found.cost_workers = truth.cost(actions)
        with PostgresJournal(fleet.journal_url) as journal:
            coding = journal.coding
        found.cost_one = truth.cost(in_one_process(app, truth, coding, learns=True))
        found.cost_never = truth.cost(in_one_process(app, truth, coding, learns=False))
        found.granted_max = _granted_max(fleet)
        again = decided_again(fleet, app)
    found.decided_again, found.same_again = again.decisions, again.same
    found.charged_max = max(again.charged.values(), default=0.0)
    found.charged, found.explored = sum(again.charged.values()), sum(again.explored.values())
    found.seconds = time.monotonic() - began
    return found


def _lines(found: Found) -> Iterator[str]:
    yield f"{found.events:,} payments, two workers ({' and '.join(f'{n:,}' for n in found.by_worker)} messages)"
    yield f"cost without learning {found.cost_never:,.0f}, by one process that learns {found.cost_one:,.0f},"
    yield f"by two workers with a learner {found.cost_workers:,.0f}: {found.ratio:.4f} times (at most {RATIO_MAX})"
    yield f"{found.states} states published, the learner killed {found.kills} times"
    yield f"staleness at the end of a phase at most {found.stale_s_max:.1f} s"
    yield f"exploring: {found.explored:,} events, charged {found.charged:,.0f} in all; of one period at most"
    yield f"{found.charged_max:.2f} charged and {found.granted_max:.2f} taken, of {BUDGET:.2f} for both together"
    yield f"decided again: {found.same_again:,} of {found.decided_again:,} the same, bit for bit"
    for target, met in found.met.items():
        yield f"{'ok' if met else 'MISSED':>6}  {target}"


def main() -> int:
    """Print the figures; 0 only if every target is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.online", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--phases", type=int, default=60)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.events, options.phases, options.kills, Path(folder))
    if options.json:
        share, same = found.charged_max / BUDGET, found.same_again / max(1, found.events)
        figures: Iterator[tuple[str, float, float | None, bool]] = iter([
            ("regret of two workers with a learner, of one process's", found.ratio, RATIO_MAX, found.ratio < RATIO_MAX),
            ("regret of one process, of one that never learns", found.cost_one / found.cost_never, None, True),
            ("exploration charged in a day, of its budget", share, 1.0, share <= 1.0),
            ("decisions that come out the same again", same, 1.0, same == 1.0),
        ])  # fmt: skip
        rows = [
            {"what": what, "measured": value, **({} if target is None else {"target": target, "holds": holds})}
            for what, value, target, holds in figures
        ]
        print(json.dumps(rows))
        print(json.dumps(asdict(found)), file=sys.stderr)
    else:
        print("\n".join(_lines(found)))
    return 0 if all(found.met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

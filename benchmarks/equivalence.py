"""The same payments in one process, by one worker, and by workers that come and go: every difference explained.

    python -m benchmarks.equivalence --events 100000

Features are compared bit for bit, as the journal has them. A difference counts as explained only where the declared
rule is seen to have been at work: the entity's log in Redis has its events in another order, and the recorded features
are what a naive recomputation over that log gives; an event was late in its own partition; a worker's own circuit
breaker ruled; a deadline passed. Anything else is unexplained, and fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.fleet import Fleet, FleetServers, Sender, payments, stopped_after, until
from benchmarks.outside import Recorded, Windows, journalled, recorded, tag_of
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.postgres import PostgresJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build
from homeostat.decide.guards.plan import BY_BREAKER
from homeostat.engine.assembly import bundle_of, prepare
from homeostat.engine.engine import Engine
from homeostat.engine.parts import Parts
from homeostat.records.decisions import DecisionBatch
from homeostat.records.features import Features, Freshness
from homeostat.records.identity import Coding
from homeostat.records.reasons import Fallback

DELAY_S = 7 * 86_400
PHASES = 10
APP = "payments"
Step = tuple[str, list[dict[str, Any]]]
Happening = Callable[[Fleet, int], None]


@dataclass(slots=True)
class Compared:
    """The results of a run beside those of a single process.

    same : decisions equal in features (bit for bit), risk and action
    rules : differences by the declared rule that explains them
    """

    name: str
    events: int = 0
    same: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    seconds: float = 0.0


def steps_of(events: list[tuple[dict[str, Any], int]], phases: int = PHASES) -> list[Step]:
    """Events in phases; before each, what has become known of events a week old."""
    made: list[Step] = []
    shown = 0
    by_time = sorted(events, key=lambda one: one[0]["time"])
    size = -(-len(events) // phases)
    for first in range(0, len(events), size):
        phase = [event for event, _ in events[first : first + size]]
        sent = {event["event_id"] for event, _ in events[:first]}
        moment, outcomes = min(event["time"] for event in phase) - DELAY_S, []
        while shown < len(by_time) and by_time[shown][0]["time"] <= moment and by_time[shown][0]["event_id"] in sent:
            event, label = by_time[shown]
            outcomes.append({"event_id": event["event_id"], "label": label})
            shown += 1
        made += [("outcomes", outcomes), ("events", phase)]
    return made


@dataclass(slots=True)
class Single:
    """One process's decisions, and the order in which each entity's events came there."""

    journal: dict[str, Recorded]
    order: dict[tuple[str, int], list[tuple[int, int]]]
    engine: Engine


def in_one_process(steps: list[Step], coding: Coding) -> Single:
    """The decisions of one engine about the steps; it waits for every scorer, as replay does.

    coding : that of the workers' journal, since chance follows from its secret
    """
    prepared = prepare(APP).keyed(coding)
    journal, clock = SqliteJournal(":memory:", app=APP, secret=prepared.coding.secret), SystemClock()
    models = brain(prepared.app, prepared.features, bundle_of(prepared, None))
    loop = build(prepared.app, prepared.features, models, Ports(journal, clock, prepared.coding, bounded=False))
    engine = Engine(Parts(prepared.app, loop, prepared.schema, prepared.words, journal, clock))
    shown: list[tuple[str, list[int]]] = []
    for kind, rows in steps:
        for first in range(0, len(rows), 1000):
            some = rows[first : first + 1000]
            answers = engine.decide(some) if kind == "events" else engine.learn(some)
            assert all("event_id" in answer for answer in answers), answers[:3]
        shown.append((kind, [tag_of(coding, row["event_id"]) for row in rows]))
    found = {
        event_id: one for entry in journal.read() if isinstance(entry.body, DecisionBatch)
        for event_id, one in recorded(entry.body)
    }  # fmt: skip
    by_tag = {one.tag: one for one in found.values()}
    order: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for kind, codes in shown:
        for code in codes:
            one = by_tag[code]
            if not one.late:
                for entity, key in zip(prepared.app.events.entities, one.keys, strict=True):
                    order[entity, key].append((code, 0 if kind == "events" else 2))
    return Single(found, order, engine)


def by_workers(fleet: Fleet, steps: list[Step], keyed: bool, happening: Happening) -> Sender:
    """Send the steps, each once the one before is decided; `happening` is called before each phase of events."""
    sender = Sender(fleet, keyed=keyed)
    outcomes = phase = 0
    with fleet.reader("decisions") as decisions:
        for kind, rows in steps:
            if kind == "outcomes" and not rows:
                continue
            if kind == "outcomes":
                for row in rows:
                    sender.outcome(row, row["label"])
                sender.flush()
                outcomes += len(rows)
                until("outcomes are journalled", lambda: _outcomes(fleet) == outcomes)
                continue
            happening(fleet, phase)
            phase += 1
            for row in rows:
                sender.event(row)
            sender.flush()
            until("events are decided", lambda: len(decisions.ids) == len(sender.sent.events))
        assert max(decisions.ids.values()) == 1
    return sender


def _outcomes(fleet: Fleet) -> int:
    with psycopg.connect(fleet.journal_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM outcomes").fetchone()
    return int(count)


def one_worker(fleet: Fleet, phase: int) -> None:
    """One worker from the beginning on."""
    if phase == 0:
        fleet.worker()


def coming_and_going(fleet: Fleet, phase: int) -> None:
    """A second worker joins half-way, while events come; then the first one leaves."""
    if phase in (0, PHASES // 2):
        fleet.worker()
    if phase == PHASES * 3 // 4:
        fleet.workers[0].stop_soon()


def compare(name: str, fleet: Fleet, sender: Sender, single: Single) -> Compared:
    """Every decision beside that of the single process."""
    found, names = journalled(fleet.journal_url)
    windows = Windows(fleet, sender.sent, found)
    judged = _late_by_lane(fleet, found)
    risks = _risks(single.engine, found, names)
    result = Compared(name, len(found), unexplained=[f"in a log {one}" for one in windows.twice()])
    assert found.keys() == single.journal.keys()
    for event_id, one in found.items():
        other = single.journal[event_id]
        why = _difference(one, other, windows, names, single, judged[event_id], risks[event_id], len(fleet.workers))
        if why == "":
            result.same += 1
        elif why.startswith("unexplained"):
            result.unexplained.append(f"{event_id}: {why}")
        else:
            result.rules[why] += 1
    return result


def _difference(
    one: Recorded, other: Recorded, windows: Windows, names: tuple[str, ...], single: Single, late_in_lane: bool,
    risk: float, workers: int,
) -> str:  # fmt: skip
    """The rule that explains a difference, empty where there is none."""
    same_bits = one.features.tobytes() == other.features.tobytes()
    if one.fallback & (Fallback.FEATURES_STALE | Fallback.FEATURES_ABSENT):
        return "the feature store was away"
    if one.fallback:
        return f"deadline or failure: {Fallback.text(one.fallback)}"
    if one.risk != risk:
        return f"unexplained: risk {one.risk!r} recorded, {risk!r} from the recorded features"
    if one.late != other.late:
        if one.late == late_in_lane:
            return "late in its own partition, or not"
        return "late, but its partition had a new reader" if workers > 1 else "unexplained: lateness"
    if not same_bits:
        return _why_features(one, other, windows, names, single)
    if one.risk != other.risk:
        return "unexplained: risk"
    if one.action != other.action:
        return "a worker's own breaker" if BY_BREAKER in (one.rule, other.rule) else "unexplained: action"
    differ = one.freshness != other.freshness
    if not differ.any():
        return ""
    fresher = (other.freshness[differ] == Freshness.STALE).all() and (one.freshness[differ] == Freshness.FRESH).all()
    if fresher:
        return "far behind, and fresh all the same: shared logs are kept longer"
    staler = (other.freshness[differ] == Freshness.FRESH).all() and (one.freshness[differ] == Freshness.STALE).all()
    return "its partition was further behind than the skew: flagged as stale" if staler else "unexplained: freshness"


def _why_features(one: Recorded, other: Recorded, windows: Windows, names: tuple[str, ...], single: Single) -> str:
    """Whether the entities' logs explain other features."""
    differ = {
        name for k, name in enumerate(names) if one.features[k : k + 1].tobytes() != other.features[k : k + 1].tobytes()
    }
    entities = sorted({windows.entities[f.entity] for f in windows.features if f.name in differ})
    if not entities:
        return f"unexplained: {sorted(differ)[:3]}"
    if one.late:
        return "late: seen from another place in the order"
    for entity in entities:
        key = one.keys[windows.entities.index(entity)]
        past, order = windows.pasts[entity, key], single.order[entity, key]
        own = past.place.get(one.tag)
        if own is None:
            return "unexplained: the event is not in its log"
        before = windows.rows[entity, key][: int(past.at[own])]
        there = [(code, kind) for _, code, kind, _ in before]
        if there == order[: order.index((one.tag, 0))]:
            return f"unexplained: the order of {entity} {key} is the same, {sorted(differ)[:3]} are not"
    said = [text for text in windows.wrong(one, names) if text.split(":")[0] in differ]
    if said:
        return f"unexplained: {said[0]}"
    return f"another order of events of the {' and the '.join(entities)}"


def _late_by_lane(fleet: Fleet, found: dict[str, Recorded]) -> dict[str, bool]:
    """Whether each event was late in its partition, judged from all that came before it there."""
    lateness_ns = prepare(APP).app.events.lateness
    lanes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    with psycopg.connect(fleet.journal_url) as connection:
        for event_id, place in connection.execute("SELECT event_id, place FROM decisions"):
            lane, _, position = place.partition("@")
            lanes[lane].append((int(position), event_id))
    judged: dict[str, bool] = {}
    for messages in lanes.values():
        newest = -(2**62)
        for _, event_id in sorted(messages):
            newest = max(newest, found[event_id].time_ns)
            judged[event_id] = found[event_id].time_ns < newest - lateness_ns
    return judged


def _risks(engine: Engine, found: dict[str, Recorded], names: tuple[str, ...]) -> dict[str, float]:
    """The risk that follows from each decision's recorded features."""
    stages, ids = engine.parts.loop.stages, list(found)
    risks: dict[str, float] = {}
    for first in range(0, len(ids), 1000):
        some = ids[first : first + 1000]
        values = np.stack([found[event_id].features for event_id in some])
        freshness = np.stack([found[event_id].freshness for event_id in some])
        fused = stages.fusion.fuse(stages.panel.score(Features(names, values, freshness)))
        risks.update(zip(some, fused.risk.tolist(), strict=True))
    return risks


def real_payments(count: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The published payments where HOMEOSTAT_DATA names their folder: the first ones after four weeks."""
    import pyarrow.parquet as pq

    (path, *_) = sorted(Path(os.environ["HOMEOSTAT_DATA"]).glob("fraud_transactions_*.parquet"))
    table = pq.read_table(path).slice(0, count).to_pydict()
    for k, moment in enumerate(table["TX_DATETIME"]):
        yield {
            "event_id": int(table["TRANSACTION_ID"][k]), "time": int(moment.replace(tzinfo=UTC).timestamp()),
            "customer": int(table["CUSTOMER_ID"][k]),
            "terminal": int(table["TERMINAL_ID"][k]), "amount": float(table["TX_AMOUNT"][k]),
        }, int(table["TX_FRAUD"][k])  # fmt: skip


def simulated_payments(count: int, late_share: float = 0.002) -> list[tuple[dict[str, Any], int]]:
    """So many simulated payments over about 30 days."""
    customers = max(20, count // 55)
    return [one for one, _ in zip(payments(customers, 32, late_share=late_share), range(count))]


RUNS: dict[str, tuple[bool, Happening]] = {
    "one worker, keyed by customer": (True, one_worker),
    "one worker, no keys": (False, one_worker),
    "workers that come and go, keyed by customer": (True, coming_and_going),
    "workers that come and go, no keys": (False, coming_and_going),
}


def trial(
    events: list[tuple[dict[str, Any], int]], folder: Path, runs: tuple[str, ...] = tuple(RUNS),
    note: Callable[[str], None] = lambda text: None, lent: FleetServers | None = None,
) -> list[Compared]:  # fmt: skip
    """The runs beside one process's."""
    steps = steps_of(events)
    results: list[Compared] = []
    with Fleet(folder, lent=lent) as fleet, stopped_after(fleet):
        for number, name in enumerate(runs):
            if number:
                fleet.begin()
            keyed, happening = RUNS[name]
            began = time.monotonic()
            sender = by_workers(fleet, steps, keyed, happening)
            assert fleet.addresses.journal is not None
            with PostgresJournal(fleet.addresses.journal) as journal:
                single = in_one_process(steps, journal.coding)
            results.append(compare(name, fleet, sender, single))
            results[-1].seconds = time.monotonic() - began
            note(f"{name}: {results[-1]}")
    return results


def main() -> int:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equivalence", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    sources = {"simulated": simulated_payments(options.events)}
    if os.environ.get("HOMEOSTAT_DATA"):
        sources["published"] = list(real_payments(options.events))
    unexplained = 0
    for source, events in sources.items():
        with tempfile.TemporaryDirectory(prefix="homeostat-equivalence-") as folder:
            for result in trial(events, Path(folder), note=lambda text: print(text[:300], file=sys.stderr, flush=True)):
                print(f"{source} payments, {result.name}: {result.events:,} decisions, {result.same:,} the same")
                for rule, count in result.rules.most_common():
                    print(f"    {count:>7,}  {rule}")
                print(f"    {len(result.unexplained):>7,}  unexplained", *result.unexplained[:5], sep="\n        ")
                unexplained += len(result.unexplained)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())

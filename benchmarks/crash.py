"""Kills and restarts workers and servers at random under load, and counts from outside what was lost, doubled or wrong.

python -m benchmarks.crash --rounds 50
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.evidence import evidence
from benchmarks.fleet import Fleet, FleetServers, Load, Reader, Sender, payments, stopped_after, until
from benchmarks.outside import (
    Found,
    Loss,
    Outage,
    Windows,
    answers_in,
    delivered,
    excuse,
    journalled,
    past_of,
    recomputed,
)
from homeostat.adapters.disk.spool import POLICY as SPOOLING
from homeostat.records.events import Row
from homeostat.records.reasons import Fallback

# PostgreSQL answers again, and each worker has found out and written what waited on its disk.
BACK_S = SPOOLING.deadline_s + SPOOLING.backoff.longest_s
AWAY = Fallback.FEATURES_STALE | Fallback.FEATURES_ABSENT


@dataclass(slots=True)
class Report:
    """The results of a trial.

    rounds : what was done to whom, and how often
    slowest_s : the longest that any round's events took to be decided, from the fault on
    probes, probes_wrong : final events that must see exactly what went before, and those that did not
    unlogged : events that are not in the shared logs as they should be
    outages, losses : of PostgreSQL and of Redis
    evidence : everything that is there about the events that were decided twice, lost, or wrong in the table
    """

    found: Found
    rounds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest_s: float = 0.0
    copies: int = 0
    bad: int = 0
    outcomes: int = 0
    probes: int = 0
    probes_wrong: list[str] = field(default_factory=list)
    unlogged: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        return self.found.well and not self.probes_wrong and not self.unlogged and not any(self.statuses)

    @property
    def shown(self) -> str:
        """All of it, for the output of a test that fails."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.rows()), *self.wrong, *self.evidence])

    @property
    def wrong(self) -> list[str]:
        """Each thing that is wrong, and its kind."""
        found = self.found
        kinds = {
            "lost": found.lost, "double": found.double, "row wrong": found.rows_wrong,
            "window wrong": found.windows_wrong, "unlogged": self.unlogged, "probe wrong": self.probes_wrong,
        }  # fmt: skip
        return [f"{kind}: {one}" for kind, some in kinds.items() for one in some]

    def rows(self) -> list[tuple[str, object]]:
        """For people."""
        found = self.found
        return [
            ("rounds", sum(self.rounds.values())), *sorted(self.rounds.items()), ("seconds", round(self.seconds)),
            ("slowest round, s", round(self.slowest_s, 1)), ("events", found.events), ("copies of events", self.copies),
            ("bad messages", self.bad), ("outcomes", self.outcomes), *sorted(found.flagged.items()),
            ("lost decisions", len(found.lost)), ("double decisions", len(found.double)),
            ("copies decided while PostgreSQL was away", len(found.repeated_away)),
            ("rows wrong in the table", len(found.rows_wrong)), ("dead letters wrong", found.letters_wrong),
            ("outcomes lost", found.outcomes_lost), ("events not in the logs as they should be", len(self.unlogged)),
            ("decisions whose windows were recomputed", found.windows),
            ("decisions whose logs were trimmed since", found.windows_trimmed),
            ("decisions whose rows Redis lost and has in another order", len(found.windows_moved)),
            ("windows wrong", len(found.windows_wrong)), ("probes", self.probes),
            ("probes wrong", len(self.probes_wrong)), ("well", self.well),
        ]  # fmt: skip


def faults(fleet: Fleet, rng: np.random.Generator, losses: list[Loss]) -> dict[str, Callable[[], None]]:
    """The faults of a round.

    losses : gets those of Redis
    """

    def kill_worker() -> None:
        worker = fleet.workers[int(rng.integers(len(fleet.workers)))]
        worker.kill()
        time.sleep(rng.random())
        worker.start()

    def restart(name: str, how: str) -> Callable[[], None]:
        def act() -> None:
            server, began = fleet.servers[name], time.time()
            getattr(server, how)()
            time.sleep(rng.random())
            if name == "redis":
                losses.append(Loss(began * 1000, time.time() * 1000))
            server.start()

        return act

    return {
        "worker killed": kill_worker, "redis killed": restart("redis", "kill"),
        "postgres killed": restart("postgres", "kill"), "postgres stopped": restart("postgres", "stop"),
        "kafka killed": restart("kafka", "kill"),
    }  # fmt: skip


def trial(
    rounds: int, folder: Path, *, workers: int = 2, rate: float = 500.0, customers: int = 1000, days: int = 60,
    seed: int = 1, sample: int = 20_000, note: Callable[[str], None] = lambda text: None,
    lent: FleetServers | None = None,
) -> Report:  # fmt: skip
    """So many rounds of one random fault each, under load, then the checks."""
    rng = np.random.default_rng(seed)
    with Fleet(folder, lent=lent) as fleet, stopped_after(fleet):
        for _ in range(workers):
            fleet.worker()
        until("the workers are ready", lambda: all(worker.ready for worker in fleet.workers))
        report, began = Report(Found()), time.monotonic()
        acts = faults(fleet, rng, report.losses)
        names = [
            one for first in range(0, rounds, len(acts)) for one in rng.permutation(list(acts)).tolist()
        ][:rounds]  # fmt: skip
        sender = Sender(fleet, seed)
        with fleet.reader("decisions") as decisions, fleet.reader("dead_letters") as letters:
            with Load(sender, payments(customers, days, late_share=0.01), rate) as load:
                for number, name in enumerate(names):
                    time.sleep(0.5 + rng.random())
                    fault_at, fault_ms = time.monotonic(), time.time() * 1000
                    acts[name]()
                    if name.startswith("postgres"):
                        report.outages.append(Outage(fault_ms, (time.time() + BACK_S) * 1000))
                    report.rounds[name] += 1
                    sent = list(sender.sent.events)
                    until(f"round {number}, {name}", lambda: all(one in decisions.ids for one in reversed(sent)))
                    report.slowest_s = max(report.slowest_s, time.monotonic() - fault_at)
                    note(f"{number + 1}/{rounds} {name}: well after {time.monotonic() - fault_at:.1f} s")
                load.stop()
            _wait_for_outcomes(fleet, sender, decisions)
            report.seconds = time.monotonic() - began
            probes = _probe(fleet, sender, decisions, customers)
            report.statuses = [worker.stop() for worker in fleet.workers]
            _check(fleet, sender, decisions, letters, probes, report, sample, rng)
        return report


def _wait_for_outcomes(fleet: Fleet, sender: Sender, decisions: Reader) -> None:
    until("all is decided", lambda: len(decisions.ids) >= len(sender.sent.events))
    until("all workers are well again", lambda: all(worker.ready for worker in fleet.workers))

    def all_journalled() -> bool:
        with psycopg.connect(fleet.journal_url) as connection:
            (count,) = connection.execute("SELECT count(DISTINCT event_id) FROM outcomes").fetchone()
        return count == len(sender.sent.outcomes)

    until("all outcomes are journalled", all_journalled)


def _probe(fleet: Fleet, sender: Sender, decisions: Reader, customers: int) -> list[dict[str, Any]]:
    """Two last events of each customer, each at another terminal: the second once all of the first are decided.

    Before them goes one that is not looked at: by it a worker that was idle learns that Redis has lost rows. The others
    are sent when what was lost is there again.
    """
    last = max(int(event["time"]) for event in sender.sent.events.values())
    made = []
    for wave in range(3):
        for k in range(customers):
            event = {
                "event_id": f"probe-{wave}-{k}", "time": last + 3600 * (wave + 1), "customer": k,
                "terminal": wave * customers + k, "amount": 10.0 + k,
            }  # fmt: skip
            sender.event(event)
            if wave:
                made.append(event)
        sender.flush()
        until("the probes are decided", lambda: len(decisions.ids) >= len(sender.sent.events))
        until("all workers have the feature store", lambda: all(worker.ready for worker in fleet.workers))
    return made


def _check(
    fleet: Fleet, sender: Sender, decisions: Reader, letters: Reader, probes: list[dict[str, Any]], report: Report,
    sample: int, rng: np.random.Generator,
) -> None:  # fmt: skip
    sent = sender.sent
    with fleet.reader("decisions") as again:  # Another consumer, from the beginning.
        until("the topic is read", lambda: len(again.ids) >= len(sent.events), 60.0)
        time.sleep(1.0)
        found = report.found = delivered(fleet, sent, again.values, letters.values)
        rows = answers_in(fleet.journal_url, found.double)
        excuse(found, sent.again, again.values, again.written_ms, rows, report.outages)
    written_ms: dict[str, int] = {}
    for decision, moment in zip(again.values, again.written_ms, strict=True):
        written_ms[decision["event_id"]] = min(moment, written_ms.get(decision["event_id"], moment))
    report.copies, report.bad, report.outcomes = sent.copies, sent.bad, len(sent.outcomes)
    journal, names = journalled(fleet.journal_url)
    windows = Windows(fleet, sent, journal)
    windows.settle(found.repeated_away)
    report.unlogged = windows.unlogged()
    seeing = [
        event_id for event_id, one in journal.items()
        if not one.late and not one.fallback & AWAY and event_id not in found.repeated_away
    ]  # fmt: skip
    checked = [event_id for event_id in seeing if not windows.trimmed(journal[event_id])]
    report.found.windows_trimmed = len(seeing) - len(checked)
    if len(checked) > sample:
        checked = [checked[k] for k in rng.choice(len(checked), sample, replace=False)]
    puzzling = [*found.double, *found.rows_wrong, *found.lost, *found.repeated_away]
    for event_id in checked:
        said = windows.wrong(journal[event_id], names)
        if said and any(loss.may_hold(written_ms.get(event_id, math.inf)) for loss in report.losses):
            found.windows_moved.append(event_id)
        elif said:
            found.windows_wrong.append(f"{event_id}: {'; '.join(said[:3])}")
            puzzling.append(event_id)
    found.windows = len(checked)
    report.probes = len(probes)
    report.probes_wrong = _wrong_probes(windows, sender, journal, names, probes)
    report.evidence = evidence(fleet, puzzling)


def _wrong_probes(
    windows: Windows, sender: Sender, journal: dict[str, Any], names: tuple[str, ...], probes: list[dict[str, Any]]
) -> list[str]:
    """The probes that did not see exactly what was sent before them, whatever order it came in."""
    sent = sender.sent
    labels = {code: sent.outcomes.get(str(event["event_id"])) for code, event in windows.events.items()}
    own: dict[tuple[int, int], list[tuple[int, int, int, float]]] = {}
    for event_id, one in journal.items():
        if not one.late:
            for entity, key in enumerate(one.keys):
                rows = own.setdefault((entity, key), [])
                rows.append((one.time_ns, one.tag, int(Row.EVENT), 0.0))
                label = labels[one.tag]
                if label is not None:
                    rows.append((one.time_ns, one.tag, int(Row.OUTCOME), float(label)))
    column, wrong = {name: k for k, name in enumerate(names)}, []
    for event_id in (str(probe["event_id"]) for probe in probes):
        one = journal[event_id]
        for feature in windows.features:
            earlier = [row for row in own[feature.entity, one.keys[feature.entity]] if row[0] < one.time_ns]
            past = past_of(earlier, windows.amounts)
            expected = recomputed(feature, past, one.time_ns, windows.amounts[one.tag], 2**61)
            value = float(one.features[column[feature.name]])
            if not (value == expected or abs(value - expected) <= 1e-9 * max(1.0, abs(expected))) and not (
                np.isnan(value) and np.isnan(expected)
            ):
                wrong.append(f"{event_id}: {feature.name} {value!r}, not {expected!r}")
                break
    return wrong


def main() -> int:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crash", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=500.0, help="events a second")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="homeostat-crash-") as folder:
        report = trial(
            options.rounds, Path(folder), workers=options.workers, rate=options.rate, seed=options.seed,
            note=lambda text: print(text, file=sys.stderr, flush=True),
        )  # fmt: skip
    for name, value in report.rows():
        print(f"{name:<45} {value:,}" if isinstance(value, (int, float)) else f"{name:<45} {value}")
    for one in [*report.wrong[:20], *report.evidence]:
        print("  ", one, file=sys.stderr)
    return 0 if report.well else 1


if __name__ == "__main__":
    sys.exit(main())

"""Lists of decisions out of a journal of millions: first rows, each filter, pairs of them, and the index that it takes.

    python -m benchmarks.decision_lists --rows 10000000                    a journal in SQLite
    python -m benchmarks.decision_lists --rows 10000000 --postgres URL     in an empty database

Each list is asked for once, with as many decisions as a page of the console has. With --json for machines.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.adapters.disk.sqlite.decision_pages import FILE
from homeostat.adapters.disk.sqlite.decision_pages import open_decision_lists as in_folder
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals.decision_lists import IndexedDecisions
from homeostat.checks.batches import decisions
from homeostat.ports.decision_lists import Wanted
from homeostat.records.decisions import DecisionBatch

SECOND_NS = 10**9
BATCH, PAGE, CUSTOMERS, SHOPS = 65_536, 50, 200_000, 5_000
START_NS = 1_760_000_000 * SECOND_NS


def batch_of(start: int, rows: int) -> DecisionBatch:
    """Decisions at a hundred a second: one in fifty is blocked, one in a thousand degraded, some rules are rare."""
    rng = np.random.default_rng(start)
    batch = decisions(list(range(start, start + rows)), 0, 6, 2, 3)
    keys = np.stack([rng.integers(0, CUSTOMERS, rows), rng.integers(0, SHOPS, rows)], axis=1)
    times = START_NS + (np.arange(start, start + rows) * SECOND_NS) // 100 + rng.integers(-SECOND_NS, SECOND_NS, rows)
    chance = rng.random(rows)
    action = np.where(chance < 0.02, 2, np.where(chance < 0.1, 1, 0)).astype(np.int16)
    rule = np.where(rng.random(rows) < 1e-5, 3, np.where(rng.random(rows) < 0.01, 1, -1)).astype(np.int16)
    zeros = np.zeros(rows, np.uint8)
    events = replace(batch.events, kind=zeros, time_ns=times, keys=keys, key_checks=np.zeros((rows, 2), np.int64))
    return replace(
        batch, events=events, fused=replace(batch.fused, risk=rng.beta(0.4, 6.0, rows)),
        ruling=replace(batch.ruling, action=action, rule=rule), version=f"version-{start // 2_000_000}",
        fallback=(rng.random(rows) < 1e-3).astype(np.uint8),
    )  # fmt: skip


def wishes(rows: int) -> dict[str, Wanted]:
    """Lists as people ask for them, of a journal with so many decisions."""
    middle = START_NS + rows * SECOND_NS // 200
    hour: dict[str, Any] = {"since_ns": middle, "until_ns": middle + 3600 * SECOND_NS}
    customer, shop = {"entity": ("customer", "4711")}, {"entity": ("terminal", "17")}
    return {
        "everything": Wanted(),
        "action": Wanted(actions=("action_2",)),
        "no such action": Wanted(actions=("none",)),
        "rule, rare": Wanted(rules=("rule_3",)),
        "version, the oldest": Wanted(versions=("version-0",)),
        "entity": Wanted(**customer),
        "risk, hardly any": Wanted(risk_min=0.95),
        "degraded": Wanted(degraded=True),
        "time": Wanted(**hour),
        "action, time": Wanted(actions=("action_2",), **hour),
        "entity, time": Wanted(**customer, **hour),
        "entity, action": Wanted(actions=("action_2",), **customer),
        "entity, risk": Wanted(risk_min=0.5, **customer),
        "shop, action, degraded, risk": Wanted(actions=("action_1",), degraded=True, risk_min=0.3, **shop),
        "rule, risk": Wanted(rules=("rule_3",), risk_min=0.4),
        "version, rule, risk": Wanted(rules=("rule_3",), risk_min=0.2, versions=("version-0",)),
    }  # fmt: skip


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    found = call()
    return found, time.perf_counter() - begun


def measured(opens: Callable[[], IndexedDecisions], rows: int) -> list[Figure]:
    """The first list, making the index, and each list after that."""
    lists = opens()
    first, first_s = timed(lambda: lists.page(Wanted(), PAGE))
    _, index_s = timed(lists.index)
    figures = [
        figure(f"first {len(first.items)} rows of {rows:,}, without an index", first_s, "<= 1"),
        figure("making the index", index_s),
    ]
    for name, wanted in wishes(rows).items():
        page, took_s = timed(lambda wanted=wanted: lists.page(wanted, PAGE))
        end = "" if page.scanned_ns is None else ", not to the end"
        figures.append(figure(f"{name}: {len(page.items)} rows{end}", took_s, "<= 1"))
    counts, took_s = timed(lambda: lists.counts(("customer", "4711")))
    figures.append(figure(f"counts of an entity: {sum(counts.actions.values())} decisions", took_s, "<= 1"))
    lists.close()
    return figures


def figure(name: str, seconds: float, target: str = "") -> Figure:
    return Figure("decision_lists", name, seconds, "s", target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--postgres", help="address of an empty database")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        journal: Any
        if options.postgres:
            from homeostat.adapters.postgres.decision_pages import open_decision_lists
            from homeostat.adapters.postgres.journal import PostgresJournal

            journal = stack.enter_context(PostgresJournal(options.postgres, deadline_s=600.0))

            def opens() -> IndexedDecisions:
                return open_decision_lists(options.postgres, follows=False)
        else:
            journal = stack.enter_context(SqliteJournal(folder / "journal.db", bulk=True))

            def opens() -> IndexedDecisions:
                return in_folder(folder, follows=False)

        for start in range(0, options.rows, BATCH):
            journal.append(batch_of(start, min(BATCH, options.rows - start)))
        figures = measured(opens, options.rows)
        if not options.postgres:
            for name, file in (("journal", "journal.db"), ("index", FILE)):
                size = os.path.getsize(folder / file) / options.rows
                figures.append(Figure("decision_lists", f"{name}: bytes a decision", size))
    print(json.dumps(packed(figures, [])) if options.json else as_text(figures, [], machine()))


if __name__ == "__main__":
    main()

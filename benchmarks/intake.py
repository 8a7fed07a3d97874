"""How fast events come in and decisions go out, on one thread: `python benchmarks/intake.py [--json]`.

With HOMEOSTAT_DATA set, on the benchmark's transactions; else on as many made-up ones.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from homeostat.adapters.disk.decision_files import DecisionsWriter
from homeostat.adapters.disk.event_files import read_events
from homeostat.checks.bad_events import NOW_NS, SCHEMA, bad_lines
from homeostat.decide.intake.lines import parse_events, read_lines
from homeostat.decide.intake.schema import EntityColumn, EventSchema, FieldColumn
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import Coding

PAYMENTS = EventSchema(
    coding=Coding.of_seed(0),
    id=("event_id", "TRANSACTION_ID", "transaction_id"),
    time=("time", "TX_DATETIME", "timestamp"),
    entities=(
        EntityColumn("customer", ("customer", "CUSTOMER_ID", "customer_id")),
        EntityColumn("terminal", ("terminal", "TERMINAL_ID", "terminal_id")),
    ),
    fields=(FieldColumn("amount", ("amount", "TX_AMOUNT"), "number", min=0, max=1e7),),
    label=("fraud", "TX_FRAUD", "label"),
)
COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")


def transactions(rows: int) -> pa.Table:
    folder = os.environ.get("HOMEOSTAT_DATA")
    files = sorted(Path(folder).glob("fraud_transactions_*.parquet")) if folder else []
    if files:
        return pq.read_table(files[0], columns=list(COLUMNS)).slice(0, rows)
    rng = np.random.default_rng(1)
    times = pa.array(np.sort(rng.integers(0, 10**10, rows)) + 1522540800000).cast(pa.timestamp("ms"))
    amounts = np.round(rng.gamma(2, 30, rows), 2)
    columns = [np.arange(rows), times, rng.integers(0, 5000, rows), rng.integers(0, 10000, rows), amounts]
    return pa.table([*columns, (rng.random(rows) < 0.01).astype(np.int8)], names=list(COLUMNS))


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The best of some runs, after one that warms up."""
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def file_rates(table: pa.Table, folder: Path) -> dict[str, float]:
    pq.write_table(table, folder / "e.parquet")
    arrow_csv.write_csv(table, folder / "e.csv")
    some = table.slice(0, 300_000)
    some = some.set_column(1, "TX_DATETIME", some["TX_DATETIME"].cast(pa.string()))
    (folder / "e.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in some.to_pylist()))
    rates = {}
    for name, rows in (("parquet", len(table)), ("csv", len(table)), ("jsonl", len(some))):
        best = seconds(lambda: [None for _ in read_events(folder / f"e.{name}", PAYMENTS, NOW_NS)])
        rates[f"{name}_events_per_second"] = rows / best
        if name == "parquet":
            rates["parquet_seconds"] = best
    return rates


def line_rates() -> dict[str, float]:
    event = {"event_id": "1", "time": "2026-01-30T12:00:00Z", "customer": "123", "terminal": 5, "amount": 10}
    body = msgspec.json.encode(event)
    bad = list(bad_lines(20_000, seed=1))
    return {
        "one_event_us": seconds(lambda: [parse_events(body, PAYMENTS, NOW_NS) for _ in range(10_000)]) * 100,
        "bad_lines_per_second": len(bad) / seconds(lambda: read_lines(bad, SCHEMA, NOW_NS)),
    }


def decision_rates(folder: Path, rows: int = 262_144, features: int = 50) -> dict[str, float]:
    rng = np.random.default_rng(2)
    makers = (
        lambda: rng.integers(0, 60, rows),
        lambda: rng.integers(0, 2, rows),
        lambda: np.round(rng.gamma(2, 30, rows), 2),
        lambda: rng.random(rows),
    )
    values = np.column_stack([makers[column % 4]() for column in range(features)]).astype(np.float64)
    zeros, names = np.zeros(rows, np.uint8), tuple(f"f{column}" for column in range(features))
    action = (rng.random(rows) < 0.02).astype(np.int16)
    scores = Scores(("a", "b", "c", "d"), rng.random((rows, 4)), np.ones((rows, 4)), zeros)
    batch = DecisionBatch(
        EventBatch(np.arange(rows), np.arange(rows), np.zeros((rows, 2), np.int64), values[:, :1], values[:, 0], zeros),
        Features(names, values, np.zeros((rows, features), np.uint8)),
        scores,
        Fused(rng.random(rows), np.zeros((rows, 4))),
        Proposal(action, np.eye(3)[action], zeros, zeros),
        Ruling(action, np.full(rows, -1, np.int16), np.zeros(rows, np.uint64)),
        zeros, "v1", 1.0,
    )  # fmt: skip
    path = folder / "decisions.parquet"

    def write() -> None:
        with DecisionsWriter(path, ("allow", "challenge", "block"), (), scores.names, names) as writer:
            writer.write(batch)

    return {"decision_write_us": seconds(write) / rows * 1e6, "decision_bytes": path.stat().st_size / rows}


TARGETS = {
    "parquet_seconds": "<= 0.5 (1.37 M rows)",
    "jsonl_events_per_second": ">= 400,000",
    "one_event_us": "<= 8",
    "decision_write_us": "<= 1.5",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rows", type=int, default=1_370_827)
    chosen = parser.parse_args()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = file_rates(transactions(chosen.rows), folder) | line_rates() | decision_rates(folder)
    if chosen.json:
        print(json.dumps(result))
        return
    for measure, value in result.items():
        print(f"{measure:28} {value:14,.2f}  {TARGETS.get(measure, '')}")


if __name__ == "__main__":
    main()

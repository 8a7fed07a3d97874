"""The cost of the journal, the codec, the audit trail and the outcome joiner: run with --json for machines."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from homeostat.adapters.disk.audit.trail import AuditLog
from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.snapshots import FileSnapshots
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import PIECE_ROWS
from homeostat.checks.batches import decisions
from homeostat.decide.outcomes.joiner import OutcomeJoiner
from homeostat.ports import Snapshot
from homeostat.records import codec
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Ids
from homeostat.records.rows import parts

FEATURES, SCORERS, ACTIONS = 45, 4, 3
DAY_NS = 86_400 * 10**9


def batch_of(rows: int, start: int = 0) -> DecisionBatch:
    """Decisions with the usual mix: counts, shares, means; scores of 32 bits; every feature fresh."""
    rng = np.random.default_rng(start)
    batch = decisions(list(range(start, start + rows)), 0, FEATURES, SCORERS, ACTIONS)
    values = rng.random((rows, FEATURES)) * 100
    values[:, : FEATURES // 2] = np.floor(values[:, : FEATURES // 2])
    zeros = np.zeros(rows, np.uint8)
    shares = np.eye(ACTIONS)[batch.proposal.action]
    return replace(
        batch,
        events=replace(batch.events, kind=zeros, label=np.zeros(rows), time_ns=batch.events.id_code * 9 * 10**9),
        features=replace(batch.features, values=values, freshness=np.zeros((rows, FEATURES), np.uint8)),
        scores=replace(
            batch.scores, values=batch.scores.values.astype(np.float32).astype(float),
            confidence=np.ones((rows, SCORERS)), fallback=zeros,
        ),
        proposal=replace(batch.proposal, propensity=shares, explored=zeros, fallback=zeros),
        ruling=replace(batch.ruling, rule=np.full(rows, -1, np.int16), hits=np.zeros(rows, np.uint64)),
        fallback=zeros,
    )  # fmt: skip


def seconds(call: Callable[[], object], repeat: int = 3) -> float:
    best = float("inf")
    for _ in range(repeat):
        begun = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begun)
    return best


def bench_codec() -> dict[str, float]:
    one, large = batch_of(1), batch_of(65_536)
    schemas = codec.Schemas()
    body = codec.encode_beside(one, schemas)
    bodies = [codec.encode(piece) for piece in parts(large, PIECE_ROWS)]
    return {
        "encode_one_us": seconds(lambda: [codec.encode(one) for _ in range(2000)]) / 2000 * 1e6,
        "decode_one_us": seconds(lambda: [codec.decode(body, schemas) for _ in range(2000)]) / 2000 * 1e6,
        "encode_rows_per_s": 65_536 / seconds(lambda: [codec.encode(piece) for piece in parts(large, PIECE_ROWS)]),
        "decode_rows_per_s": 65_536 / seconds(lambda: [codec.decode(data, schemas) for data in bodies]),
        "body_one_bytes": len(body),
        "body_row_bytes": sum(map(len, bodies)) / 65_536,
    }


def bench_journal(folder: Path, rows: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    for size in (256, 8_192, 65_536):
        batches = [batch_of(size, start) for start in range(0, rows, size)]
        for name, kind in (("plain", compression.PLAIN), ("lz4", compression.LZ4)):
            path = folder / f"{name}_{size}.db"
            with SqliteJournal(path, compress=kind) as journal:
                journal.append(batch_of(256, 10**9))
                begun = time.perf_counter()
                for batch in batches:
                    journal.append(batch)
                figures[f"append_{size}_{name}_us_per_row"] = (time.perf_counter() - begun) / rows * 1e6
            figures[f"append_{size}_{name}_bytes_per_row"] = path.stat().st_size / rows
    return figures


def bench_one_row(folder: Path, count: int) -> dict[str, float]:
    taken = np.empty(count)
    with SqliteJournal(folder / "one.db") as journal:
        for k in range(count):
            batch = batch_of(1, k)
            begun = time.perf_counter()
            journal.append(batch)
            taken[k] = time.perf_counter() - begun
    p50, p99, p999 = np.percentile(taken[50:], [50, 99, 99.9]) * 1e6
    return {"append_one_p50_us": p50, "append_one_p99_us": p99, "append_one_p999_us": p999}


def bench_lookup(folder: Path, rows: int) -> dict[str, float]:
    path = folder / "lz4_8192.db"
    begun = time.perf_counter()
    with SqliteJournal(path, readonly=True) as journal:
        opened = time.perf_counter() - begun
        codes = np.random.default_rng(1).permutation(rows * 2)
        asked = Ids(codes, np.zeros_like(codes))
        single = asked[[0]]
        return {
            "open_s": opened,
            "index_bytes_per_event": journal.index_bytes / len(journal),
            "seen_batch_us_per_row": seconds(lambda: journal.seen(asked)) / len(asked) * 1e6,
            "seen_one_us": seconds(lambda: [journal.seen(single) for _ in range(1000)]) / 1000 * 1e6,
            "find_ms": seconds(lambda: [journal.find((k, 0)) for k in range(0, rows, rows // 100)]) / 100 * 1e3,
        }


def bench_audit(folder: Path, rows: int) -> dict[str, float]:
    path = folder / "audit.jsonl"
    with SqliteJournal(folder / "lz4_256.db", readonly=True) as journal, AuditLog(path, journal) as log:
        begun = time.perf_counter()
        log.follow(journal)
        written = time.perf_counter() - begun
    return {
        "audit_line_us": written / log.count * 1e6,
        "audit_us_per_row": written / rows * 1e6,
        "verify_line_us": seconds(lambda: verify(path, alone=True)) / log.count * 1e6,
    }


def bench_joiner(folder: Path, rows: int) -> dict[str, float]:
    def costs(events):
        cost = np.repeat(events.numbers[:, :1], ACTIONS, axis=1)
        return cost, cost

    def empty() -> OutcomeJoiner:
        return OutcomeJoiner(
            costs, context=[f"feature_{k}" for k in range(10)], actions=ACTIONS, scorers=SCORERS, entities=2,
            delay_ns=7 * DAY_NS, horizon_ns=60 * DAY_NS, unknown_negative=True,
        )  # fmt: skip

    warm = empty()
    warm.remember(batch_of(8))
    warm.due(90 * DAY_NS)
    joiner, remembering, joining = empty(), 0.0, 0.0
    for start in range(0, rows, 8_192):
        batch = batch_of(8_192, start)
        begun = time.perf_counter()
        joiner.remember(batch)
        remembering += time.perf_counter() - begun
        begun = time.perf_counter()
        joiner.due(int(batch.events.time_ns[-1]))
        joining += time.perf_counter() - begun
    state = joiner.state()
    store = FileSnapshots(folder)
    saving = seconds(lambda: store.save(Snapshot(1, state)), 1)
    return {
        "remember_us_per_row": remembering / rows * 1e6,
        "due_us_per_row": joining / rows * 1e6,
        "pending_bytes": joiner.nbytes / len(joiner),
        "snapshot_save_mb_per_s": sum(array.nbytes for array in state.values()) / saving / 1e6,
        "snapshot_load_s": seconds(store.load, 1),
    }


TARGETS = {
    "encode_one_us": "<= 10", "encode_rows_per_s": ">= 1,500,000", "append_one_p99_us": "<= 120",
    "append_256_lz4_us_per_row": "<= 1.5", "append_8192_lz4_us_per_row": "<= 1.5",
    "append_65536_lz4_us_per_row": "<= 1.5", "append_256_plain_us_per_row": "<= 1.5",
    "append_8192_plain_us_per_row": "<= 1.5", "append_65536_plain_us_per_row": "<= 1.5",
    "index_bytes_per_event": "<= 20", "seen_batch_us_per_row": "<= 0.2", "seen_one_us": "<= 3", "find_ms": "<= 5",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--rows", type=int, default=262_144, help="decisions to append in each run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = bench_codec() | bench_journal(folder, options.rows) | bench_one_row(folder, 5_000)
        figures |= bench_lookup(folder, options.rows) | bench_audit(folder, options.rows)
        figures |= bench_joiner(folder, options.rows)
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        print()
        return
    for key, value in figures.items():
        print(f"{key:36} {value:14,.3f}   {TARGETS.get(key, '')}")


if __name__ == "__main__":
    main()

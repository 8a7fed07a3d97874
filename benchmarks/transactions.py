"""The payments that benchmarks run on, and the 15 published features of the benchmark that they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from homeostat.decide.windows.features import FeaturePlan, FeatureSpec, WindowGroup, plan_features
from homeostat.engine.assembly import bundle_of, prepare, shipped_bundle
from homeostat.expressions import Type
from homeostat.models.bundle import Bundle
from homeostat.records.events import EventBatch
from homeostat.sim.payments.transactions import PaymentsSpec, generate

COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")
DAY_NS = 86_400 * 10**9
LENGTHS = (1, 7, 30)
DELAY_DAYS = 7
_SPEC = PaymentsSpec(days=143)  # As many days as the published file has here: about as many payments.
_SEED = 77


@dataclass(frozen=True, slots=True)
class Transactions:
    """A parquet file of payments, and what to call it."""

    path: Path
    rows: int
    said: str


def transactions(folder: Path, rows: int | None = None) -> Transactions:
    """The published payments where HOMEOSTAT_DATA names their folder, else simulated ones; the first `rows` of them.

    folder : where a file is written, if one has to be
    """
    data = os.environ.get("HOMEOSTAT_DATA")
    files = sorted(Path(data).glob("fraud_transactions_*.parquet")) if data else []
    said = "published payments" if files else "simulated payments (HOMEOSTAT_DATA is not set)"
    if files and rows is None:
        count = pq.ParquetFile(files[0]).metadata.num_rows
        return Transactions(files[0], count, f"{count:,} {said}")
    table = pq.read_table(files[0]) if files else generate(_spec_for(rows), _SEED).table()
    table = table if rows is None else table.slice(0, rows)
    path = folder / "payments.parquet"
    pq.write_table(table, path, compression="zstd")
    return Transactions(path, len(table), f"{len(table):,} {said}")


def denser(given: Transactions, times: int, folder: Path) -> Transactions:
    """The same payments as a business of so many times as many an hour has them: their span of time is divided."""
    table = pq.read_table(given.path)
    when = table["TX_DATETIME"].cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
    closer = pa.array(when.min() + (when - when.min()) // times, pa.timestamp("ns"))
    path = folder / f"denser{times}.parquet"
    pq.write_table(table.set_column(table.schema.get_field_index("TX_DATETIME"), "TX_DATETIME", closer), path)
    return Transactions(path, given.rows, f"{given.said}, {times} times as many an hour")


def _spec_for(rows: int | None) -> PaymentsSpec:
    """A world of fewer days where fewer payments are wanted."""
    if rows is None:
        return _SPEC
    days = max(2, -(-rows // 9_000))
    return PaymentsSpec(days=min(days, _SPEC.days))


def the_bundle(path: Path | None) -> Bundle | None:
    """The payments app's bundle: the given one, or the shipped one; None where there is none."""
    prepared = prepare("payments")
    if path is None and shipped_bundle(prepared.app) is None:
        return None
    return bundle_of(prepared, path)


def published_features() -> FeaturePlan:
    """The 15 features of the published benchmark, and nothing else."""
    lengths = tuple((f"{days}d", days * DAY_NS) for days in LENGTHS)
    customer = {"customer_count_{length}": "count", "customer_mean_amount_{length}": "mean(amount)"}
    terminal = {"terminal_count_{length}": "count", "terminal_risk_{length}": "mean(fraud)"}
    spec = FeatureSpec(
        entities=("customer", "terminal"),
        fields=(("amount", Type.NUMBER),),
        windows=(
            WindowGroup("customer", lengths, customer),
            WindowGroup("terminal", lengths, terminal, delay_ns=DELAY_DAYS * DAY_NS),
        ),
        derived={"weekend": "weekday(time) >= 5", "night": "hour(time) <= 6"},
        label="fraud",
        label_delay_ns=DELAY_DAYS * DAY_NS,
    )
    plan, faults = plan_features(spec)
    assert plan is not None, faults
    return plan


def events_of(table: pa.Table) -> EventBatch:
    """A table of payments as the windows take them."""
    n = len(table)
    times = table["TX_DATETIME"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    keys = np.column_stack([table[name].to_numpy().astype(np.int64) for name in ("CUSTOMER_ID", "TERMINAL_ID")])
    amount = table["TX_AMOUNT"].to_numpy().astype(np.float64).reshape(n, 1)
    ids = table["TRANSACTION_ID"].to_numpy().astype(np.int64)
    return EventBatch(ids, times, keys, amount, table["TX_FRAUD"].to_numpy().astype(np.float64), np.zeros(n, np.uint8))

"""All transactions of the benchmark, against DuckDB, and samples of the other kinds against NumPy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.plan import LABEL, NO_VALUE, Aggregate, Kind, LabelFilter, Window, WindowPlan

FILE = "fraud_transactions_2018-04-01_2018-08-21.parquet"
DAY_NS = 86_400 * 10**9
DAYS = (1, 7, 30)
DELAY = 7

DATA = Path(os.environ.get("HOMEOSTAT_DATA", "")) / FILE
needs_data = pytest.mark.skipif(not DATA.is_file(), reason=f"HOMEOSTAT_DATA does not hold {FILE}")

Columns = dict[str, np.ndarray]


def published_plan() -> WindowPlan:
    windows = []
    for k, days in enumerate(DAYS):
        counts = (Aggregate(Kind.COUNT, NO_VALUE, 4 * k), Aggregate(Kind.MEAN, 0, 4 * k + 1))
        risks = (Aggregate(Kind.COUNT, NO_VALUE, 4 * k + 2), Aggregate(Kind.MEAN, LABEL, 4 * k + 3))
        windows.append(Window(0, days * DAY_NS, 0, -1, LabelFilter.ANY, False, counts))
        windows.append(Window(1, days * DAY_NS, DELAY * DAY_NS, -1, LabelFilter.ANY, False, risks))
    return WindowPlan(2, 1, 1, 12, tuple(windows), 0, True)


@pytest.fixture(scope="module")
def columns() -> Columns:
    query = "SELECT epoch_ns(TX_DATETIME) AS t, CUSTOMER_ID AS c, TERMINAL_ID AS m, TX_AMOUNT AS x, TX_FRAUD AS y"
    rows = duckdb.sql(f"{query} FROM '{DATA}' ORDER BY TRANSACTION_ID").fetchnumpy()
    n = len(rows["t"])
    return {
        "time_ns": np.asarray(rows["t"], dtype=np.int64),
        "keys": np.column_stack([rows["c"], rows["m"]]).astype(np.int64),
        "checks": np.zeros((n, 2), np.int64),
        "values": np.asarray(rows["x"], dtype=np.float64).reshape(-1, 1),
        "masks": np.asarray(rows["x"] > 50.0).reshape(-1, 1),
        "label": np.asarray(rows["y"], dtype=np.float64),
        "tag": np.arange(n),
        "kind": np.zeros(n, dtype=np.uint8),
    }


def duckdb_features() -> np.ndarray:
    """The twelve window features; an event sees those of its own second that came before it, so ids order peers."""
    parts, windows = [], []
    for days in DAYS:
        seconds = days * 86_400
        windows += [
            f"c{days} AS (PARTITION BY c ORDER BY t * 4194304 + id "
            f"RANGE BETWEEN {(seconds - 1) * 4194304} + id PRECEDING AND CURRENT ROW)",
            f"m{days} AS (PARTITION BY m ORDER BY t "
            f"RANGE BETWEEN {DELAY * 86_400 + seconds - 1} PRECEDING AND {DELAY * 86_400} PRECEDING)",
        ]
        parts += [f"count(*) OVER c{days}", f"avg(x) OVER c{days}"]
        parts += [f"count(*) OVER m{days}", f"avg(y) OVER m{days}"]
    named = ", ".join(f"{part}::DOUBLE AS f{k:02}" for k, part in enumerate(parts))
    rows = duckdb.sql(
        "WITH e AS (SELECT TRANSACTION_ID::BIGINT AS id, epoch(TX_DATETIME)::BIGINT AS t, CUSTOMER_ID AS c, "
        f"TERMINAL_ID AS m, TX_AMOUNT AS x, TX_FRAUD::DOUBLE AS y FROM '{DATA}') "
        f"SELECT id, {named} FROM e WINDOW {', '.join(windows)} ORDER BY id"
    ).fetchnumpy()
    return np.column_stack([np.ma.filled(rows[f"f{k:02}"], np.nan) for k in range(len(parts))])


@needs_data
def test_the_published_features_of_all_transactions_equal_duckdb(columns: Columns) -> None:
    features, freshness = Windows(published_plan()).advance(**columns)
    assert len(features) > 1_300_000
    assert not freshness.any()
    np.testing.assert_allclose(features, duckdb_features(), rtol=1e-9, atol=1e-9)


@needs_data
def test_batches_and_restarts_change_no_bit_of_the_published_features(columns: Columns) -> None:
    few = {name: column[:200_000] for name, column in columns.items()}
    whole, _ = Windows(published_plan()).advance(**few)
    engine, parts = Windows(published_plan()), []
    for start in range(0, 200_000, 7_001):
        parts.append(engine.advance(**{name: column[start : start + 7_001] for name, column in few.items()})[0])
        engine = Windows.from_state(engine.plan, engine.state())
    np.testing.assert_array_equal(np.concatenate(parts).view(np.int64), whole.view(np.int64))


OTHER_KINDS: dict[Kind, Callable[[np.ndarray, np.ndarray, np.ndarray, int], float]] = {
    # Each of values, times and labels in the window, oldest first, without the event itself, and its time.
    Kind.SUM: lambda x, t, y, now: x.sum(),
    Kind.STD: lambda x, t, y, now: x.std(ddof=1) if len(x) > 1 else np.nan,
    Kind.MIN: lambda x, t, y, now: x.min(initial=np.inf) if len(x) else np.nan,
    Kind.MAX: lambda x, t, y, now: x.max(initial=-np.inf) if len(x) else np.nan,
    Kind.DISTINCT: lambda x, t, y, now: len(np.unique(x)),
    Kind.LAST: lambda x, t, y, now: x[-1] if len(x) else np.nan,
    Kind.SINCE_LAST: lambda x, t, y, now: (now - t[-1]) / 1e9 if len(x) else np.nan,
    Kind.SINCE_FIRST: lambda x, t, y, now: (now - t[0]) / 1e9 if len(x) else np.nan,
    Kind.COUNT_SINCE: lambda x, t, y, now: len(x) - 1 - np.flatnonzero(y == 1)[-1] if (y == 1).any() else np.nan,
}


@needs_data
def test_samples_of_the_other_kinds_equal_numpy(columns: Columns) -> None:
    n, delay = 400_000, 10**9
    few = {name: column[:n] for name, column in columns.items()}
    aggregates = tuple(Aggregate(kind, 0, slot) for slot, kind in enumerate(OTHER_KINDS))
    plan = WindowPlan(
        2, 1, 1, len(aggregates), (Window(1, 30 * DAY_NS, delay, 0, LabelFilter.ANY, True, aggregates),), 0, True
    )
    features, _ = Windows(plan).advance(**few)
    time, x = few["time_ns"], few["values"][:, 0]
    for i in np.random.default_rng(1).integers(0, n, 400):
        seen = (few["keys"][:, 1] == few["keys"][i, 1]) & few["masks"][:, 0]
        seen &= (time <= time[i] - delay) & (time > time[i] - delay - 30 * DAY_NS)
        held = np.flatnonzero(seen)
        expected = [of(x[held], time[held], few["label"][held], time[i]) for of in OTHER_KINDS.values()]
        np.testing.assert_allclose(features[i], expected, rtol=1e-9)

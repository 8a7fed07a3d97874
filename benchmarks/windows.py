"""The sliding windows alone, each figure beside its target: `python benchmarks/windows.py [--json]`.

With HOMEOSTAT_DATA set, on the benchmark's transactions; else on as many made-up ones of similar shape. Times are
this thread's processor time, so that other work on the machine disturbs them less; best of several runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.plan import LABEL, NO_VALUE, Aggregate, Kind, LabelFilter, Window, WindowPlan

FILE = "fraud_transactions_2018-04-01_2018-08-21.parquet"
HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
DELAY_DAYS = 7
LONG, SHORT = (DAY_NS, 7 * DAY_NS, 30 * DAY_NS), (HOUR_NS, 2 * HOUR_NS, 3 * HOUR_NS)
SINGLE_ROWS = 3_000
WORST_ROWS = 200_000

Columns = dict[str, np.ndarray]
Figure = tuple[str, float, str, float]  # what, measured, "at least" or "at most", target


def published_plan(lengths: tuple[int, ...]) -> WindowPlan:
    """The windows of the 15 published features: the other three need no window."""
    windows = []
    for k, length in enumerate(lengths):
        amounts = (Aggregate(Kind.COUNT, NO_VALUE, 4 * k), Aggregate(Kind.MEAN, 0, 4 * k + 1))
        risks = (Aggregate(Kind.COUNT, NO_VALUE, 4 * k + 2), Aggregate(Kind.MEAN, LABEL, 4 * k + 3))
        windows.append(Window(0, length, 0, -1, LabelFilter.ANY, False, amounts))
        windows.append(Window(1, length, DELAY_DAYS * DAY_NS, -1, LabelFilter.ANY, False, risks))
    return WindowPlan(2, 1, 0, 12, tuple(windows), 0, True)


def transactions() -> pd.DataFrame:
    """Real transactions, or made-up ones: 5,000 customers of different habits, 10,000 terminals, 143 days."""
    path = Path(os.environ.get("HOMEOSTAT_DATA", "")) / FILE
    if path.is_file():
        return pd.read_parquet(path)
    rng = np.random.default_rng(1)
    n, habit = 1_370_827, rng.uniform(0.02, 1.0, 5_000)
    seconds = np.sort(rng.integers(0, 143 * 86_400, n))
    return pd.DataFrame(
        {
            "TX_DATETIME": pd.Timestamp("2018-04-01") + pd.to_timedelta(seconds, unit="s"),
            "CUSTOMER_ID": rng.choice(5_000, n, p=habit / habit.sum()),
            "TERMINAL_ID": rng.integers(0, 10_000, n),
            "TX_AMOUNT": rng.lognormal(3.7, 0.8, n).round(2),
            "TX_FRAUD": (rng.random(n) < 0.008).astype(np.int8),
        }
    )


def columns_of(frame: pd.DataFrame) -> Columns:
    n = len(frame)
    return {
        "time_ns": frame["TX_DATETIME"].to_numpy("datetime64[ns]").astype(np.int64),
        "keys": np.ascontiguousarray(frame[["CUSTOMER_ID", "TERMINAL_ID"]].to_numpy(np.int64)),
        "checks": np.zeros((n, 2), dtype=np.int64),
        "values": np.ascontiguousarray(frame[["TX_AMOUNT"]].to_numpy(np.float64)),
        "masks": np.zeros((n, 0), dtype=np.bool_),
        "label": frame["TX_FRAUD"].to_numpy(np.float64),
        "tag": np.arange(n),
        "kind": np.zeros(n, dtype=np.uint8),
    }


def other_features(columns: Columns) -> np.ndarray:
    """Amount, weekend and night, so that the time is that of all 15 features."""
    hours = columns["time_ns"] // HOUR_NS
    weekend = (hours // 24 + 3) % 7 >= 5  # 1970 began on a Thursday.
    return np.column_stack([columns["values"][:, 0], weekend, hours % 24 <= 6])


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """The least processor time of several runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def published_features(columns: Columns, lengths: tuple[int, ...]) -> Windows:
    engine = Windows(published_plan(lengths))
    engine.advance(**columns)
    other_features(columns)
    return engine


def one_row_us(columns: Columns) -> tuple[float, float]:
    """Median and 99th percentile of `advance` of a single row, on full windows."""
    n = len(columns["tag"])
    engine = Windows(published_plan(LONG))
    engine.advance(**{name: column[: n - SINGLE_ROWS] for name, column in columns.items()})
    times = []
    for i in range(n - SINGLE_ROWS, n):
        row = {name: column[i : i + 1] for name, column in columns.items()}
        start = time.perf_counter_ns()
        engine.advance(**row)
        times.append((time.perf_counter_ns() - start) / 1e3)
    return statistics.median(times), float(np.quantile(times, 0.99))


def pandas_features(frame: pd.DataFrame) -> np.ndarray:
    """The same twelve window features in batch, the way pandas is commonly used: a rolling window per group.

    The delayed ones are differences of undelayed sums, as in the benchmark's own code.
    """
    made = np.empty((len(frame), 12))
    # pandas answers group by group; the features belong in the rows' order.
    by_customer = np.argsort(frame["CUSTOMER_ID"].to_numpy(), kind="stable")
    by_terminal = np.argsort(frame["TERMINAL_ID"].to_numpy(), kind="stable")
    timed = frame.set_index("TX_DATETIME")
    amounts = timed.groupby("CUSTOMER_ID")["TX_AMOUNT"]
    frauds = timed.groupby("TERMINAL_ID")["TX_FRAUD"]
    delay = frauds.rolling(f"{DELAY_DAYS}D")
    delay_count, delay_sum = delay.count(), delay.sum()
    for k, days in enumerate((1, 7, 30)):
        window = amounts.rolling(f"{days}D")
        made[by_customer, 4 * k] = window.count()
        made[by_customer, 4 * k + 1] = window.mean()
        window = frauds.rolling(f"{DELAY_DAYS + days}D")
        count = window.count() - delay_count
        made[by_terminal, 4 * k + 2] = count
        made[by_terminal, 4 * k + 3] = (window.sum() - delay_sum) / count
    return made


def adversarial(columns: Columns, values: np.ndarray, length: int) -> float:
    """Seconds for sums, means and deviations of these values, one a second, of one entity, over `length` seconds."""
    kinds = (Kind.SUM, Kind.MEAN, Kind.STD)
    window = Window(0, length, 0, -1, LabelFilter.ANY, False, tuple(Aggregate(k, 0, s) for s, k in enumerate(kinds)))
    n = len(values)
    few = {name: column[:n] for name, column in columns.items()}
    few |= {"time_ns": np.arange(n), "keys": np.zeros((n, 1), np.int64)}
    few |= {"checks": np.zeros((n, 1), np.int64), "values": values.reshape(n, 1)}
    return seconds_of(lambda: Windows(WindowPlan(1, 1, 0, 3, (window,), 0, False)).advance(**few), 4)


def worst_values(n: int) -> list[np.ndarray]:
    """Values that need all of the range of floats: alternating, random, changing the sign of the whole."""
    rng, turn = np.random.default_rng(1), np.arange(n)
    return [
        np.where(turn % 2 == 0, 1e308, 1e-308) * rng.choice([1.0, -1.0], n),
        np.ldexp(rng.uniform(-1, 1, n), rng.integers(-1074, 1024, n)),
        np.array([5e-324, -5e-324, 1e308, -1e308])[turn % 4],
    ]


def _first(columns: Columns, n: int) -> np.ndarray:
    return Windows(published_plan(LONG)).advance(**{name: column[:n] for name, column in columns.items()})[0]


def measure() -> list[Figure]:
    frame = transactions()
    columns = columns_of(frame)
    n = len(frame)
    start = time.process_time()
    published_features({name: column[:1] for name, column in columns.items()}, LONG).expire(0)
    ready_s = time.process_time() - start
    engine = published_features(columns, LONG)
    log_bytes, events = engine.log_nbytes, engine.retained_events
    entity_bytes = (engine.nbytes - log_bytes) / engine.entities
    repeats = 6
    long_s = seconds_of(lambda: published_features(columns, LONG), repeats)
    short_s = seconds_of(lambda: published_features(columns, SHORT), repeats)
    pandas_s = seconds_of(lambda: pandas_features(frame), 1)
    assert np.allclose(pandas_features(frame.iloc[:100_000]), _first(columns, 100_000), atol=1e-6, equal_nan=True)
    median_us, p99_us = one_row_us(columns)
    prices = columns["values"][:WORST_ROWS, 0].copy()
    worst = {
        length: max(adversarial(columns, x, length) for x in worst_values(WORST_ROWS)) for length in (100, 100_000)
    }
    return [
        ("events/s, 15 published features", n / long_s, "at least", 1_500_000),
        ("time of 1/7/30 days over 1/2/3 hours", long_s / short_s, "at most", 1.5),
        ("times pandas' speed", pandas_s / long_s, "at least", 10),
        (
            "time of the worst values over prices, 100 held",
            worst[100] / adversarial(columns, prices, 100),
            "at most",
            20,
        ),
        ("time of the worst values, 100,000 held over 100", worst[100_000] / worst[100], "at most", 1.5),
        ("bytes per logged event", log_bytes / events, "at most", 100),
        ("bytes per entity", entity_bytes, "at most", 400),
        ("one row, median us", median_us, "at most", 15),
        ("one row, p99 us", p99_us, "at most", 30),
        ("kernels ready, s of processor time (compiled, or from the cache)", ready_s, "at most", 15),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures for machines")
    given = parser.parse_args()
    figures = measure()
    if given.json:
        rows = [
            {"what": what, "measured": found, "target": target, "holds": _holds(found, bound, target)}
            for what, found, bound, target in figures
        ]
        print(json.dumps(rows, indent=2))
        return
    for what, found, bound, target in figures:
        mark = "" if _holds(found, bound, target) else "  MISSED"
        print(f"{what:66}{found:>14,.2f}   {bound} {target:,}{mark}")


def _holds(found: float, bound: str, target: float) -> bool:
    return found >= target if bound == "at least" else found <= target


if __name__ == "__main__":
    main()

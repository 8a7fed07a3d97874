"""The 15 published features in batch with pandas: one rolling window by time for each aggregate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.transactions import DELAY_DAYS, LENGTHS


def frame_of(table: pa.Table) -> Any:
    """The payments as a data frame, in time order."""
    frame = table.select(["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]).to_pandas()
    frame["TX_DATETIME"] = frame["TX_DATETIME"].astype("datetime64[ns]")
    return frame


def pandas_features(frame: Any) -> Any:
    """A frame of the features, in the events' order.

    A delayed window of length w is the window of w + 7 days without that of 7 days, as the benchmark's book has it.
    Rolling windows come group by group; putting them back by position is the fastest way.
    """
    found = frame[["TX_AMOUNT"]].rename(columns={"TX_AMOUNT": "amount"})
    place = _places(frame["CUSTOMER_ID"])
    for days in LENGTHS:
        rolling = frame.groupby("CUSTOMER_ID").rolling(f"{days}D", on="TX_DATETIME")["TX_AMOUNT"]
        found[f"customer_count_{days}d"] = rolling.count().to_numpy()[place]
        found[f"customer_mean_amount_{days}d"] = rolling.mean().to_numpy()[place]
    counts, frauds, place = {}, {}, _places(frame["TERMINAL_ID"])
    for days in (DELAY_DAYS, *(DELAY_DAYS + days for days in LENGTHS)):
        rolling = frame.groupby("TERMINAL_ID").rolling(f"{days}D", on="TX_DATETIME")["TX_FRAUD"]
        counts[days], frauds[days] = rolling.count().to_numpy()[place], rolling.sum().to_numpy()[place]
    for days in LENGTHS:
        count = counts[DELAY_DAYS + days] - counts[DELAY_DAYS]
        fraud = frauds[DELAY_DAYS + days] - frauds[DELAY_DAYS]
        found[f"terminal_count_{days}d"] = count
        found[f"terminal_risk_{days}d"] = np.divide(fraud, count, out=np.zeros(len(frame)), where=count > 0)
    found["weekend"] = (frame["TX_DATETIME"].dt.day_of_week >= 5).astype(float)
    found["night"] = (frame["TX_DATETIME"].dt.hour <= 6).astype(float)
    return found


def entity_by_entity(frame: Any) -> Any:
    """The window features once more, one entity after the other, as tutorials and the benchmark's book do."""
    import pandas as pd

    parts = []
    for _, own in frame.groupby("CUSTOMER_ID"):
        amounts = own.set_index("TX_DATETIME")["TX_AMOUNT"]
        made = {}
        for days in LENGTHS:
            rolling = amounts.rolling(f"{days}D")
            made[f"customer_count_{days}d"] = rolling.count().to_numpy()
            made[f"customer_mean_amount_{days}d"] = rolling.mean().to_numpy()
        parts.append(pd.DataFrame(made, index=own.index))
    customers, parts = pd.concat(parts), []
    for _, own in frame.groupby("TERMINAL_ID"):
        frauds = own.set_index("TX_DATETIME")["TX_FRAUD"]
        delay = frauds.rolling(f"{DELAY_DAYS}D")
        count_early, fraud_early, made = delay.count(), delay.sum(), {}
        for days in LENGTHS:
            rolling = frauds.rolling(f"{DELAY_DAYS + days}D")
            count = (rolling.count() - count_early).to_numpy()
            fraud = (rolling.sum() - fraud_early).to_numpy()
            made[f"terminal_count_{days}d"] = count
            made[f"terminal_risk_{days}d"] = np.divide(fraud, count, out=np.zeros(len(own)), where=count > 0)
        parts.append(pd.DataFrame(made, index=own.index))
    return customers.sort_index().join(pd.concat(parts))


def _places(group: Any) -> np.ndarray:
    """For each event, its row in a result that comes group by group."""
    place = np.empty(len(group), np.int64)
    place[np.argsort(group.to_numpy(), kind="stable")] = np.arange(len(group))
    return place

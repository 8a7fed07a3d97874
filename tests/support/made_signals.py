"""Signals and ticks as tests need them."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Known, Tick
from homeostat.records.changes import Change
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.signals import Kind, Series, Signal

HOUR = 3_600_000_000_000
DAY = 24 * HOUR


def a_signal(
    node: str, kind: str, since_h: float = 100.0, at_h: float | None = None, *, still: bool = True, wide_h: float = 2.0,
    name: str = "figure", decisions: float = float("nan"), cost: float = float("nan"),
) -> Signal:  # fmt: skip
    """A signal that began at an hour, and was raised three hours later unless another time is given."""
    series = Series("made", node, Kind(kind), name)
    since, at = int(since_h * HOUR), int((since_h + 3 if at_h is None else at_h) * HOUR)
    return Signal(
        f"{series.key}@{since}", series, at, since, since - int(wide_h * HOUR), since + int(wide_h * HOUR),
        e_value=1e6, p_value=1e-6, value=0.4, before=0.1, effect=0.3, low=0.2, high=0.4, n=300, method="test",
        from_ns=since, to_ns=at, decisions=decisions, cost_per_hour=cost, still=still,
    )  # fmt: skip


def a_tick(
    end_h: float, n: int = 10, changes: tuple[Change, ...] = (), keys: int = 5, version: str = "v1", first: int = 0
) -> Tick:
    """A tick of an hour with n events of so many entities."""
    end, start = int(end_h * HOUR), int((end_h - 1) * HOUR)
    time = np.linspace(start + 1, end, n, dtype=np.int64) if n else np.zeros(0, np.int64)
    key = (first + np.arange(n, dtype=np.int64) % max(keys, 1)).reshape(n, 1)
    events = EventBatch(
        np.arange(n, dtype=np.int64), time, key, np.ones((n, 1)), np.full(n, np.nan), np.zeros(n, np.uint8)
    )
    zero, small = np.zeros(n), np.zeros(n, np.int16)
    none = np.zeros(0)
    whole, byte = none.astype(np.int64), none.astype(np.uint8)
    known = Known(
        time_ns=whole, known_ns=whole, label=none, amount=none, risk=none, action=none.astype(np.int16), censored=byte,
        mature=byte, fresh=byte, numbers=none.reshape(0, 1), features=none.reshape(0, 1), keys=whole.reshape(0, 1),
        source=whole,
    )  # fmt: skip
    features = Features(("amount",), np.zeros((n, 1)), np.zeros((n, 1), np.uint8))
    return Tick(
        int(end_h), start, end, events, features, zero.reshape(n, 1), np.full(n, 0.1), small, small, small,
        np.zeros(n, np.int64), np.zeros(n, np.uint8), np.zeros(n, np.uint8), zero, np.zeros(n, np.int64), small,
        (version,), zero, np.zeros(n, np.int64), known, changes,
    )  # fmt: skip

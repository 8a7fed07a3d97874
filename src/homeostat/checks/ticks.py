"""Ticks of a quiet app, made from a seed, for the conformance suite of monitors and for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.maintain.contracts import Known, Tick
from homeostat.maintain.monitor.names import Names
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

HOUR_NS = 3600 * 10**9
START_NS = 1_767_571_200_000_000_000  # Monday, 2026-01-05.

NAMES = Names(
    ("customer", "terminal"), (("amount", "number"), ("items", "integer"), ("channel", "category")),
    ("amount", "items", "channel", "count_1d", "mean_7d"), ("forest", "rules"), ("allow", "review", "block"),
    ("forest",),
    {"amount": "field:amount", "items": "field:items", "channel": "field:channel", "customer": "entity:customer",
     "terminal": "entity:terminal", "time": "time"},
)  # fmt: skip
CHANNELS = (11.0, 12.0, 13.0)


def quiet_ticks(count: int, seed: int = 0, per_hour: float = 80.0, start: int = 0) -> list[Tick]:
    """Ticks of an hour each, with the season of a day and a week; amounts by customer, risk by features.

    start : the number of ticks before them
    """
    rng = np.random.default_rng([seed, start])
    return [_tick(number, rng, per_hour) for number in range(start + 1, start + count + 1)]


def _tick(number: int, rng: np.random.Generator, per_hour: float) -> Tick:
    begin = START_NS + (number - 1) * HOUR_NS
    hour = (number - 1) % 24
    season = (1 + 0.6 * np.sin((hour - 8) / 24 * 2 * np.pi)) * (0.8 if (number - 1) // 24 % 7 >= 5 else 1.0)
    n = int(rng.poisson(per_hour * season))
    time_ns = begin + 1 + np.sort(rng.integers(0, HOUR_NS - 1, n))
    customer, terminal = rng.integers(0, 500, n), 1000 + rng.integers(0, 120, n)
    amount = np.round(np.exp(rng.normal(3.0, 0.6, n)) * (1 + customer % 7 / 5), 2)
    numbers = np.stack([amount, rng.poisson(3.0, n) + 1.0, rng.choice(CHANNELS, n, p=[0.6, 0.3, 0.1])], axis=1)
    events = EventBatch(
        number * 100_000 + np.arange(n), time_ns, np.stack([customer, terminal], axis=1), numbers, np.full(n, np.nan),
        np.zeros(n, np.uint8), {(int(code), 0): f"channel {code:g}" for code in CHANNELS},
    )  # fmt: skip
    return decided(events, number, rng)


def decided(events: EventBatch, number: int, rng: np.random.Generator) -> Tick:
    """The tick of these events: features, scores, risk and actions follow from them, with a little noise."""
    n, amount = len(events), np.nan_to_num(events.numbers[:, 0])
    count, mean = rng.poisson(4.0, n) + 1.0, np.exp(rng.normal(3.2, 0.3, n))
    values = np.column_stack([events.numbers, count, mean])
    odds = -4.5 + 1.2 * np.log1p(amount / mean) + 0.1 * count + 0.3 * rng.normal(size=n)
    risk = 1.0 / (1.0 + np.exp(-odds))
    action = np.searchsorted([0.15, 0.5], risk, "right").astype(np.int16)
    nothing = np.zeros(n, np.uint8)
    begin = START_NS + (number - 1) * HOUR_NS
    scores = np.column_stack([1.0 / (1.0 + np.exp(-odds - 0.2 * rng.normal(size=n))), np.clip(risk * 1.1, 0, 1)])
    return Tick(
        number, begin, begin + HOUR_NS, events, Features(NAMES.features, values, np.zeros(values.shape, np.uint8)),
        scores, risk, action, action.copy(), np.full(n, -1, np.int16), np.zeros(n, np.uint64), nothing, nothing,
        np.eye(3)[action], np.zeros(n, np.int64), np.zeros(n, np.int64), ("app-1+a",) if n else (),
        180.0 * np.exp(0.2 * rng.normal(size=n)), events.time_ns + 10**9, no_outcomes(n_fields=3, n_features=5),
        events_n=n,
    )  # fmt: skip


def with_events(tick: Tick, events: EventBatch, seed: int = 0) -> Tick:
    """The tick with other events, decided like the ones that it had."""
    made = decided(events, tick.number, np.random.default_rng([seed, tick.number]))
    return replace(made, changes=tick.changes, letters=tick.letters, letters_n=tick.letters_n, repeats=tick.repeats)


def no_outcomes(n_fields: int, n_features: int, n_entities: int = 2) -> Known:
    """No outcomes at all."""
    ints, floats, octets = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8)
    return Known(
        ints, ints, floats, floats, floats, np.zeros(0, np.int16), octets, octets, np.zeros((0, n_fields)),
        np.zeros((0, n_features)), np.zeros((0, n_entities), np.int64), ints, octets,
    )  # fmt: skip

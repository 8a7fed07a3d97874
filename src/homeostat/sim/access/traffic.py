"""A small workload for the generic access app: people, programs that never rest, and bursts of abuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int

KINDS = ("action", "login", "search", "upload")


@dataclass(frozen=True, slots=True)
class AccessSpec:
    """The settings of the simulation; rates are events an hour.

    People come in visits, by day, and some do ten times as much as others. Bots never rest, each at its own pace: the
    slow ones do no more in an hour than a busy person. In a burst an account that was taken over tries passwords.
    """

    people: int = 300
    bots: int = 6
    bursts: int = 10
    hours: int = 24
    start_s: int = 1_769_731_200  # 2026-01-30 00:00 UTC.
    person_rate: float = 3.0
    visit_events: float = 9.0
    visit_gap_s: float = 25.0
    bot_rate: float = 30.0
    bot_spread: float = 0.6
    burst_events: int = 80
    burst_s: int = 20


@dataclass(frozen=True, slots=True)
class Access:
    """`n` events in time order.

    time_ms : (n,) milliseconds since 1970 UTC
    entity : (n,) bots follow the people
    kind : (n,) index into `KINDS`
    value : (n,)
    abuse : (n,) 1 for what bots do, and for a person's account in a burst (it was taken over)
    """

    time_ms: Int
    entity: Int
    kind: Bytes
    value: Float
    abuse: Bytes

    def __len__(self) -> int:
        return len(self.time_ms)

    def lines(self) -> Iterator[str]:
        """The events as the app's JSON lines; the label is left out."""
        for row in range(len(self)):
            when = datetime.fromtimestamp(int(self.time_ms[row]) / 1000, UTC).isoformat(timespec="milliseconds")
            yield json.dumps({
                "event_id": str(row), "entity_id": str(self.entity[row]), "event_type": KINDS[self.kind[row]],
                "value": float(self.value[row]), "timestamp": when.replace("+00:00", "Z"),
            })  # fmt: skip


def generate_access(spec: AccessSpec, seed: int) -> Access:
    """Events of the given world; the same seed gives the same bytes.

    >>> events = generate_access(AccessSpec(people=5, bots=1, bursts=1, hours=2), seed=1)
    >>> next(events.lines())[:34]
    '{"event_id": "0", "entity_id": "5"'
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    span = spec.hours * 3_600_000
    person, person_time = _people(spec, rng)
    bot, bot_time = _bots(spec, rng)
    victims = rng.integers(0, spec.people, spec.bursts)
    begins = rng.integers(0, max(1, span - spec.burst_s * 1000), spec.bursts)
    burst = np.repeat(victims, spec.burst_events)
    burst_time = np.repeat(begins, spec.burst_events) + rng.integers(0, spec.burst_s * 1000, len(burst))
    entity = np.concatenate([person, bot, burst])
    time = np.concatenate([person_time, bot_time, burst_time])
    abuse = (np.arange(len(entity)) >= len(person)).astype(np.uint8)
    kind = rng.choice(len(KINDS), len(entity), p=[0.6, 0.1, 0.25, 0.05]).astype(np.uint8)
    chance, in_burst = rng.random(len(entity)), np.arange(len(entity)) >= len(person) + len(bot)
    kind[in_burst & (chance < 0.8)] = 1  # They mostly try passwords;
    kind[(abuse == 1) & ~in_burst & (chance < 0.5)] = 2  # bots rather look for things.
    value = np.round(rng.lognormal(2.0, 0.6, len(entity)), 2)
    order = np.argsort(time, kind="stable")
    return Access(time[order] + spec.start_s * 1000, entity[order], kind[order], value[order], abuse[order])


def _people(spec: AccessSpec, rng: np.random.Generator) -> tuple[Int, Int]:
    """The people who act, and when in milliseconds from the start."""
    rates = rng.gamma(1.2, spec.person_rate / 1.2, spec.people)  # Some people do much more than others.
    visitor = np.repeat(np.arange(spec.people), rng.poisson(rates * spec.hours / spec.visit_events))
    day = rng.integers(0, max(1, -(-spec.hours // 24)), len(visitor))
    wakes = rng.normal(13.0, 3.0, spec.people)[visitor]  # The middle of each one's day.
    begins = (day * 24 + wakes + rng.normal(0, 3.0, len(visitor))) * 3_600_000
    events = 1 + rng.geometric(1.0 / spec.visit_events, len(visitor))
    person = np.repeat(visitor, events)
    gaps = rng.exponential(spec.visit_gap_s * 1000, len(person))
    first = np.repeat(np.cumsum(events) - events, events)
    run = np.cumsum(gaps)
    time = np.repeat(begins, events) + run - run[first]
    inside = (time >= 0) & (time < spec.hours * 3_600_000)
    return person[inside].astype(np.int64), time[inside].astype(np.int64)


def _bots(spec: AccessSpec, rng: np.random.Generator) -> tuple[Int, Int]:
    """The same of bots, which follow the people: a steady pace, a little shaken."""
    rates = spec.bot_rate * np.exp(rng.normal(0, spec.bot_spread, spec.bots))
    counts = np.maximum(1, (rates * spec.hours).astype(np.int64))
    bot = np.repeat(spec.people + np.arange(spec.bots), counts)
    beat = (np.concatenate([np.arange(count) for count in counts]) + 0.5) * np.repeat(3_600_000 / rates, counts)
    shaken = beat + rng.normal(0, 0.2, len(bot)) * np.repeat(3_600_000 / rates, counts)
    return bot, shaken.clip(0, spec.hours * 3_600_000 - 1).astype(np.int64)

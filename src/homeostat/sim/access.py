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
    """What is simulated; rates are events an hour."""

    people: int = 300
    bots: int = 6
    bursts: int = 10
    hours: int = 24
    start_s: int = 1_769_731_200  # 2026-01-30 00:00 UTC.
    person_rate: float = 3.0
    bot_rate: float = 240.0
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
    rates = rng.gamma(2.0, spec.person_rate / 2.0, spec.people)  # Some people do much more than others.
    person = np.repeat(np.arange(spec.people), rng.poisson(rates * spec.hours))
    person_time = rng.integers(0, span, len(person))
    bot = np.repeat(spec.people + np.arange(spec.bots), int(spec.bot_rate * spec.hours))
    beat = np.tile(np.arange(int(spec.bot_rate * spec.hours)), spec.bots) * (3_600_000 / spec.bot_rate)
    bot_time = (beat + rng.normal(0, 200, len(bot))).clip(0, span - 1).astype(np.int64)
    victims = rng.integers(0, spec.people, spec.bursts)
    begins = rng.integers(0, max(1, span - spec.burst_s * 1000), spec.bursts)
    burst = np.repeat(victims, spec.burst_events)
    burst_time = np.repeat(begins, spec.burst_events) + rng.integers(0, spec.burst_s * 1000, len(burst))
    entity = np.concatenate([person, bot, burst])
    time = np.concatenate([person_time, bot_time, burst_time])
    abuse = (np.arange(len(entity)) >= len(person)).astype(np.uint8)
    kind = rng.choice(len(KINDS), len(entity), p=[0.6, 0.1, 0.25, 0.05]).astype(np.uint8)
    kind[(abuse == 1) & (rng.random(len(entity)) < 0.8)] = 1  # They mostly try passwords.
    value = np.round(rng.lognormal(2.0, 0.6, len(entity)), 2)
    order = np.argsort(time, kind="stable")
    return Access(time[order] + spec.start_s * 1000, entity[order], kind[order], value[order], abuse[order])

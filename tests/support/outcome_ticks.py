"""Ticks with outcomes, quick to make: risks, and labels that come two days later or sooner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from homeostat.checks.ticks import HOUR_NS, START_NS, no_outcomes, quiet_ticks
from homeostat.maintain.contracts import Known, Tick
from homeostat.records.arrays import AnyArray, Float, Int

MATURES_NS = 48 * HOUR_NS
Report = tuple[AnyArray, ...]
TEMPLATE = quiet_ticks(1, per_hour=5.0)[0]


@dataclass
class World:
    """The law of a stream of decisions with outcomes. Each part may be a function of the hour.

    rate : of positives against the risk
    lag_h : hours that reports of negatives come late
    flips : the share of labels that are flipped
    law : how far positives have lost their tie to the risk, from 0 to 1
    wrong : how many times more positives there are in the segment of amounts in the third quarter
    poison : reports of positives an hour by three new accounts, at once
    """

    n: float = 80.0
    rate: Callable[[int], float] = lambda hour: 1.0
    lag_h: Callable[[int], float] = lambda hour: 0.0
    flips: Callable[[int], float] = lambda hour: 0.0
    law: Callable[[int], float] = lambda hour: 0.0
    wrong: Callable[[int], float] = lambda hour: 1.0
    poison: Callable[[int], float] = lambda hour: 0.0
    busy: Callable[[int], float] = lambda hour: 1.0


def ticks(world: World, hours: int, seed: int = 0) -> Iterator[Tick]:
    """So many ticks of a world."""
    rng = np.random.default_rng([seed, 77])
    waiting: dict[int, list[Report]] = {}
    for hour in range(hours):
        n = int(rng.poisson(world.n * world.busy(hour)))
        time_ns = START_NS + hour * HOUR_NS + np.sort(rng.integers(1, HOUR_NS, n))
        amount, risk = rng.lognormal(3.0, 0.6, n), 1 / (1 + np.exp(-rng.normal(-4.0, 1.5, n)))
        chance = risk * world.rate(hour)
        chance = (1 - world.law(hour)) * chance + world.law(hour) * chance.mean()
        quarter = np.searchsorted(np.exp(3.0 + 0.6 * np.array([-0.674, 0.0, 0.674])), amount)
        chance = np.where(quarter == 2, chance * world.wrong(hour), chance)
        label = (rng.random(n) < chance).astype(float)
        customer = rng.integers(0, 500, n)
        early = (rng.random(n) * 46 * HOUR_NS).astype(np.int64) + HOUR_NS
        late = MATURES_NS - HOUR_NS // 2 + int(world.lag_h(hour) * HOUR_NS)
        known_ns = time_ns + np.where(label == 1, early, late)
        label = np.where(rng.random(n) < world.flips(hour), 1.0 - label, label)
        k = rng.poisson(world.poison(hour)) if world.poison(hour) else 0
        if k and n:
            donors = rng.integers(0, n, k)
            parts = (time_ns[donors], amount[donors], 0.5 * risk[donors], np.ones(k), 900 + rng.integers(0, 3, k))
            time_ns, amount, risk, label, customer = (
                np.concatenate(pair) for pair in zip((time_ns, amount, risk, label, customer), parts, strict=True)
            )  # fmt: skip
            known_ns = np.concatenate([known_ns, parts[0] + HOUR_NS // 4])
        report = (time_ns, amount, risk, label, customer, known_ns)
        early = known_ns - time_ns < MATURES_NS - HOUR_NS
        _wait(waiting, known_ns, report, np.ones(len(label), bool), ~early)
        again = tuple(column[early] for column in report)
        _wait(waiting, again[0] + MATURES_NS, again, np.zeros(len(again[0]), bool), early[early])
        yield _tick(hour, time_ns, amount, risk, waiting.pop(hour, []))


def _wait(waiting: dict[int, list[Report]], at_ns: Int, report: Report, fresh: AnyArray, mature: AnyArray) -> None:
    """Let reports wait for their hour. Early ones count once as fresh, and once as mature."""
    due = (at_ns - START_NS) // HOUR_NS
    for at in np.unique(due).tolist():
        rows = due == at
        waiting.setdefault(int(at), []).append((*(c[rows] for c in report), fresh[rows], mature[rows]))


def _tick(hour: int, time_ns: Int, amount: Float, risk: Float, due: list[Report]) -> Tick:
    n = len(time_ns)
    at = np.zeros(n, np.int64)
    events = TEMPLATE.events.rows(at)
    numbers = np.column_stack([amount, np.ones(n), np.full(n, 11.0)])
    events = replace(events, time_ns=time_ns, numbers=numbers)
    features = replace(TEMPLATE.features.rows(at), values=np.column_stack([numbers, risk, risk]))
    zeros, small = np.zeros(n), np.zeros(n, np.int16)
    begin = START_NS + hour * HOUR_NS
    return replace(
        TEMPLATE, number=hour + 1, start_ns=begin, end_ns=begin + HOUR_NS, events=events, features=features,
        scores=np.column_stack([risk, risk]), risk=risk, proposed=small, action=small, rule=small - 1,
        hits=np.zeros(n, np.uint64), explored=np.zeros(n, np.uint8), fallback=np.zeros(n, np.uint8),
        propensity=np.ones((n, 3)), settings=at, version=at, took_us=zeros, arrived_ns=time_ns, known=_known(due),
        events_n=n,
    )  # fmt: skip


def _known(due: list[Report]) -> Known:
    if not due:
        return no_outcomes(3, 5)
    time_ns, amount, risk, label, customer, known_ns, fresh, mature = map(np.concatenate, zip(*due, strict=True))
    m = len(time_ns)
    numbers = np.column_stack([amount, np.ones(m), np.full(m, 11.0)])
    return Known(
        time_ns, known_ns, label, np.full(m, np.nan), risk, np.zeros(m, np.int16), np.zeros(m, np.uint8),
        mature.astype(np.uint8), numbers,
        np.column_stack([numbers, risk, risk]), np.column_stack([customer, customer % 50]), np.zeros(m, np.int64),
        fresh.astype(np.uint8),
    )  # fmt: skip

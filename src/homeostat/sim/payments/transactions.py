"""Simulated card payments, after the published description of the fraud benchmark.

Source: Le Borgne, Siblini, Lebichot, Bontempi (2022), Reproducible Machine Learning for Credit Card Fraud Detection,
chapter 3, "Simulation". Customers and terminals lie on a square; a customer pays at the terminals around; some
terminals and some cards are compromised for a while. Written from the description, as columns of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int

if TYPE_CHECKING:
    import pyarrow

DAY_S = 86_400
START_S = 1_522_540_800  # 2018-04-01 00:00 UTC, the benchmark's first day.


@dataclass(frozen=True, slots=True)
class PaymentsSpec:
    """The settings of the simulation; the defaults are the benchmark's.

    start_s : seconds since 1970 UTC of the first day's midnight
    rate_max : payments a day of the most active customer
    """

    customers: int = 5_000
    terminals: int = 10_000
    days: int = 183
    start_s: int = START_S
    radius: float = 5.0
    side: float = 100.0
    rate_max: float = 4.0
    mean_min: float = 5.0
    mean_max: float = 100.0
    large_amount: float = 220.0
    terminals_a_day: int = 2
    terminal_days: int = 28
    cards_a_day: int = 3
    card_days: int = 14
    card_share: float = 1 / 3
    card_factor: float = 5.0


@dataclass(frozen=True, slots=True)
class Payments:
    """`n` payments in time order.

    time_s : (n,) seconds since 1970 UTC
    customer, terminal : (n,) from 0
    amount : (n,) two decimals
    fraud : (n,) 0 or 1
    scenario : (n,) 0 none, 1 large amount, 2 compromised terminal, 3 stolen card; never an input of a model
    """

    time_s: Int
    customer: Int
    terminal: Int
    amount: Float
    fraud: Bytes
    scenario: Bytes

    def __len__(self) -> int:
        return len(self.time_s)

    def after(self, days: int) -> Payments:
        """The payments from that day on: frauds take four weeks to reach their usual number."""
        first = int(self.time_s[0]) // DAY_S * DAY_S + days * DAY_S
        rows = slice(int(np.searchsorted(self.time_s, first)), None)
        return Payments(
            self.time_s[rows], self.customer[rows], self.terminal[rows], self.amount[rows], self.fraud[rows],
            self.scenario[rows],
        )  # fmt: skip

    def table(self) -> pyarrow.Table:
        """The payments under the benchmark's column names."""
        import pyarrow

        return pyarrow.table({
            "TRANSACTION_ID": np.arange(len(self), dtype=np.int32),
            "TX_DATETIME": pyarrow.array(self.time_s * 1_000_000, pyarrow.timestamp("us")),
            "CUSTOMER_ID": self.customer.astype(np.int32),
            "TERMINAL_ID": self.terminal.astype(np.int32),
            "TX_AMOUNT": self.amount,
            "TX_FRAUD": self.fraud.astype(np.int8),
            "TX_FRAUD_SCENARIO": self.scenario.astype(np.int8),
        })  # fmt: skip


def _nearby(spec: PaymentsSpec, rng: np.random.Generator) -> tuple[Int, Int]:
    """Each customer's terminals within the radius: offsets (customers + 1,) into a list of terminals."""
    customers = rng.uniform(0, spec.side, (spec.customers, 2))
    terminals = rng.uniform(0, spec.side, (spec.terminals, 2))
    order = np.argsort(terminals[:, 0], kind="stable")  # Only a strip around each customer needs a look.
    x = terminals[order, 0]
    first = np.searchsorted(x, customers[:, 0] - spec.radius)
    last = np.searchsorted(x, customers[:, 0] + spec.radius)
    found = []
    for customer in range(spec.customers):
        strip = order[first[customer] : last[customer]]
        dx = terminals[strip, 0] - customers[customer, 0]
        dy = terminals[strip, 1] - customers[customer, 1]
        found.append(np.sort(strip[dx * dx + dy * dy < spec.radius**2]))
    offsets = np.concatenate(([0], np.cumsum([len(near) for near in found]))).astype(np.int64)
    return offsets, np.concatenate(found).astype(np.int64)


def _genuine(spec: PaymentsSpec, rng: np.random.Generator) -> tuple[Int, Int, Int, Float]:
    """The payments of the customers: second since the start, customer, terminal, amount; in time order."""
    mean = rng.uniform(spec.mean_min, spec.mean_max, spec.customers)
    rate = rng.uniform(0, spec.rate_max, spec.customers)
    offsets, nearby = _nearby(spec, rng)
    counts = rng.poisson(rate[:, None], (spec.customers, spec.days))
    counts[np.diff(offsets) == 0] = 0  # A customer without a terminal nearby pays nowhere.
    customer = np.repeat(np.repeat(np.arange(spec.customers), spec.days), counts.ravel())
    day = np.repeat(np.tile(np.arange(spec.days), spec.customers), counts.ravel())
    second = rng.normal(DAY_S / 2, 20_000, len(customer)).astype(np.int64)
    kept = (second > 0) & (second < DAY_S)
    customer, day, second = customer[kept], day[kept], second[kept]
    amount = rng.normal(mean[customer], mean[customer] / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean[customer]), amount)
    choice = rng.integers(0, np.diff(offsets)[customer])
    terminal = nearby[offsets[customer] + choice]
    time = day * DAY_S + second
    order = np.argsort(time, kind="stable")
    return time[order], customer[order], terminal[order], np.round(amount[order], 2)


def _rows_of(keys: Int, count: int) -> tuple[Int, Int]:
    """Row numbers grouped by key, each group in time order, and the groups' offsets."""
    rows = np.argsort(keys, kind="stable")
    return rows, np.searchsorted(keys[rows], np.arange(count + 1))


def generate(spec: PaymentsSpec, seed: int) -> Payments:
    """Payments of the given world; the same seed gives the same bytes.

    >>> world = generate(PaymentsSpec(customers=50, terminals=2_000, days=10), seed=1)
    >>> bool((np.diff(world.time_s) >= 0).all())
    True
    """
    genuine_rng, fraud_rng = (np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(2))
    time, customer, terminal, amount = _genuine(spec, genuine_rng)
    scenario = np.where(amount > spec.large_amount, 1, 0).astype(np.uint8)
    day = time // DAY_S
    rows, offsets = _rows_of(terminal, spec.terminals)
    for start in range(spec.days):
        for at in fraud_rng.choice(spec.terminals, min(spec.terminals_a_day, spec.terminals), replace=False):
            own = rows[offsets[at] : offsets[at + 1]]
            scenario[own[(day[own] >= start) & (day[own] < start + spec.terminal_days)]] = 2
    rows, offsets = _rows_of(customer, spec.customers)
    for start in range(spec.days):
        for who in fraud_rng.choice(spec.customers, min(spec.cards_a_day, spec.customers), replace=False):
            own = rows[offsets[who] : offsets[who + 1]]
            own = own[(day[own] >= start) & (day[own] < start + spec.card_days)]
            stolen = fraud_rng.choice(own, int(len(own) * spec.card_share), replace=False)
            amount[stolen] = np.round(amount[stolen] * spec.card_factor, 2)
            scenario[stolen] = 3
    fraud = (scenario > 0).astype(np.uint8)
    return Payments(time + spec.start_s, customer, terminal, amount, fraud, scenario)

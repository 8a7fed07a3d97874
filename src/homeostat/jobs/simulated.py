"""Simulated payments as the loop takes them, and the worlds that the shipped bundle and the demo are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.events import EventBatch
from homeostat.sim.payments.transactions import DAY_S, Payments, PaymentsSpec

SECOND_NS = 1_000_000_000
_PUBLISHED = PaymentsSpec()


def world_of(customers: int, days: int) -> PaymentsSpec:
    """The published world with fewer customers: as many payments at a terminal, and the same share of each fraud.

    >>> world_of(2_500, 30).terminals, round(world_of(5_000, 30).radius, 1)
    (5000, 5.0)
    """
    share = customers / _PUBLISHED.customers
    return PaymentsSpec(
        customers=customers,
        terminals=max(2, round(_PUBLISHED.terminals * share)),
        days=days,
        radius=min(_PUBLISHED.radius * share**-0.5, 50.0),
        terminals_a_day=max(1, round(_PUBLISHED.terminals_a_day * share)),
        cards_a_day=max(1, round(_PUBLISHED.cards_a_day * share)),
    )


def events_of(payments: Payments, first_id: int = 0, labelled: bool = True) -> EventBatch:
    """All payments as one batch, in order; ids count from `first_id`. A label counts after the app's delay."""
    n = len(payments)
    return EventBatch(
        np.arange(first_id, first_id + n),
        payments.time_s * SECOND_NS,
        np.stack([payments.customer, payments.terminal], axis=1).astype(np.int64),
        payments.amount[:, None].copy(),
        payments.fraud.astype(np.float64) if labelled else np.full(n, np.nan),
        np.zeros(n, np.uint8),
    )


def between(payments: Payments, first_day: int, end_day: int, start_s: int) -> Payments:
    """The payments of some days, counted from `start_s`."""
    rows = slice(*np.searchsorted(payments.time_s, [start_s + first_day * DAY_S, start_s + end_day * DAY_S]).tolist())
    return Payments(
        payments.time_s[rows], payments.customer[rows], payments.terminal[rows], payments.amount[rows],
        payments.fraud[rows], payments.scenario[rows],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """The training data of the payments app's bundle. Same recipe, same app, same library versions: same bundle.

    history_days : only fill the windows
    training_days : what the models learn from; the outcome delay is simulated after them
    ppo_steps : of the PPO policy's training
    """

    seed: int = 4101
    customers: int = 1_600
    history_days: int = 68
    training_days: int = 24
    ppo_steps: int = 131_072
    ppo_imitation_steps: int = 1_500

    def spec(self, delay_days: int) -> PaymentsSpec:
        """The world that is simulated."""
        return world_of(self.customers, self.history_days + self.training_days + delay_days)

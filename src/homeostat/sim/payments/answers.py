"""How the world answers one step's decisions, payment after payment: the compiled part of `PaymentsWorld`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled

NEVER = np.iinfo(np.int64).max


class Odds(NamedTuple):
    """The fields of `Response` that the kernels read, and `loss`: of a customer who is blocked, in expectation."""

    give_up: float
    give_up_online: float
    abandon: float
    fraud_retry: float
    genuine_retry: float
    retry_factor: float
    follow_up: float
    discouraged: float
    leave: float
    friction: float
    fee: float
    margin: float
    complaint: float
    loss: float
    online_every: int
    delay_days_max: int


class Made(NamedTuple):
    """Payments, each column (n,): depth is the number of payments that led to it, one from the other."""

    id: Int
    time_s: Int
    customer: Int
    terminal: Int
    amount: Float
    scenario: Bytes
    depth: Bytes


class Moods(NamedTuple):
    """The state of customers and terminals: how far their misuse goes on, and who has left."""

    heat_customer: Float
    heat_terminal: Float
    left: Bytes


class Effects(NamedTuple):
    """The effects of each payment's action.

    result : (n, 5) fraud, friction, lost, chargeback, label
    known : (n,) second in which the outcome is known, or NEVER
    child : (n, 2) delay in seconds (0 none) and amount of the payment that it leads to
    """

    result: Float
    known: Int
    child: Float


def no_effects(n: int) -> Effects:
    """The effects of n payments, before any action."""
    return Effects(np.zeros((n, 5)), np.empty(n, np.int64), np.zeros((n, 2)))


@compiled
def respond(of: Made, action: Int, draw: Float, moods: Moods, odds: Odds, least_s: float, to: Effects) -> None:
    """Apply the actions in order.

    draw : (n, 6) chance; least_s : what a payment leads to comes so much later at least
    """
    for i in range(len(of.time_s)):
        fraud = of.scenario[i] > 0
        a, c, t = action[i], of.customer[i], of.terminal[i]
        online = t % odds.online_every == 0
        passes = a == 0
        to.known[i] = NEVER
        to.result[i, 4] = 1.0 if fraud else 0.0
        if a == 1:
            to.result[i, 1] = odds.friction
            leaves = (odds.give_up_online if online else odds.give_up) if fraud else odds.abandon
            passes = draw[i, 0] >= leaves
            if not passes:
                to.known[i] = of.time_s[i] + 86400
                if not fraud:
                    to.result[i, 2] = odds.margin * of.amount[i]
        if passes:
            to.known[i] = of.time_s[i] + odds.delay_days_max * 86400
            if fraud:
                to.known[i] = of.time_s[i] + 86400 + int(draw[i, 1] * (odds.delay_days_max - 1) * 86400)
                to.result[i, 0] = of.amount[i] + odds.fee
                to.result[i, 3] = of.amount[i]
        if fraud:
            heat = moods.heat_terminal if of.scenario[i] == 2 else moods.heat_customer
            who = t if of.scenario[i] == 2 else c
            if passes:
                heat[who] = min(1.0, heat[who] * (1.0 + 0.5 * (1.0 / odds.discouraged - 1.0)))
                if draw[i, 2] < odds.follow_up and of.depth[i] < 3:
                    to.child[i, 0] = least_s + draw[i, 3] * 82800.0
                    to.child[i, 1] = of.amount[i] * (0.8 + 0.4 * draw[i, 4])
            else:
                heat[who] *= odds.discouraged
                if a == 2 and draw[i, 2] < odds.fraud_retry and of.depth[i] < 3:
                    to.child[i, 0] = least_s + draw[i, 3] * 18000.0
                    to.child[i, 1] = of.amount[i] * odds.retry_factor
        elif a == 2:
            to.result[i, 2] = odds.margin * of.amount[i] + odds.complaint
            if draw[i, 5] < odds.leave:
                moods.left[c] = 1
            elif draw[i, 2] < odds.genuine_retry and of.depth[i] < 3:
                to.child[i, 0] = least_s + draw[i, 3] * 18000.0
                to.child[i, 1] = of.amount[i] * (0.5 + 0.5 * draw[i, 4])

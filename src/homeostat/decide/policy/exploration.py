"""Chance within a harm budget: what a policy may do other than its best, with the exact propensity of every action.

An event's harm is the expected extra cost of its propensities over the best action, before chance is drawn, by the
policy's own estimate (by an upper bound of it where the policy knows how unsure it is). It is charged against the
budget of its period of event time, and an event that does not fit in what is left is not explored at all: so no
period's charge ever exceeds the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from homeostat.records.allowance import Allowance
from homeostat.records.arrays import Bytes, Float, Int, Small
from homeostat.records.compiled import compiled

SPENT, PERIOD, TOTAL, EXPLORED, REFUSED, HELD_OUT = range(6)  # Columns of an account.
RATE, BUDGET, PERIOD_NS, HOLDOUT, ONLY = range(5)  # Columns of a plan.


class Exploring(NamedTuple):
    """The limits of chance, and what it did.

    plan : (5,) see `ExplorationPlan.settings`; account : (6,) see `new_account`
    censoring : (actions,) 1 for an action that hides the outcome
    instead : an action whose outcome is seen, or -1: the hold-out takes the cheapest of those
    """

    plan: Float
    account: Float
    censoring: Bytes
    instead: int


class Chosen(NamedTuple):
    """Room for what is proposed: propensity (n, actions), action and explored (n,)."""

    propensity: Float
    action: Small
    explored: Bytes

    @staticmethod
    def room(n: int, actions: int) -> Chosen:
        """For `n` events."""
        return Chosen(np.zeros((n, actions)), np.zeros(n, np.int16), np.zeros(n, np.uint8))


@dataclass(frozen=True, slots=True)
class ExplorationPlan:
    """How much chance a policy may use.

    rate : share of events, at most, in which chance may decide
    budget : expected extra cost allowed a period, in the app's currency
    period_ns : of event time
    holdout : share of would-be censored events let through; declared by itself, so not charged to the budget
    """

    rate: float = 0.02
    budget: float = 0.0
    period_ns: int = 86_400_000_000_000
    holdout: float = 0.0

    def settings(self) -> Float:
        """As the kernels take it; the budget is for any period."""
        return np.array([self.rate, self.budget, float(self.period_ns), self.holdout, np.nan])


def exploring_of(plan: ExplorationPlan | None, censoring: Sequence[bool]) -> Exploring:
    """Nothing explored yet; without a plan, the usual one."""
    hides = np.asarray(censoring, dtype=np.uint8)
    visible = np.flatnonzero(hides == 0)
    settings = (plan or ExplorationPlan()).settings()
    return Exploring(settings, new_account(), hides, int(visible[0]) if len(visible) else -1)


def allow(exploring: Exploring, allowance: Allowance) -> None:
    """Let the account be charged so much, in place of the plan's budget; also while another thread proposes."""
    if exploring.plan[ONLY] != allowance.period:
        exploring.plan[BUDGET] = 0.0  # The budget of one period is never that of another, not for a moment.
        exploring.plan[ONLY] = allowance.period
    exploring.plan[BUDGET] = allowance.budget


def new_account() -> Float:
    """Nothing spent: spent this period, the period, spent in all, explored, refused for want of budget, held out."""
    return np.array([0.0, -np.inf, 0.0, 0.0, 0.0, 0.0])


@compiled
def open_period(account: Float, time_ns: int, period_ns: float) -> None:
    """Start a new account where the event time is in a later period than any before."""
    period = float(time_ns // int(period_ns))
    if period > account[PERIOD]:
        account[PERIOD] = period
        account[SPENT] = 0.0


@compiled
def budget_of(plan: Float, account: Float) -> float:
    """The most that the account's period may be charged; a budget that is for another period allows nothing."""
    if plan[ONLY] == plan[ONLY] and plan[ONLY] != account[PERIOD]:
        return 0.0
    return float(plan[BUDGET])


@compiled
def decide_row(
    greedy: int, explore: Float, dread: Float, exploring: Exploring, chance: Float, propensity: Float
) -> tuple[int, int]:
    """Mix, charge, hold out and draw for one event.

    explore : (actions,) what chance would choose from; sums to 1
    dread : (actions,) the expected cost of `greedy`; of the others, that or an upper bound of it
    propensity : (actions,) written
    Returns the action, and 1 where chance chose another than `greedy`.
    """
    plan, account, censoring, instead = exploring
    actions = len(explore)
    rate, harm = plan[RATE], 0.0
    for a in range(actions):
        if explore[a] > 0.0:
            harm += rate * explore[a] * max(0.0, dread[a] - dread[greedy])
    varied = explore[greedy] < 1.0 and rate > 0.0
    if varied and not (account[SPENT] + harm <= budget_of(plan, account)):
        varied = False
        account[REFUSED] += 1.0
    others = 0.0
    for a in range(actions):
        propensity[a] = rate * explore[a] if varied and a != greedy else 0.0
        others += propensity[a]
    propensity[greedy] = 1.0 - others
    if varied:
        account[SPENT] += harm
        account[TOTAL] += harm
    chosen, left = greedy, chance[0] - propensity[greedy]
    if left >= 0.0:
        for a in range(actions):
            if a != greedy and propensity[a] > 0.0:
                chosen = a
                left -= propensity[a]
                if left < 0.0:
                    break
    if chosen != greedy:
        account[EXPLORED] += 1.0
    share = plan[HOLDOUT]
    if instead >= 0 and share > 0.0:
        for a in range(actions):  # The cheapest of those whose outcome is seen.
            if not censoring[a] and dread[a] < dread[instead]:
                instead = a
        if censoring[chosen] and chance[1] < share:
            chosen = instead
            account[HELD_OUT] += 1.0
        for a in range(actions):
            if censoring[a] and propensity[a] > 0.0:
                propensity[instead] += share * propensity[a]
                propensity[a] -= share * propensity[a]
    return chosen, 1 if chosen != greedy else 0


@compiled
def decide_rows(
    greedy: Int, explore: Float, dread: Float, time_ns: Int, exploring: Exploring, chance: Float, out: Chosen
) -> None:
    """`decide_row` for each event in order; writes `out`."""
    for i in range(len(greedy)):
        open_period(exploring.account, time_ns[i], exploring.plan[PERIOD_NS])
        out.action[i], out.explored[i] = decide_row(
            greedy[i], explore[i], dread[i], exploring, chance[i], out.propensity[i]
        )

"""The events of one entity after each action, as short episodes: the dynamics of the training environment.

An episode starts with a payment from a pool and goes on with what that leads to: a blocked or successful fraudster
tries again, a blocked customer does so or leaves, a compromised card is used more where it succeeded and less where
it was stopped. Payments whose risk leaves the choice open are rare, so the pool is drawn evenly by risk: that changes
how often each is seen, and not what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from homeostat.decide.policy.observation import observe
from homeostat.decide.policy.thresholds import expected_costs
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled
from homeostat.sim.payments.answers import Odds
from homeostat.sim.payments.risk import StandInRisk, context
from homeostat.sim.payments.transactions import Payments
from homeostat.sim.payments.world import PaymentsWorld, Response

_BINS = 24
_LARGE = 220.0
_FUTURE_DAYS = 30  # Over how long a customer who left is missed.


@dataclass(frozen=True, slots=True)
class Pool:
    """`n` payments to start episodes from.

    risk : (n,) as the risk model gives it
    context : (n, c) what the policy sees beside it
    amount, scenario, online : (n,) scenario is the hidden truth, by which the entities behave
    """

    risk: Float
    context: Float
    amount: Float
    scenario: Bytes
    online: Bytes

    def starts(self) -> Float:
        """(n,) probabilities that make the log-odds of the risk about uniform."""
        clipped = np.clip(self.risk, 1e-6, 1 - 1e-6)
        odds = np.log(clipped / (1 - clipped))
        edges = np.linspace(max(odds.min(), -7.0), odds.max(), _BINS)
        bins = np.digitize(odds, edges)
        weight = 1.0 / np.bincount(bins, minlength=_BINS + 1)[bins]
        out: Float = weight / weight.sum()
        return out

    def posterior(self) -> Float:
        """(n,) the probability of fraud given all that is seen: a logistic regression on the pool's own labels.

        It prices the actions. Priced by the hidden truth they would have the same mean and a far larger variance.
        """
        clipped = np.clip(self.risk, 1e-6, 1 - 1e-6)
        odds, size = np.log(clipped / (1 - clipped)), np.log1p(self.amount)
        online = self.online.astype(np.float64)
        columns = [np.ones(len(odds)), odds, odds**2 / 10, size, size**2 / 5, (self.amount > _LARGE), online]
        columns += [online * odds, *(np.sign(self.context) * np.log1p(np.abs(self.context))).T]
        x = np.stack(columns, axis=1).astype(np.float64)
        y = (self.scenario > 0).astype(np.float64)
        beta = np.zeros(x.shape[1])
        beta[1] = 1.0
        for _ in range(15):
            p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
            hessian = (x * (p * (1 - p) + 1e-9)[:, None]).T @ x + 1e-2 * np.eye(x.shape[1])
            step = np.linalg.solve(hessian, x.T @ (y - p) - 1e-2 * beta)
            beta = beta + step * min(1.0, 4.0 / float(np.abs(step).max()))
        out: Float = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        return out


def pool_of(payments: Payments, model: StandInRisk, seed: int, step_s: int = 10_800) -> Pool:
    """The payments that happen where the thresholds decide, with the stand-in's risks.

    Not those that happen where nothing is stopped: of those about twice as many are frauds.
    """
    world, parts = PaymentsWorld(payments, seed, step_s=step_s), []
    while (batch := world.advance()) is not None:
        events = batch.events
        risk = model.risk(events, batch.scenario, seed)
        online = (events.keys[:, 1] % model.online_every == 0).astype(np.uint8)
        parts.append((risk, context(events, model.online_every), events.numbers[:, 0], batch.scenario, online))
        world.act(expected_costs(risk, *declared_costs(events.numbers[:, 0])).argmin(axis=1))
    return Pool(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def declared_costs(amount: Float) -> tuple[Float, Float]:
    """The payments app's cost matrix: two (n, 3), if fraud and if genuine. The world's own costs differ."""
    zero = np.zeros(len(amount))
    positive = np.stack([amount, 0.25 * amount + 0.5, zero], axis=1)
    return positive, np.stack([zero, zero + 0.5, 0.1 * amount + 5.0], axis=1)


class Choices(NamedTuple):
    """The payments that entities may make, (n,) each.

    alike, offsets : the payments by scenario and whether online, two of which make a group; where each group begins
    """

    posterior: Float
    scenario: Bytes
    online: Bytes
    amount: Float
    alike: Int
    offsets: Int


class Standing(NamedTuple):
    """The state of each entity, (count,): its payment, how far its misuse goes on, and how many it has made."""

    row: Int
    heat: Float
    taken: Int


@compiled
def _step(
    action: Int, draw: Float, odds: Odds, of: Choices, now: Standing, length: int, cost: Float, ended: Bytes
) -> None:
    """One action of each entity; moves where it stands, writes cost and ended. `draw` is (entities, 8)."""
    for i in range(len(action)):
        at, a, u = now.row[i], action[i], draw[i]
        kind = of.scenario[at]
        stays = 1.0 - (odds.give_up_online if of.online[at] else odds.give_up)
        passes = a == 0
        q = of.posterior[at]
        if a == 0:
            cost[i] = q * (of.amount[at] + odds.fee)
        elif a == 1:
            passes = u[0] < (stays if kind > 0 else 1.0 - odds.abandon)
            cost[i] = (
                odds.friction
                + q * stays * (of.amount[at] + odds.fee)
                + (1.0 - q) * odds.abandon * odds.margin * of.amount[at]
            )
        else:
            cost[i] = (1.0 - q) * (odds.margin * of.amount[at] + odds.complaint + odds.loss)
        now.taken[i] += 1
        group = 2 * kind + of.online[at]
        first, size = of.offsets[group], of.offsets[group + 1] - of.offsets[group]
        near, wanted = False, 0.0
        goes_on = False
        if kind == 0:
            near = a == 2 and u[1] < odds.genuine_retry
            wanted = of.amount[at] * (0.5 + 0.5 * u[2])
        else:
            near = u[1] < (odds.fraud_retry if a == 2 else odds.follow_up if passes else 0.0)
            wanted = of.amount[at] * (odds.retry_factor if a == 2 else 0.8 + 0.4 * u[2])
            now.heat[i] = (
                min(1.0, now.heat[i] * (0.5 + 0.5 / odds.discouraged)) if passes else now.heat[i] * odds.discouraged
            )
            goes_on = u[3] < now.heat[i]
        ended[i] = 1
        if now.taken[i] >= length or size == 0:
            continue
        if near:  # Of four payments of the same kind, the one whose amount is nearest.
            best = of.alike[first + int(u[4] * size)]
            for k in range(5, 8):
                other = of.alike[first + int(u[k] * size)]
                if abs(of.amount[other] - wanted) < abs(of.amount[best] - wanted):
                    best = other
            now.row[i], ended[i] = best, 0
        elif goes_on:
            now.row[i], ended[i] = of.alike[first + int(u[4] * size)], 0


class Episodes:
    """`count` entities at once, each one episode after the other.

    observations : (pool, size) of each payment of the pool

    Costs are in the episode's unit, about the second cheapest action's cost at its start. The best action stays the
    best whatever that is; but without it the few dear payments drown the many cheap ones, where most of the money is.
    """

    def __init__(
        self, pool: Pool, seed: int, response: Response | None = None, count: int = 1, length_max: int = 6
    ) -> None:
        r = response or Response()
        self._length = length_max
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
        self._starts = np.cumsum(pool.starts())
        self.observations = observe(pool.risk, pool.context, *declared_costs(pool.amount))
        group = pool.scenario.astype(np.int64) * 2 + pool.online
        alike = np.argsort(group, kind="stable")
        offsets = np.searchsorted(group[alike], np.arange(9))
        self._of = Choices(pool.posterior(), pool.scenario, pool.online, pool.amount, alike, offsets)
        loss = r.leave * r.lifetime * float(pool.amount.mean()) * 2.0 * _FUTURE_DAYS
        self._odds = r.odds(loss)
        self._unit = 0.3 + np.sort(self.prices(), axis=1)[:, 1]
        self._scale = np.ones(count)
        self.row = np.zeros(count, dtype=np.int64)
        self._heat, self._taken = np.ones(count), np.zeros(count, dtype=np.int64)

    def begin(self, which: Bytes | None = None) -> Float:
        """Another entity in the places marked (all when None); (count, size) what is seen."""
        chosen = np.ones(len(self.row), dtype=bool) if which is None else which.astype(bool)
        fresh = np.searchsorted(self._starts, self._rng.random(int(chosen.sum())) * self._starts[-1])
        self.row[chosen] = np.minimum(fresh, len(self._starts) - 1)
        self._heat[chosen], self._taken[chosen] = 1.0, 0
        self._scale[chosen] = self._unit[self.row[chosen]]
        return self.seen()

    def prices(self) -> Float:
        """(pool, 3) what each action costs at once in expectation, given what can be seen of each payment."""
        n = len(self._of.posterior)
        out = np.empty((n, 3))
        for action in range(3):
            cost, ended, zeros = np.empty(n), np.empty(n, dtype=np.uint8), np.zeros(n, dtype=np.int64)
            now = Standing(np.arange(n), np.ones(n), zeros)
            _step(np.full(n, action), np.zeros((n, 8)), self._odds, self._of, now, 1, cost, ended)
            out[:, action] = cost
        return out

    def seen(self) -> Float:
        """(count, size) what is seen of the current payments."""
        out: Float = self.observations[self.row]
        return out

    def step(self, action: Int) -> tuple[Float, Bytes]:
        """(count,) what the actions cost in their episode's unit, and 1 where it ended; those wait for `begin`."""
        cost, ended = np.empty(len(self.row)), np.empty(len(self.row), dtype=np.uint8)
        draw, now = self._rng.random((len(self.row), 8)), Standing(self.row, self._heat, self._taken)
        _step(np.asarray(action, dtype=np.int64), draw, self._odds, self._of, now, self._length, cost, ended)
        return cost / self._scale, ended

"""What one entity does after each action, as short episodes: the dynamics of the training environment.

An episode starts with a payment from a pool and goes on with what that leads to: a blocked or successful fraudster
tries again, a blocked customer does so or leaves, a compromised card is used more where it succeeded and less where
it was stopped. Payments whose risk leaves the choice open are rare, so the pool is drawn evenly by risk: that changes
how often each is seen, and not what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.decide.policy.observation import observe
from homeostat.decide.policy.thresholds import expected_costs
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.compiled import compiled
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


@compiled
def _step(
    action: Int, draw: Float, p: Float, posterior: Float, scenario: Bytes, online: Bytes, amount: Float, frauds: Int,
    offsets: Int, row: Int, heat: Float, taken: Int, length: int, cost: Float, ended: Bytes,
) -> None:  # fmt: skip
    """One action of each entity; moves row, heat and taken, writes cost and ended. `draw` is (entities, 8)."""
    give_up, give_up_online, abandon, fraud_retry, genuine_retry = p[0], p[1], p[2], p[3], p[4]
    factor, follow_up, discouraged, loss = p[5], p[6], p[7], p[8]
    friction, fee, margin, complaint = p[9], p[10], p[11], p[12]
    for i in range(len(action)):
        at, a, u = row[i], action[i], draw[i]
        kind = scenario[at]
        stays = 1.0 - (give_up_online if online[at] else give_up)
        passes = a == 0
        q = posterior[at]
        if a == 0:
            cost[i] = q * (amount[at] + fee)
        elif a == 1:
            passes = u[0] < (stays if kind > 0 else 1.0 - abandon)
            cost[i] = friction + q * stays * (amount[at] + fee) + (1.0 - q) * abandon * margin * amount[at]
        else:
            cost[i] = (1.0 - q) * (margin * amount[at] + complaint + loss)
        taken[i] += 1
        group = 2 * kind + online[at]
        first, size = offsets[group], offsets[group + 1] - offsets[group]
        near, wanted = False, 0.0
        goes_on = False
        if kind == 0:
            near = a == 2 and u[1] < genuine_retry
            wanted = amount[at] * (0.5 + 0.5 * u[2])
        else:
            near = u[1] < (fraud_retry if a == 2 else follow_up if passes else 0.0)
            wanted = amount[at] * (factor if a == 2 else 0.8 + 0.4 * u[2])
            heat[i] = min(1.0, heat[i] * (0.5 + 0.5 / discouraged)) if passes else heat[i] * discouraged
            goes_on = u[3] < heat[i]
        ended[i] = 1
        if taken[i] >= length or size == 0:
            continue
        if near:  # Of four payments of the same kind, the one whose amount is nearest.
            best = frauds[first + int(u[4] * size)]
            for k in range(5, 8):
                other = frauds[first + int(u[k] * size)]
                if abs(amount[other] - wanted) < abs(amount[best] - wanted):
                    best = other
            row[i], ended[i] = best, 0
        elif goes_on:
            row[i], ended[i] = frauds[first + int(u[4] * size)], 0


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
        self._pool, self._length = pool, length_max
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
        self._starts, self._posterior = np.cumsum(pool.starts()), pool.posterior()
        self.observations = observe(pool.risk, pool.context, *declared_costs(pool.amount))
        group = pool.scenario.astype(np.int64) * 2 + pool.online
        self._grouped = np.argsort(group, kind="stable")
        self._offsets = np.searchsorted(group[self._grouped], np.arange(9))
        loss = r.leave * r.lifetime * float(pool.amount.mean()) * 2.0 * _FUTURE_DAYS
        self._p = np.array([
            r.give_up, r.give_up_online, r.abandon, r.fraud_retry, r.genuine_retry, r.retry_factor, r.follow_up,
            r.discouraged, loss, r.friction, r.fee, r.margin, r.complaint,
        ])  # fmt: skip
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
        n, out = len(self._posterior), np.empty((len(self._posterior), 3))
        for action in range(3):
            cost, ended, zeros = np.empty(n), np.empty(n, dtype=np.uint8), np.zeros(n, dtype=np.int64)
            _step(
                np.full(n, action), np.zeros((n, 8)), self._p, self._posterior, self._pool.scenario, self._pool.online,
                self._pool.amount, self._grouped, self._offsets, np.arange(n), np.ones(n), zeros, 1, cost, ended,
            )  # fmt: skip
            out[:, action] = cost
        return out

    def seen(self) -> Float:
        """(count, size) what is seen of the current payments."""
        out: Float = self.observations[self.row]
        return out

    def step(self, action: Int) -> tuple[Float, Bytes]:
        """(count,) what the actions cost in their episode's unit, and 1 where it ended; those wait for `begin`."""
        cost, ended = np.empty(len(self.row)), np.empty(len(self.row), dtype=np.uint8)
        _step(
            np.asarray(action, dtype=np.int64), self._rng.random((len(self.row), 8)), self._p, self._posterior,
            self._pool.scenario, self._pool.online, self._pool.amount, self._grouped, self._offsets, self.row,
            self._heat, self._taken, self._length, cost, ended,
        )  # fmt: skip
        return cost / self._scale, ended

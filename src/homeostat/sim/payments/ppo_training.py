"""The PPO policy of the payments app, trained in the simulated world; needs `homeostat[train]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from homeostat.models.training.policy_ppo import PpoSettings, train_ppo
from homeostat.sim.payments.env import many_environments
from homeostat.sim.payments.episodes import Episodes, Pool, pool_of
from homeostat.sim.payments.risk import CONTEXT, StandInRisk
from homeostat.sim.payments.transactions import PaymentsSpec, generate
from homeostat.sim.payments.world import Response

WORLD = PaymentsSpec(customers=1000, terminals=2000, days=88, radius=12.0, terminals_a_day=1, cards_a_day=1)
RAMP_DAYS = 28  # Left out: until then there are fewer frauds than ever after.
_STARTS = 50_000  # Payments that training imitates; more changed nothing.


def training_pool(seed: int, model: StandInRisk, worlds: int = 4, spec: PaymentsSpec = WORLD) -> Pool:
    """The payments of several worlds; one world alone has too few frauds to price by."""
    parts = [pool_of(generate(spec, seed + k).after(RAMP_DAYS), model, seed + k) for k in range(worlds)]
    columns = ("risk", "context", "amount", "scenario", "online")
    return Pool(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def train_payments_policy(
    seed: int, context: Sequence[str] = CONTEXT, settings: PpoSettings | None = None, pool: Pool | None = None
) -> bytes:
    """An ONNX policy for `decide.policy.ppo`; some 30 s on one thread.

    context : features that it will be served, among `sim.risk.CONTEXT`; where `online` is not among them, the world is
        one in which it makes no difference
    pool : payments to start from, with the risks of a real model say; simulated when absent
    """
    unknown = [name for name in context if name not in CONTEXT]
    if unknown:
        raise ValueError(f"the simulated world has no {', '.join(unknown)}: it has {', '.join(CONTEXT)}")
    response, model = Response(), StandInRisk()
    if "online" not in context:
        response, model = replace(response, give_up=0.8, give_up_online=0.8), replace(model, online=0.0)
    chosen = pool or training_pool(seed, model)
    seen = np.ascontiguousarray(chosen.context[:, [CONTEXT.index(name) for name in context]])
    chosen = replace(chosen, context=seen) if pool is None else chosen
    episodes = Episodes(chosen, seed, response)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    rows = rng.choice(len(chosen.risk), _STARTS, p=chosen.starts())
    best = episodes.prices().argmin(axis=1)[rows]
    environments = partial(many_environments, chosen, response=response)
    return train_ppo(environments, episodes.observations[rows], best, seed, settings, tuple(context))

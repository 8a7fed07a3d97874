"""Policies on a world that answers back, with delayed and censored outcomes: what they cost, over seeds.

The learned policies are held against the best fixed pair of thresholds, chosen in hindsight for each seed by a grid
search over the whole run: a baseline that no one could have in practice. `python -m benchmarks.policies --help`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np

from homeostat.decide.contracts import Policy
from homeostat.decide.policy.bandit import BanditPolicy, BanditSettings
from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.thresholds import FixedThresholdPolicy, ThresholdPolicy, expected_costs
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.sim.payments import PaymentsSpec, generate
from homeostat.sim.risk import CONTEXT, StandInRisk, context
from homeostat.sim.world import PaymentsWorld, Slice
from homeostat.stats.chance import chances
from homeostat.stats.intervals import Interval, bootstrap_interval, paired_difference

CENSORING = (False, False, True)
SPEC = PaymentsSpec(customers=1000, terminals=2000, days=60, radius=12.0, terminals_a_day=1, cards_a_day=1)
STEP_S = 3 * 3600
BUDGET = 5.0  # Expected extra cost a day, in the currency of the costs; a day's fraud is some 200.
EXPLORATION = ExplorationPlan(rate=0.05, budget=BUDGET, holdout=0.01)
SETTINGS = BanditSettings(maturity_ns=14 * 86_400_000_000_000)
CHALLENGE_AT = (0.003, 0.006, 0.01, 0.02, 0.04, 0.08, 0.15)
BLOCK_AT = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 0.95, 2.0)


def costs(events: EventBatch, features: Features) -> tuple[np.ndarray, np.ndarray]:
    """The payments app's declared cost matrix."""
    amount = events.numbers[:, 0]
    zero = np.zeros(len(amount))
    positive = np.stack([amount, 0.25 * amount + 0.5, zero], axis=1)
    return positive, np.stack([zero, zero + 0.5, 0.1 * amount + 5], axis=1)


@dataclass
class Learner:
    """Joins outcomes to decisions, and hands them to the policy on a grid of time."""

    policy: Policy
    open: dict[int, tuple] = field(default_factory=dict)

    def decided(self, batch: Slice, seen: np.ndarray, risk: np.ndarray, proposal: Proposal, cost: tuple) -> None:
        for row, code in enumerate(batch.events.id_code.tolist()):
            action = int(proposal.action[row])
            self.open[code] = (
                batch.events.time_ns[row], seen[row], risk[row], action, proposal.propensity[row, action],
                cost[0][row], cost[1][row],
            )  # fmt: skip

    def learn(self, batch: Slice) -> None:
        ids = batch.outcomes.id_code.tolist()
        if not ids:
            return
        rows = [self.open.pop(code) for code in ids]
        label = batch.outcomes.label
        columns = list(zip(*rows, strict=True))
        cost = np.where(label[:, None] > 0, np.array(columns[5]), np.array(columns[6]))
        self.policy.learn(
            Experience(
                np.array(columns[0]), batch.outcomes.id_code, np.array(columns[1]), np.empty((len(ids), 0)),
                np.array(columns[2]), np.array(columns[3], dtype=np.int16), np.array(columns[4]), label, cost,
                np.zeros(len(ids), dtype=np.uint8), batch.realised,
            )  # fmt: skip
        )


@dataclass
class Run:
    """What a policy did to a world: total cost, and what exploration and hold-out really cost beyond its best."""

    total: float
    policy: object = None
    harm: float = 0.0
    held_out: float = 0.0
    charged_max: float = 0.0
    explored: int = 0


def run(make: Callable[[], Policy], seed: int, learn: bool, spec: PaymentsSpec = SPEC) -> Run:
    """One policy through one world, from its first payment to its last."""
    policy, model = make(), StandInRisk()
    world = PaymentsWorld(generate(spec, seed), seed, step_s=STEP_S)
    learner, result = Learner(policy), Run(0.0)
    empty = np.empty((0, 0))
    while (batch := world.advance()) is not None:
        if learn:
            learner.learn(batch)
        risk = model.risk(batch.events, batch.scenario, seed)
        seen = context(batch.events)
        features = Features(CONTEXT, seen, np.zeros(seen.shape, dtype=np.uint8))
        chance = chances(seed + 9, batch.events.id_code)
        fused = Fused(risk, empty)
        if isinstance(policy, BanditPolicy):
            proposal, estimates = policy.propose_with_estimates(fused, batch.events, features, chance)
            true = world.true_costs(batch)
            rows, best = np.arange(len(risk)), estimates.argmin(axis=1)
            extra = true[rows, proposal.action] - true[rows, best]
            held = (chance[:, 1] < EXPLORATION.holdout) & (best == 2)
            result.harm += float(extra[~held].sum())
            result.held_out += float(extra[held].sum())
            result.charged_max = max(result.charged_max, policy.account[0])
            result.explored += int(proposal.explored[~held].sum())
        else:
            proposal = policy.propose(fused, batch.events, features, chance)
        if learn:
            learner.decided(batch, seen, risk, proposal, costs(batch.events, features))
        world.act(proposal.action)
    result.total = world.ledger.total
    result.policy=policy
    return result


def candidates(model: str | None) -> dict[str, tuple[Callable[[], Policy], bool]]:
    """The policies compared, and whether each learns online."""
    bandit = partial(BanditPolicy, costs, CENSORING, CONTEXT, exploration=EXPLORATION, settings=SETTINGS)
    found: dict[str, tuple[Callable[[], Policy], bool]] = {
        "cost-optimal": (partial(ThresholdPolicy, costs, CENSORING), False),
        "bandit thompson": (partial(bandit, algorithm="thompson"), True),
        "bandit linucb": (partial(bandit, algorithm="linucb"), True),
    }
    return found


def one_seed(seed: int, model: str | None) -> dict[str, Run | tuple[float, float]]:
    """Every policy and the grid of fixed thresholds on one seed's world."""
    results: dict = {}
    best = None
    for challenge in CHALLENGE_AT:
        for block in BLOCK_AT:
            if block > challenge:
                got = run(partial(FixedThresholdPolicy, (challenge, block), CENSORING), seed, False)
                if best is None or got.total < best[0].total:
                    best = (got, challenge, block)
    results["best fixed"], results["cuts"] = best[0], best[1:]
    for name, (make, learn) in candidates(model).items():
        results[name] = run(make, seed, learn)
    return results

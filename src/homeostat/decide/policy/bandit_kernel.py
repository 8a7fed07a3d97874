"""The bandit's arithmetic, one event after the other, so that batches can't change a bit."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from homeostat.decide.policy.exploration import (
    PERIOD_NS,
    RATE,
    SPENT,
    Chosen,
    Exploring,
    budget_of,
    decide_row,
    open_period,
)
from homeostat.records.arrays import Bytes, Float, Int, Small
from homeostat.records.compiled import compiled
from homeostat.stats.elementary import log, logit, sigmoid

LINUCB, THOMPSON = 0, 1


class Learned(NamedTuple):
    """The belief: mean (d,) and covariance (d, d) of the log-odds' correction, and for each action and label the same
    of the cost's, (actions, 2, d) and (actions, 2, d, d).
    """

    mean: Float
    covariance: Float
    arm_mean: Float
    arm_covariance: Float


class Prior(NamedTuple):
    """The belief at first, and how fast it is left.

    variance, arm_variance : (d,) of the corrections of the log-odds and of the costs
    keep : the share of what is known that is kept at each outcome
    weight_max : bound of the importance weights
    arm_noise : variance of a realised cost
    """

    variance: Float
    arm_variance: Float
    keep: float
    weight_max: float
    arm_noise: float


class Lessons(NamedTuple):
    """Outcomes in order, a row each; `Experience` says what they are."""

    context: Float
    risk: Float
    action: Small
    propensity: Float
    label: Float
    cost: Float
    censored: Bytes
    realised: Float


class Asked(NamedTuple):
    """Events to be proposed for, a row each: `positive` and `negative` are what each action costs, (n, actions)."""

    risk: Float
    context: Float
    time_ns: Int
    positive: Float
    negative: Float
    chance: Float


class Exploration(NamedTuple):
    """How the posterior explores: LINUCB with its width `alpha`, or THOMPSON over fixed draws `z` (m, 1 + actions)."""

    algorithm: int
    alpha: float
    z: Float


@compiled
def squash(x: float) -> float:
    """sign(x) log(1 + |x|): amounts and counts on one scale; 0 where there is no number."""
    if not -math.inf < x < math.inf:
        return 0.0
    size: float = log(1.0 + abs(x))
    return size if x >= 0.0 else -size


@compiled
def describe(risk: float, context: Float, phi: Float) -> float:
    """Write phi = [1, log-odds, squashed context] (d,); return the log-odds."""
    odds = logit(min(max(risk, 1e-9), 1.0 - 1e-9)) if risk == risk else 0.0
    phi[0], phi[1] = 1.0, odds
    for j in range(len(context)):
        phi[2 + j] = squash(context[j])
    return odds


@compiled
def spread(phi: Float, covariance: Float) -> float:
    """The variance phi' S phi, never negative."""
    total = 0.0
    for j in range(len(phi)):
        row = 0.0
        for k in range(len(phi)):
            row += covariance[j, k] * phi[k]
        total += phi[j] * row
    return max(total, 0.0)


@compiled
def arm_features(phi: Float, cost: float, psi: Float) -> float:
    """Write psi = [1 / scale, 1, context]; return the scale 1 + |cost|: a fee and a factor are both linear in psi."""
    scale = 1.0 + abs(cost)
    psi[0], psi[1] = 1.0 / scale, 1.0
    for j in range(2, len(phi)):
        psi[j] = phi[j]
    return scale


@compiled
def update(mean: Float, covariance: Float, prior: Float, x: Float, error: float, noise: float, keep: float) -> None:
    """One step of Bayesian linear regression, forgetting a little (recursive least squares).

    error : observed minus predicted; noise : its variance
    keep : the covariance grows by 1 / keep first, but never above the prior's, so that it can't wind up
    """
    d = len(x)
    if keep < 1.0:
        for j in range(d):
            for k in range(d):
                covariance[j, k] /= keep
        for j in range(d):
            if covariance[j, j] > prior[j]:
                shrink = math.sqrt(prior[j] / covariance[j, j])
                for k in range(d):
                    covariance[j, k] *= shrink
                    covariance[k, j] *= shrink
    gain = np.empty(d)
    total = noise
    for j in range(d):
        row = 0.0
        for k in range(d):
            row += covariance[j, k] * x[k]
        gain[j] = row
        total += x[j] * row
    for j in range(d):
        mean[j] += gain[j] * error / total
    for j in range(d):
        for k in range(j + 1):
            value = covariance[j, k] - gain[j] * gain[k] / total
            covariance[j, k] = value
            covariance[k, j] = value


@compiled
def learn_rows(lessons: Lessons, learned: Learned, prior: Prior) -> None:
    """Learn from outcomes in order. Where the outcome was hidden there is nothing to learn: rows that chance let
    through stand in for those, weighted by 1 / propensity, at most `weight_max`.
    """
    mean, arm_mean = learned.mean, learned.arm_mean
    d = len(mean)
    phi, psi = np.empty(d), np.empty(d)
    for i in range(len(lessons.risk)):
        label = lessons.label[i]
        if lessons.censored[i] or not (label == 0.0 or label == 1.0):
            continue
        odds = describe(lessons.risk[i], lessons.context[i], phi)
        for j in range(d):
            odds += mean[j] * phi[j]
        q = sigmoid(odds)
        weight = min(prior.weight_max, 1.0 / max(lessons.propensity[i], 1e-9))
        curvature = max(q * (1.0 - q), 1e-6) * weight
        # A step of the extended Kalman filter of logistic regression.
        error = (label - q) * weight / curvature
        update(mean, learned.covariance, prior.variance, phi, error, 1.0 / curvature, prior.keep)
        realised = lessons.realised[i]
        if realised == realised:
            a, y = lessons.action[i], int(label)
            scale = arm_features(phi, lessons.cost[i, a], psi)
            error = min(max((realised - lessons.cost[i, a]) / scale, -10.0), 10.0)
            for j in range(d):
                error -= arm_mean[a, y, j] * psi[j]
            covariance = learned.arm_covariance[a, y]
            update(arm_mean[a, y], covariance, prior.arm_variance, psi, error, prior.arm_noise, prior.keep)


@compiled
def _corrected(phi: Float, cost: float, mean: Float, covariance: Float, psi: Float) -> tuple[float, float]:
    """A declared cost as it turned out to be, and the variance of that."""
    scale = arm_features(phi, cost, psi)
    shift = 0.0
    for j in range(len(psi)):
        shift += mean[j] * psi[j]
    return cost + scale * shift, scale * scale * spread(psi, covariance)


@compiled
def _optimist(estimate: Float, dread: Float, alpha: float, explore: Float) -> None:
    """LinUCB: the action whose lower confidence bound of the cost is lowest."""
    best = 0
    for a in range(len(estimate)):
        explore[a] = 0.0
        if estimate[a] - alpha * dread[a] < estimate[best] - alpha * dread[best]:
            best = a
    explore[best] = 1.0


@compiled
def _posterior(odds: float, width: float, c1: Float, c0: Float, v1: Float, v0: Float, z: Float, explore: Float) -> None:
    """Thompson: how often each action is the cheapest over the fixed draws `z` (m, 1 + actions) of the posterior."""
    actions = len(c1)
    explore[:] = 0.0
    for m in range(len(z)):
        q = sigmoid(odds + width * z[m, 0])
        best, least = 0, math.inf
        for a in range(actions):
            noise = math.sqrt(q * q * v1[a] + (1.0 - q) * (1.0 - q) * v0[a])
            drawn = q * c1[a] + (1.0 - q) * c0[a] + noise * z[m, 1 + a]
            if drawn < least:
                best, least = a, drawn
        explore[best] += 1.0 / len(z)


@compiled
def propose_rows(
    asked: Asked, learned: Learned, exploration: Exploration, exploring: Exploring, out: Chosen, estimates: Float
) -> None:
    """Propose for each event in order; writes `out`, and into estimates (n, actions) what each action should cost."""
    mean, plan, account = learned.mean, exploring.plan, exploring.account
    arm_mean, arm_covariance, alpha = learned.arm_mean, learned.arm_covariance, exploration.alpha
    actions, d = asked.positive.shape[1], len(mean)
    phi, psi = np.empty(d), np.empty(d)
    c1, c0, v1, v0 = np.empty(actions), np.empty(actions), np.empty(actions), np.empty(actions)
    estimate, dread, explore, feared = np.empty(actions), np.empty(actions), np.empty(actions), np.empty(actions)
    for i in range(len(asked.risk)):
        open_period(account, asked.time_ns[i], plan[PERIOD_NS])
        odds = describe(asked.risk[i], asked.context[i], phi)
        for j in range(d):
            odds += mean[j] * phi[j]
        q = sigmoid(odds)
        width = math.sqrt(spread(phi, learned.covariance))
        greedy = 0
        for a in range(actions):
            c1[a], v1[a] = _corrected(phi, asked.positive[i, a], arm_mean[a, 1], arm_covariance[a, 1], psi)
            c0[a], v0[a] = _corrected(phi, asked.negative[i, a], arm_mean[a, 0], arm_covariance[a, 0], psi)
            value = q * c1[a] + (1.0 - q) * c0[a]
            estimate[a] = value if value == value else math.inf
            estimates[i, a] = estimate[a]
            slope = (c1[a] - c0[a]) * q * (1.0 - q) * width
            dread[a] = math.sqrt(slope * slope + q * q * v1[a] + (1.0 - q) * (1.0 - q) * v0[a])
            if estimate[a] < estimate[greedy]:
                greedy = a
        for a in range(actions):
            feared[a] = estimate[a] + alpha * dread[a] if a != greedy else estimate[a]
        explore[:] = 0.0
        explore[greedy] = 1.0
        if plan[RATE] > 0.0 and account[SPENT] < budget_of(plan, account):
            if exploration.algorithm == THOMPSON:
                _posterior(odds, width, c1, c0, v1, v0, exploration.z, explore)
            else:
                _optimist(estimate, dread, alpha, explore)
        out.action[i], out.explored[i] = decide_row(
            greedy, explore, feared, exploring, asked.chance[i], out.propensity[i]
        )

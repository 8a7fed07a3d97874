"""The bandit's arithmetic, one event after the other, so that batches can't change a bit."""

from __future__ import annotations

import math

import numpy as np

from homeostat.decide.policy.exploration import decide_row, open_period
from homeostat.records.arrays import Bytes, Float, Int, Small
from homeostat.records.compiled import compiled
from homeostat.stats.elementary import log, logit, sigmoid

LINUCB, THOMPSON = 0, 1


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
def learn_rows(
    context: Float, risk: Float, action: Small, propensity: Float, label: Float, cost: Float, censored: Bytes,
    realised: Float, mean: Float, covariance: Float, prior: Float, arm_mean: Float, arm_covariance: Float,
    arm_prior: Float, keep: float, weight_max: float, arm_noise: float,
) -> None:  # fmt: skip
    """Learn from outcomes in order. Where the outcome was hidden there is nothing to learn: rows that chance let
    through stand in for those, weighted by 1 / propensity, at most `weight_max`.
    """
    d = len(mean)
    phi, psi = np.empty(d), np.empty(d)
    for i in range(len(risk)):
        if censored[i] or not (label[i] == 0.0 or label[i] == 1.0):
            continue
        odds = describe(risk[i], context[i], phi)
        for j in range(d):
            odds += mean[j] * phi[j]
        q = sigmoid(odds)
        weight = min(weight_max, 1.0 / max(propensity[i], 1e-9))
        curvature = max(q * (1.0 - q), 1e-6) * weight
        # A step of the extended Kalman filter of logistic regression.
        error = (label[i] - q) * weight / curvature
        update(mean, covariance, prior, phi, error, 1.0 / curvature, keep)
        if realised[i] == realised[i]:
            a, y = action[i], int(label[i])
            scale = arm_features(phi, cost[i, a], psi)
            error = min(max((realised[i] - cost[i, a]) / scale, -10.0), 10.0)
            for j in range(d):
                error -= arm_mean[a, y, j] * psi[j]
            update(arm_mean[a, y], arm_covariance[a, y], arm_prior, psi, error, arm_noise, keep)


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
    risk: Float, context: Float, time_ns: Int, positive: Float, negative: Float, mean: Float, covariance: Float,
    arm_mean: Float, arm_covariance: Float, algorithm: int, alpha: float, z: Float, plan: Float, account: Float,
    censoring: Bytes, instead: int, chance: Float, propensity: Float, action: Small, explored: Bytes,
    estimates: Float,
) -> None:  # fmt: skip
    """Propose for each event in order; writes propensity, action, explored and estimates (n, actions)."""
    actions, d = positive.shape[1], len(mean)
    phi, psi = np.empty(d), np.empty(d)
    c1, c0, v1, v0 = np.empty(actions), np.empty(actions), np.empty(actions), np.empty(actions)
    estimate, dread, explore, feared = np.empty(actions), np.empty(actions), np.empty(actions), np.empty(actions)
    for i in range(len(risk)):
        open_period(account, time_ns[i], plan[2])
        odds = describe(risk[i], context[i], phi)
        for j in range(d):
            odds += mean[j] * phi[j]
        q = sigmoid(odds)
        width = math.sqrt(spread(phi, covariance))
        greedy = 0
        for a in range(actions):
            c1[a], v1[a] = _corrected(phi, positive[i, a], arm_mean[a, 1], arm_covariance[a, 1], psi)
            c0[a], v0[a] = _corrected(phi, negative[i, a], arm_mean[a, 0], arm_covariance[a, 0], psi)
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
        if plan[0] > 0.0 and account[0] < plan[1]:
            if algorithm == THOMPSON:
                _posterior(odds, width, c1, c0, v1, v0, z, explore)
            else:
                _optimist(estimate, dread, alpha, explore)
        action[i], explored[i] = decide_row(
            greedy, explore, feared, plan, account, censoring, instead, chance[i], propensity[i]
        )

"""The earnings or costs of another policy, estimated from the decisions of the one that ran.

Sources: Horvitz, Thompson (1952) for IPS; Swaminathan, Joachims (2015), The self-normalized estimator, NIPS; Dudík,
Langford, Li (2011), Doubly robust policy evaluation and learning, ICML; Kish (1965) for the effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.stats.intervals import Interval, bootstrap_interval, normal_interval

EFFECTIVE_MIN = 100.0  # Below this a normal interval of a weighted mean is not worth its name.


@dataclass(frozen=True, slots=True)
class Logged:
    """`n` decisions of the policy that ran.

    action : (n,) taken
    propensity : (n,) that of the action taken, above 0
    reward : (n,) what came of it; a cost with its sign turned
    """

    action: Int
    propensity: Float
    reward: Float

    def __post_init__(self) -> None:
        if not len(self.action) == len(self.propensity) == len(self.reward) > 0:
            raise ValueError("logged decisions need as many actions as propensities and rewards, and at least one")
        if not (np.asarray(self.propensity) > 0).all():
            raise ValueError("a logged action with propensity 0 can't have been taken")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A policy's mean reward.

    effective : how many equally weighted decisions the weighted ones are worth
    trusted : whether `effective` reaches the floor; where it does not, nothing may be promoted on this
    """

    value: float
    interval: Interval
    effective: float
    trusted: bool

    def lower_bound(self) -> float:
        """The interval's lower bound; minus infinity where the estimate is not trusted."""
        return self.interval.low if self.trusted else -np.inf


def weights(logged: Logged, target: Float, weight_max: float = np.inf) -> Float:
    """(n,) how much likelier the target policy was to take the logged action than the one that ran.

    target : (n, actions) propensities of the target policy
    weight_max : larger weights are cut, which biases towards 0 and tames the variance

    >>> weights(Logged(np.array([1]), np.array([0.5]), np.array([1.0])), np.array([[0.1, 0.9]])).tolist()
    [1.8]
    """
    taken: Float = target[np.arange(len(logged.action)), logged.action]
    return np.minimum(taken / logged.propensity, weight_max)


def effective_size(weight: Float) -> float:
    """(sum w)^2 / sum w^2; 0 where all weights are 0.

    >>> effective_size(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    square = float((weight**2).sum())
    return float(weight.sum()) ** 2 / square if square > 0 else 0.0


def _estimate(terms: Float, weight: Float, level: float, floor: float) -> Estimate:
    interval = normal_interval(terms, level)
    effective = effective_size(weight)
    return Estimate(interval.estimate, interval, effective, effective >= floor)


def ips(
    logged: Logged, target: Float, level: float = 0.95, weight_max: float = np.inf, floor: float = EFFECTIVE_MIN
) -> Estimate:
    """Inverse propensity scoring: unbiased where every action of the target had a chance."""
    weight = weights(logged, target, weight_max)
    return _estimate(weight * logged.reward, weight, level, floor)


def snips(
    logged: Logged, target: Float, level: float = 0.95, weight_max: float = np.inf, floor: float = EFFECTIVE_MIN
) -> Estimate:
    """Self-normalised IPS: divided by the weights' sum, so never outside of the rewards' range. The interval is by
    the delta method.
    """
    weight = weights(logged, target, weight_max)
    mean = float(weight.mean())
    if mean == 0.0:
        return Estimate(np.nan, Interval(np.nan, -np.inf, np.inf, level), 0.0, False)
    value = float((weight * logged.reward).mean()) / mean
    return _estimate(value + weight * (logged.reward - value) / mean, weight, level, floor)


def direct(logged: Logged, target: Float, predicted: Float, level: float = 0.95) -> Estimate:
    """The direct method: a model's rewards (n, actions) under the target. As biased as the model: never trusted."""
    terms = (target * predicted).sum(axis=1)
    return Estimate(float(terms.mean()), normal_interval(terms, level), float(len(terms)), False)


def doubly_robust(
    logged: Logged, target: Float, predicted: Float, level: float = 0.95, weight_max: float = np.inf,
    floor: float = EFFECTIVE_MIN,
) -> Estimate:  # fmt: skip
    """The direct method, corrected by IPS of what the model got wrong: unbiased if either of the two is right.

    predicted : (n, actions) a model's rewards; not fitted on the same rows, or the interval is too narrow
    """
    weight = weights(logged, target, weight_max)
    rows = np.arange(len(logged.action))
    terms = (target * predicted).sum(axis=1) + weight * (logged.reward - predicted[rows, logged.action])
    return _estimate(terms, weight, level, floor)


def beats(
    logged: Logged, target: Float, predicted: Float, seed: int, level: float = 0.95, floor: float = EFFECTIVE_MIN
) -> tuple[bool, Interval]:
    """Whether the target's lower bound (doubly robust, bootstrap) of its gain over the policy that ran is above 0.

    Returns that, and the interval of the gain per decision; never True below the floor of the effective sample size.
    """
    weight = weights(logged, target)
    rows = np.arange(len(logged.action))
    terms = (target * predicted).sum(axis=1) + weight * (logged.reward - predicted[rows, logged.action])
    gain = bootstrap_interval(terms - logged.reward, seed, level, resamples=2_000)
    return effective_size(weight) >= floor and gain.low > 0.0, gain

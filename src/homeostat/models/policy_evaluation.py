"""The earnings or costs of another policy, estimated from the decisions of the one that ran.

Sources: Horvitz, Thompson (1952) for IPS; Swaminathan, Joachims (2015), The self-normalized estimator, NIPS; Dudík,
Langford, Li (2011), Doubly robust policy evaluation and learning, ICML; Kish (1965) for the effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.stats.intervals import Interval, bootstrap_interval, normal_interval
from homeostat.stats.intervals import lower_bound as mean_lower_bound

_LIMITS = 24  # Candidates for the largest weight that counts.
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


@dataclass(frozen=True, slots=True)
class LowerBound:
    """A value that a policy's mean reward exceeds, with the stated confidence.

    value : minus infinity where the bound is not trusted
    weight_max : the largest weight that counts; share : of the target's choices, those whose weight is not larger
    effective : how many equally weighted decisions the weighted ones are worth
    """

    value: float
    weight_max: float
    share: float
    effective: float
    trusted: bool


def lower_bound(
    logged: Logged, target: Float, predicted: Float, propensities: Float, *, reward_min: float,
    confidence: float = 0.95, floor: float = EFFECTIVE_MIN,
) -> LowerBound:  # fmt: skip
    """A lower bound of the target's mean reward: doubly robust where weights are moderate, the least reward elsewhere.

    A normal interval fails where few decisions have large weights, and worst where the largest were never drawn. So
    choices of a weight above `weight_max` count as if they brought the least reward. That lowers the expectation, never
    raises it, and bounds each term. `weight_max` follows from the policies alone, not from what was drawn.

    propensities : (n, actions) those of the policy that ran
    predicted : (n, actions) a model's rewards; not fitted on the same rows
    reward_min : no reward is below
    Sources: Dudik, Langford, Li (2011); Ionides (2008), Truncated importance sampling, JCGS 17, 295-311.

    >>> even = np.full((400, 2), 0.5)
    >>> logged = Logged(np.arange(400) % 2, np.full(400, 0.5), np.arange(400) % 2 * 1.0)
    >>> round(lower_bound(logged, even[:, ::-1] * [0.2, 1.8], np.full((400, 2), 0.5), even, reward_min=0.0).value, 3)
    0.859
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(target > 0.0, target / propensities, 0.0)
    weight_max = _moderate(weight, target, confidence)
    counts = weight <= weight_max
    rows, gain = np.arange(len(logged.action)), np.clip(predicted - reward_min, 0.0, None)
    taken = np.where(counts, weight, 0.0)[rows, logged.action]
    terms = np.where(counts, target * gain, 0.0).sum(axis=1)
    terms = terms + taken * (logged.reward - reward_min - gain[rows, logged.action])
    effective = effective_size(taken)
    trusted = effective >= floor
    value = reward_min + mean_lower_bound(terms, confidence) if trusted else -np.inf
    return LowerBound(value, weight_max, float(np.where(counts, target, 0.0).sum(axis=1).mean()), effective, trusted)


def _moderate(weight: Float, target: Float, confidence: float) -> float:
    """The largest weight that shall count: where half the interval and the share that is lost are least together."""
    n = len(weight)
    z = NormalDist().inv_cdf(confidence)
    least, found = np.inf, 1.0
    for limit in np.geomspace(1.0, 2.0 * np.sqrt(n), _LIMITS):
        counts = weight <= limit
        square = float(np.where(counts, target * weight, 0.0).sum(axis=1).mean())
        lost = 1.0 - float(np.where(counts, target, 0.0).sum(axis=1).mean())
        together = z * float(np.sqrt(square / n)) + lost
        if together < least:
            least, found = together, float(limit)
    return found


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

"""A contextual bandit on costs that starts as the cost-optimal thresholds and learns where those are wrong.

What an action costs is q(x) c(action, positive) + (1 - q(x)) c(action, negative). Two linear models with Gaussian
posteriors correct what the thresholds assume. One moves the risk's log-odds by the context (logistic regression, one
step of an extended Kalman filter for each outcome): it learns from every visible outcome, whichever action was taken.
The other, for each action and label, moves the declared cost to what it turned out to be: a factor, a fee, and the
context. With nothing learned both are zero, and the policy is the thresholds.

Exploration is by LinUCB (the action with the lowest lower bound of its cost) or by Thompson sampling (over fixed
quasi-random draws of the posterior, so that propensities are exact), in at most `rate` of the events and within the
harm budget of `exploration`.

Sources: Li, Chu, Langford, Schapire (2010), A contextual-bandit approach to personalized news article recommendation,
WWW (shared and per-arm parameters); Agrawal, Goyal (2013), Thompson sampling for contextual bandits with linear
payoffs, ICML; Chapelle, Li (2011), An empirical evaluation of Thompson sampling, NIPS (the logistic case).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.policy import bandit_kernel as kernel
from homeostat.decide.policy.exploration import ExplorationPlan, new_account
from homeostat.decide.policy.thresholds import CostFunction
from homeostat.records.arrays import Float, State
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

_DRAWS = 64
_FIXED = 6  # Columns of a waiting outcome before its context: risk, action, propensity, label, censored, realised.


@dataclass(frozen=True, slots=True)
class BanditSettings:
    """How the bandit learns.

    alpha : LinUCB's width, in standard deviations
    prior_shift, prior_slope, prior_context : standard deviations of the risk's corrections, in log-odds
    prior_cost : standard deviation of the costs' corrections, as a share of 1 + |cost|
    cost_noise : variance of a realised cost about its mean, in the same unit squared
    memory : outcomes after which half of what was learned is forgotten
    weight_max : bound of the importance weights 1 / propensity
    maturity_ns : age at which good and bad outcomes are both known. Frauds are reported within days, and only silence
        until the end says that all was well: who learned from each outcome as it came would first see frauds alone.
    """

    alpha: float = 1.0
    prior_shift: float = 1.0
    prior_slope: float = 0.2
    prior_context: float = 0.5
    prior_cost: float = 0.3
    cost_noise: float = 1.0
    memory: float = 1_000_000.0
    weight_max: float = 5.0
    maturity_ns: int = 0


def quasi_normals(count: int, dimensions: int) -> Float:
    """(count, dimensions) standard normal numbers, evenly spread: a Kronecker sequence through the inverse normal.

    Source: Roberts (2018), The unreasonable effectiveness of quasirandom sequences (the generalised golden ratio).
    """
    ratio = 2.0
    for _ in range(40):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    normal = NormalDist()
    return np.array([
        [normal.inv_cdf((0.5 + (m + 1) * ratio ** -(j + 1)) % 1.0) for j in range(dimensions)] for m in range(count)
    ])  # fmt: skip


class BanditPolicy:
    """See the module. The context's columns are the features named, in that order, also in `Experience.context`."""

    def __init__(
        self,
        costs: CostFunction,
        censoring: Sequence[bool],
        context: Sequence[str] = (),
        algorithm: Literal["linucb", "thompson"] = "thompson",
        exploration: ExplorationPlan | None = None,
        settings: BanditSettings | None = None,
    ) -> None:
        self._costs = costs
        self._context = tuple(context)
        self._settings = settings or BanditSettings()
        self._algorithm = {"linucb": kernel.LINUCB, "thompson": kernel.THOMPSON}[algorithm]
        self._plan = (exploration or ExplorationPlan()).settings()
        self._censoring = np.asarray(censoring, dtype=np.uint8)
        visible = np.flatnonzero(self._censoring == 0)
        self._instead = int(visible[0]) if len(visible) else -1
        self._columns: tuple[tuple[str, ...], list[int]] = ((), [])
        self._z = quasi_normals(_DRAWS, 1 + len(censoring))
        actions, d, s = len(censoring), 2 + len(self._context), self._settings
        self._prior = np.array([s.prior_shift, s.prior_slope] + [s.prior_context] * len(self._context)) ** 2
        self._arm_prior = np.full(d, s.prior_cost**2)
        self._arm_prior[0] *= 100.0  # A fee counts in currency, not as a share of the cost.
        self._keep = 0.5 ** (1.0 / s.memory)
        self._mean = np.zeros(d)
        self._covariance = np.diag(self._prior)
        self._arm_mean = np.zeros((actions, 2, d))
        self._arm_covariance = np.tile(np.diag(self._arm_prior), (actions, 2, 1, 1))
        self._account = new_account()
        self._newest_ns = -(1 << 63)
        self._waiting = np.empty((0, _FIXED + d - 2 + actions))
        self._waiting_ns = np.empty(0, dtype=np.int64)

    def _seen(self, features: Features) -> Float:
        """(n, c) the context; raises KeyError where a feature is not served."""
        if self._columns[0] != features.names:
            missing = [name for name in self._context if name not in features.names]
            if missing:
                raise KeyError(f"the policy's context names features that are not served: {', '.join(missing)}")
            self._columns = (features.names, [features.names.index(name) for name in self._context])
        return np.ascontiguousarray(features.values[:, self._columns[1]])

    def propose(self, fused: Fused, events: EventBatch, features: Features, chance: Float) -> Proposal:
        """Propose for `n` events; `chance` (n, 2): the first column draws the action, the second the hold-out."""
        return self.propose_with_estimates(fused, events, features, chance)[0]

    def propose_with_estimates(
        self, fused: Fused, events: EventBatch, features: Features, chance: Float
    ) -> tuple[Proposal, Float]:
        """As `propose`, and (n, actions) what it expects each action to cost."""
        positive, negative = self._costs(events, features)
        n, actions = positive.shape
        if n:
            self._newest_ns = max(self._newest_ns, int(events.reach.max()))
        propensity, estimates = np.zeros((n, actions)), np.zeros((n, actions))
        action, explored = np.zeros(n, dtype=np.int16), np.zeros(n, dtype=np.uint8)
        kernel.propose_rows(
            fused.risk, self._seen(features), events.reach, positive, negative, self._mean, self._covariance,
            self._arm_mean, self._arm_covariance, self._algorithm, self._settings.alpha, self._z, self._plan,
            self._account, self._censoring, self._instead, np.ascontiguousarray(chance), propensity, action, explored,
            estimates,
        )  # fmt: skip
        return Proposal(action, propensity, explored, np.zeros(n, dtype=np.uint8)), estimates

    def learn(self, experience: Experience) -> None:
        """Learn from visible outcomes, and from what they realised where that is known, once they have matured."""
        realised = experience.realised
        fixed: list[NDArray[Any]] = [
            experience.risk, experience.action, experience.propensity, experience.label, experience.censored,
            np.full(len(experience), np.nan) if realised is None else realised,
        ]  # fmt: skip
        rows: Float = np.column_stack([*fixed, experience.context[:, : len(self._context)], experience.cost])
        rows = np.concatenate([self._waiting, rows])
        time_ns = np.concatenate([self._waiting_ns, experience.time_ns])
        wait_ns = self._settings.maturity_ns
        ripe = time_ns <= (self._newest_ns - wait_ns if wait_ns else np.iinfo(np.int64).max)
        self._waiting, self._waiting_ns = rows[~ripe], time_ns[~ripe]
        order = np.argsort(time_ns[ripe], kind="stable")
        self._learn_now(np.ascontiguousarray(rows[ripe][order]))

    def _learn_now(self, rows: Float) -> None:
        first_cost = _FIXED + len(self._context)
        kernel.learn_rows(
            np.ascontiguousarray(rows[:, _FIXED:first_cost]), rows[:, 0].copy(), rows[:, 1].astype(np.int16),
            rows[:, 2].copy(), rows[:, 3].copy(), np.ascontiguousarray(rows[:, first_cost:]),
            rows[:, 4].astype(np.uint8), rows[:, 5].copy(), self._mean, self._covariance, self._prior, self._arm_mean,
            self._arm_covariance, self._arm_prior, self._keep, self._settings.weight_max, self._settings.cost_noise,
        )  # fmt: skip

    @property
    def account(self) -> Float:
        """What exploration was charged: see `exploration.new_account`."""
        return self._account.copy()

    def state(self) -> State:
        """All that was learned and spent."""
        return {
            "mean": self._mean.copy(), "covariance": self._covariance.copy(), "arm_mean": self._arm_mean.copy(),
            "arm_covariance": self._arm_covariance.copy(), "account": self._account.copy(),
            "waiting": self._waiting.copy(), "waiting_ns": self._waiting_ns.copy(),
            "newest_ns": np.array([self._newest_ns], dtype=np.int64),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Continue from `state()`; raises ValueError where it is of another context or other actions."""
        for name in ("mean", "arm_mean"):
            here = self._mean if name == "mean" else self._arm_mean
            if np.shape(state[name]) != here.shape:
                raise ValueError(f"the bandit's {name} is {np.shape(state[name])} in the state, here {here.shape}")
        self._mean, self._covariance, self._arm_mean, self._arm_covariance, self._account, self._waiting = (
            np.array(state[name], dtype=np.float64)
            for name in ("mean", "covariance", "arm_mean", "arm_covariance", "account", "waiting")
        )
        self._waiting_ns = np.array(state["waiting_ns"], dtype=np.int64)
        self._newest_ns = int(np.asarray(state["newest_ns"], dtype=np.int64)[0])

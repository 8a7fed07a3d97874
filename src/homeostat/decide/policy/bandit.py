"""A contextual bandit on costs that starts as the cost-optimal thresholds and learns where those are wrong.

An action costs q(x) c(action, positive) + (1 - q(x)) c(action, negative). Two linear models with Gaussian
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
from homeostat.decide.policy.exploration import Chosen, ExplorationPlan, allow, exploring_of
from homeostat.decide.policy.thresholds import CostFunction
from homeostat.records.allowance import Allowance
from homeostat.records.arrays import Float, State
from homeostat.records.decisions import Experience, Fused, Proposal
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

_DRAWS = 64
# Columns of a waiting outcome; its context and its costs follow.
_RISK, _ACTION, _PROPENSITY, _LABEL, _CENSORED, _REALISED, _FIXED = range(7)


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
        self._exploring = exploring_of(exploration, censoring)
        chosen = {"linucb": kernel.LINUCB, "thompson": kernel.THOMPSON}[algorithm]
        draws = quasi_normals(_DRAWS, 1 + len(censoring))
        self._exploration = kernel.Exploration(chosen, float(self._settings.alpha), draws)
        self._columns: tuple[tuple[str, ...], list[int]] = ((), [])
        actions, d, s = len(censoring), 2 + len(self._context), self._settings
        variance = np.array([s.prior_shift, s.prior_slope] + [s.prior_context] * len(self._context)) ** 2
        arm_variance = np.full(d, s.prior_cost**2)
        arm_variance[0] *= 100.0  # A fee counts in currency, not as a share of the cost.
        self._prior = kernel.Prior(
            variance, arm_variance, 0.5 ** (1.0 / s.memory), float(s.weight_max), float(s.cost_noise)
        )
        self._learned = kernel.Learned(
            np.zeros(d), np.diag(variance).copy(), np.zeros((actions, 2, d)),
            np.tile(np.diag(arm_variance), (actions, 2, 1, 1)),
        )  # fmt: skip
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
        out, estimates = Chosen.room(n, actions), np.zeros((n, actions))
        asked = kernel.Asked(
            fused.risk, self._seen(features), events.reach, positive, negative, np.ascontiguousarray(chance)
        )
        kernel.propose_rows(asked, self._learned, self._exploration, self._exploring, out, estimates)
        return Proposal(out.action, out.propensity, out.explored, np.zeros(n, dtype=np.uint8)), estimates

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
        lessons = kernel.Lessons(
            context=np.ascontiguousarray(rows[:, _FIXED:first_cost]), risk=rows[:, _RISK].copy(),
            action=rows[:, _ACTION].astype(np.int16), propensity=rows[:, _PROPENSITY].copy(),
            label=rows[:, _LABEL].copy(), cost=np.ascontiguousarray(rows[:, first_cost:]),
            censored=rows[:, _CENSORED].astype(np.uint8), realised=rows[:, _REALISED].copy(),
        )  # fmt: skip
        kernel.learn_rows(lessons, self._learned, self._prior)

    @property
    def account(self) -> Float:
        """The charges for exploration: see `exploration.new_account`."""
        return self._exploring.account.copy()

    def allow(self, allowance: Allowance) -> None:
        """See `contracts.Explorer`."""
        allow(self._exploring, allowance)

    def learned(self) -> State:
        """The belief about the risk's and the costs' corrections: see `bandit_kernel.Learned`."""
        return {name: array.copy() for name, array in self._learned._asdict().items()}

    def take(self, learned: State) -> None:
        """Go on with another one's belief. Raises ValueError where it is of another context or other actions."""
        if learned.keys() != set(self._learned._fields):
            raise ValueError("the learned state is not of a bandit")
        for name, here in self._learned._asdict().items():
            if np.shape(learned[name]) != here.shape:
                raise ValueError(f"the learned state is of another context or other actions: {name}")
        self._learned = kernel.Learned(**{name: np.array(array, np.float64) for name, array in learned.items()})

    def state(self) -> State:
        """All that was learned and spent."""
        return {
            **self.learned(), "account": self._exploring.account.copy(), "waiting": self._waiting.copy(),
            "waiting_ns": self._waiting_ns.copy(), "newest_ns": np.array([self._newest_ns], dtype=np.int64),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Continue from `state()`; raises ValueError where it is of another context or other actions."""
        for name, here in (("mean", self._learned.mean), ("arm_mean", self._learned.arm_mean)):
            if np.shape(state[name]) != here.shape:
                raise ValueError(f"the bandit's {name} is {np.shape(state[name])} in the state, here {here.shape}")
        names = kernel.Learned._fields
        self._learned = kernel.Learned(*(np.array(state[name], dtype=np.float64) for name in names))
        self._exploring = self._exploring._replace(account=np.array(state["account"], dtype=np.float64))
        self._waiting = np.array(state["waiting"], dtype=np.float64)
        self._waiting_ns = np.array(state["waiting_ns"], dtype=np.int64)
        self._newest_ns = int(np.asarray(state["newest_ns"], dtype=np.int64)[0])

"""Choosing what the next trial tries: the same for the same seed, however often a study is resumed.

A sampler is made for each trial, seeded by the trial's slot. So a resumed study goes on as it would have without the
break, and two processes never draw the same. The first slot tries the settings of the app file.

CMA-ES is the package `cmaes`, which Optuna's own sampler uses too; that one keeps its state as a pickle in the storage.
A pickle runs code when it is read, and others may write there. Here the state is made from the results: numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from homeostat.errors import needs
from homeostat.models.tuning.space import Dimension, grid_point

with needs("tune", "tuning"):
    import cmaes
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

STARTUP = 10
"""Trials by chance before TPE begins to learn from them."""
_SIGMA = 0.25  # CMA-ES begins within a quarter of each range around the hand-made settings.

Slot = Callable[[Study, FrozenTrial], int]


class BySlot(BaseSampler):
    """See the module.

    kind : tpe, random, cmaes or grid
    slot : the slot of a trial
    """

    def __init__(self, kind: str, space: Sequence[Dimension], seed: int, slot: Slot) -> None:
        self._kind, self._space, self._seed, self._slot = kind, list(space), seed, slot
        self._ranges = [dimension for dimension in self._space if dimension.choices is None]
        self._inner: BaseSampler = optuna.samplers.RandomSampler(seed=seed)
        self._point: Mapping[str, Any] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the sampler of this trial."""
        slot = self._slot(study, trial)
        seed = int(np.random.SeedSequence([self._seed, slot]).generate_state(1)[0])
        self._inner, self._point = optuna.samplers.RandomSampler(seed=seed), {}
        if slot == 0:
            self._point = {dimension.name: dimension.hand for dimension in self._space}
        elif self._kind == "grid":
            self._point = self._grid(slot)
        elif self._kind == "cmaes" and self._ranges:
            self._point = self._evolved(study, seed)
        elif self._kind == "tpe":
            self._inner = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=STARTUP, multivariate=True, constant_liar=True,
                warn_independent_sampling=False, constraints_func=excess_of,
            )  # fmt: skip

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The settings that are chosen together."""
        return {} if self._point else self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Their values."""
        return self._inner.sample_relative(study, trial, search_space) if search_space else {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of one setting that was not chosen with the others."""
        if param_name in self._point:
            return self._point[param_name]
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Let the sampler keep what it learns of a trial's constraints."""
        self._inner.after_trial(study, trial, state, values)

    def _grid(self, slot: int) -> dict[str, Any]:
        """The point of a slot; the hand-made one, which the first slot has, is passed over."""
        hand = {dimension.name: dimension.hand for dimension in self._space}
        number, points = 0, 0
        while points < slot:
            points += grid_point(self._space, number, self._seed) != hand
            number += 1
        return grid_point(self._space, number - 1, self._seed)

    def _evolved(self, study: Study, seed: int) -> dict[str, Any]:
        """The next point of CMA-ES, after all whole generations of results so far."""
        higher = study.direction == optuna.study.StudyDirection.MAXIMIZE
        done = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
                if trial.value is not None and all(one.name in trial.params for one in self._ranges)]  # fmt: skip
        results = []
        for trial in done:
            x = np.array([one.unit(trial.params[one.name]) for one in self._ranges])
            broken = sum(max(0.0, one) for one in excess_of(trial))
            results.append((x, (-1.0 if higher else 1.0) * float(trial.value or 0.0) + 1e3 * broken))
        mean = np.clip([one.unit(float(one.hand)) for one in self._ranges], 0.0, 1.0)
        bounds = np.tile([0.0, 1.0], (len(self._ranges), 1))
        evolution = cmaes.CMA(mean=mean, sigma=_SIGMA, bounds=bounds, seed=seed % 2**31)
        size = evolution.population_size
        for start in range(0, len(results) - size + 1, size):
            evolution.tell(results[start : start + size])
        return {one.name: one.at(float(x)) for one, x in zip(self._ranges, evolution.ask(), strict=True)}


def excess_of(trial: FrozenTrial) -> tuple[float, ...]:
    """How far each constraint is broken."""
    return tuple(float(one) for one in trial.user_attrs.get("excess", ()))

"""The payments workload as a Gymnasium environment; needs `homeostat[train]`."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.errors import needs
from homeostat.records.arrays import Bytes, Float
from homeostat.sim.payments.episodes import Episodes, Pool
from homeostat.sim.payments.world import Response

with needs("train", "the training environment"):
    import gymnasium

_BOUND = 100.0  # Observations lie within about 3.


class PaymentsEnv(gymnasium.Env):  # type: ignore[misc]  # Gymnasium is not typed here.
    """One entity's payments an episode. Observation: `decide.policy.observation`; action: allow, challenge, block;
    reward: minus the cost, in the episode's unit.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form.

    def __init__(self, pool: Pool, seed: int = 0, response: Response | None = None) -> None:
        self._make = (pool, response)
        self._episodes = Episodes(pool, seed, response)
        size = self._episodes.observations.shape[1]
        self.observation_space = gymnasium.spaces.Box(-_BOUND, _BOUND, (size,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Float, dict[str, Any]]:
        """Begin another entity; a seed begins the world again."""
        super().reset(seed=seed)
        if seed is not None:
            self._episodes = Episodes(self._make[0], seed, self._make[1])
        return self._episodes.begin()[0].astype(np.float32), {}

    def step(self, action: int) -> tuple[Float, float, bool, bool, dict[str, Any]]:
        """The result of the action."""
        cost, ended = self._episodes.step(np.array([action]))
        return self._episodes.seen()[0].astype(np.float32), -float(cost[0]), bool(ended[0]), False, {}


def many_environments(pool: Pool, seed: int, count: int, response: Response | None = None) -> Any:
    """`count` of these environments as one Stable-Baselines3 VecEnv, stepped together: some 50 times as fast."""
    from stable_baselines3.common.vec_env import VecEnv

    class _Together(VecEnv):  # type: ignore[misc]
        def __init__(self) -> None:
            self._episodes = Episodes(pool, seed, response, count)
            self._action = np.zeros(count, dtype=np.int64)
            space = gymnasium.spaces.Box(-_BOUND, _BOUND, self._episodes.observations.shape[1:], np.float32)
            super().__init__(count, space, gymnasium.spaces.Discrete(3))

        def reset(self) -> Float:
            return self._episodes.begin()

        def step_async(self, actions: Float) -> None:
            self._action = np.asarray(actions, dtype=np.int64)

        def step_wait(self) -> tuple[Float, Float, Bytes, list[dict[str, Any]]]:
            cost, ended = self._episodes.step(self._action)
            infos: list[dict[str, Any]] = [{} for _ in range(count)]
            last = self._episodes.seen()
            for place in np.flatnonzero(ended):
                infos[place]["terminal_observation"] = last[place]
            return self._episodes.begin(ended), -cost, ended, infos

        def close(self) -> None:
            """Nothing is open."""

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * count

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            """Nothing to set."""

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            return [None] * count

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * count

    return _Together()

"""`python -m homeostat.jobs.demo.warming`: compile what follows the windows, beside the process that fills them.

Numba compiles on one core. On a machine's first start the windows take about half of the time; so a second process
meanwhile decides on a few made-up features, which leaves everything else compiled in the cache that both share.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from homeostat.jobs.demo.demo import Demo, Plan
from homeostat.jobs.demo.summary import snapshot, summary
from homeostat.records.arrays import State
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

_PLAN = Plan(seed=0, customers=100, history_days=0, days=9)


class MadeUpFeatures:
    """Features that are nothing but chance, in the form of those that windows compute."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._rng = np.random.Generator(np.random.PCG64(1))

    def features(self, events: EventBatch) -> Features:
        """(n, features) chance."""
        shape = (len(events), len(self._names))
        return Features(self._names, self._rng.gamma(0.3, 4.0, shape), np.zeros(shape, np.uint8))

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        """Nothing is remembered."""


def warm() -> None:
    """Decide a few days, learn, and explain."""
    with TemporaryDirectory(prefix="homeostat-warming-") as folder, Demo(_PLAN, Path(folder)) as demo:
        demo.open()
        for arm in demo.arms.values():
            if arm.loop is not None:
                arm.loop.stages.featurizer = MadeUpFeatures(demo.prepared.features.names)
        for _ in demo.run():
            snapshot(demo)
        summary(demo, {})


if __name__ == "__main__":
    warm()

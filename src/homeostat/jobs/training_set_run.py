"""A training run whose features are computed on several processes or machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from homeostat.adapters.ray.cluster import LOCAL, RayCluster
from homeostat.decide.windows.features import FeaturePlan
from homeostat.expressions import Membership
from homeostat.jobs.training_set import Executor, PartitionedFeaturizer
from homeostat.jobs.training_set_parts import features_of_part
from homeostat.models.training_set import TrainingSet

SHARES = 4
"""Shares of each entity's keys a process: with more of them than processes, one that has much to do delays nobody."""


class InShares:
    """An `Elsewhere` of training runs; of one run.

    executor, partitions : see `PartitionedFeaturizer`
    """

    def __init__(self, executor: Executor, partitions: int) -> None:
        self._executor, self._partitions = executor, partitions
        self._featurizer: PartitionedFeaturizer | None = None

    def featurizer(self, plan: FeaturePlan, lists: Membership, from_ns: int | None) -> PartitionedFeaturizer:
        """Takes the events in, and numbers them."""
        self._featurizer = PartitionedFeaturizer(plan, self._executor, self._partitions, lists=lists, from_ns=from_ns)
        return self._featurizer

    def completed(self, numbered: TrainingSet) -> TrainingSet:
        """The rows with their features in place of their numbers. Raises Unavailable where the cluster failed."""
        assert self._featurizer is not None, "no event was read"
        found = self._featurizer.collected(numbered.x[:, 0].astype(np.int64))
        return replace(numbered, names=found.names, x=found.values)


@contextmanager
def elsewhere(processes: int | None, address: str | None) -> Iterator[InShares | None]:
    """Where a training run computes its features: on so many processes, or on a cluster; None for here.

    Raises Unavailable where Ray is not installed, or no cluster answers.
    """
    if processes is None and address is None:
        yield None
        return
    with RayCluster(features_of_part, address or LOCAL, processes) as cluster:
        yield InShares(cluster, SHARES * cluster.processes)

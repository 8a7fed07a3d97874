"""The computations around the windows: the columns that they see of an event, and the features that follow."""

from __future__ import annotations

import numpy as np

from homeostat.decide.windows.assemble import assemble
from homeostat.decide.windows.features import FeaturePlan
from homeostat.expressions import Membership, Programs
from homeostat.records.arrays import Bytes, Float, Int


class Around:
    """The programs of a plan, before and after its windows.

    masks_from : the first column of `seen` that is a window's filter
    """

    def __init__(self, plan: FeaturePlan, lists: Membership | None = None) -> None:
        base = plan.fields + plan.windows.features
        self.masks_from = plan.fields + len(plan.inputs) - plan.masks
        self._plan = plan
        self._inputs = Programs(plan.inputs, range(plan.fields, plan.fields + len(plan.inputs)), lists)
        self._derived = Programs(plan.derived, range(base, base + len(plan.derived)), lists)
        self._ends: Int = np.cumsum([len(s) for s in plan.sources], dtype=np.int64)
        self._sources: Int = np.array([column for s in plan.sources for column in s], dtype=np.int64)

    def seen(self, numbers: Float, keys: Int, key_checks: Int, time_ns: Int) -> Float:
        """(n, fields + inputs) what the windows see of events: `numbers` (n, fields), and what is computed of them."""
        if not self._plan.inputs:
            return numbers
        seen: Float = np.empty((len(numbers), self._plan.windows.values))
        seen[:, : self._plan.fields] = numbers
        self._inputs.run(seen, keys, key_checks, time_ns)
        return seen

    def complete(
        self, numbers: Float, keys: Int, key_checks: Int, time_ns: Int, values: Float, freshness: Bytes
    ) -> None:
        """Fill in the fields and the derived features beside those of the windows.

        values, freshness : (n, fields + windows + derived), of which the windows' columns are set
        """
        assemble(numbers, self._ends, self._sources, values, freshness)
        if self._plan.derived:
            self._derived.run(values, keys, key_checks, time_ns)

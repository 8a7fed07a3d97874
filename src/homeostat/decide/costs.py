"""The costs of each action, by outcome: the app's cost expressions on an event's fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homeostat.expressions import Programs, Scope, Type, compile_expression
from homeostat.records.arrays import Float
from homeostat.records.events import EventBatch
from homeostat.records.features import Features


class Costs:
    """The cost matrix of an app.

    fields : names and types, in the order of `EventBatch.numbers`
    entities : names, in the order of `EventBatch.keys`
    positive, negative : an expression for each action, in the app's currency
    """

    def __init__(
        self, fields: Sequence[tuple[str, Type]], positive: Sequence[str], negative: Sequence[str],
        entities: Sequence[str] = (),
    ) -> None:  # fmt: skip
        scope = Scope.of(fields, entities)
        compiled = [compile_expression(text, scope) for text in (*positive, *negative)]
        self._fields, self._actions = len(fields), len(positive)
        self._programs = Programs(compiled, range(len(fields), len(fields) + len(compiled)))

    def __call__(self, events: EventBatch, features: Features | None = None) -> tuple[Float, Float]:
        """Two (n, actions) arrays: the costs if the outcome is positive, and if it is negative."""
        frame = np.empty((len(events), self._fields + 2 * self._actions))
        frame[:, : self._fields] = events.numbers
        self._programs.run(frame, events.keys, events.key_checks, events.time_ns)
        middle = self._fields + self._actions
        return np.ascontiguousarray(frame[:, self._fields : middle]), np.ascontiguousarray(frame[:, middle:])

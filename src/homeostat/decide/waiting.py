"""Outcomes that have arrived and whose moment has not come, as state."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from homeostat.records.arrays import State
from homeostat.records.events import OutcomeBatch


@dataclass(slots=True)
class Waiting:
    """A view of the loop's waiting outcomes that can be saved and restored."""

    outcomes: list[OutcomeBatch]

    def state(self) -> State:
        """Every array of every batch, numbered."""
        state: State = {"count": np.array([len(self.outcomes)])}
        for k, batch in enumerate(self.outcomes):
            for name in _ARRAYS:
                array = getattr(batch, name)
                if array is not None:
                    state[f"{k}/{name}"] = array
            state[f"{k}/scheduled"] = np.array([batch.scheduled])
        return state

    def restore(self, state: State) -> None:
        """Replace the outcomes, in place."""
        self.outcomes[:] = [
            OutcomeBatch(
                **{name: state.get(f"{k}/{name}") for name in _ARRAYS},  # type: ignore[arg-type]
                scheduled=bool(state[f"{k}/scheduled"][0]),
            )
            for k in range(int(state["count"][0]))
        ]


_ARRAYS = tuple(f.name for f in fields(OutcomeBatch) if f.name not in ("texts", "scheduled"))

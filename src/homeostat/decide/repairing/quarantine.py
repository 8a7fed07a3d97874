"""Events that are decided and do not teach, and whose labels the windows don't count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.decide.repairing.repairs import Conditions
from homeostat.expressions import Compiled, Membership
from homeostat.records.arrays import Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch


@dataclass(frozen=True, slots=True)
class Held:
    """Events from an instant on for which a condition holds; all of them without one."""

    from_ns: int
    where: Compiled | None = None

    @property
    def content(self) -> tuple[int, str | None]:
        """The same for two that hold the same events."""
        return self.from_ns, None if self.where is None else self.where.text


class Quarantine:
    """All quarantines in force; a `decide.contracts.Withholding`."""

    def __init__(self, held: Sequence[Held], lists: Membership | None = None) -> None:
        self._held = tuple(held)
        self._conditions = Conditions([one.where for one in held], lists)
        self.from_ns = min((one.from_ns for one in held), default=0)

    @property
    def what(self) -> object:
        """The same for two that hold the same events."""
        return tuple(one.content for one in self._held)

    def holds(self, events: EventBatch) -> Mask:
        """(n,) which events are in a quarantine."""
        found = np.zeros(len(events), bool)
        for one, rows in zip(self._held, self._conditions.hold(events), strict=True):
            found |= rows & (events.time_ns >= one.from_ns)
        return found

    def among(self, decided: Sequence[tuple[DecisionBatch, int] | None]) -> Mask:
        """(n,) the same of decided events, each a row of its batch; False where there is none."""
        found = np.zeros(len(decided), bool)
        together: dict[int, tuple[DecisionBatch, list[int], list[int]]] = {}
        for at, one in enumerate(decided):
            if one is not None:
                _, rows, places = together.setdefault(id(one[0]), (one[0], [], []))
                rows.append(one[1])
                places.append(at)
        for batch, rows, places in together.values():
            found[places] = self.holds(batch.events.rows(np.array(rows)))
        return found

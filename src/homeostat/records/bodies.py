"""The bodies of journal entries: what a loop decided, what it was given to learn, and the changes that it applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes that a loop applied between two batches of events.

    changes : by rising number; every decision after them is made under the last of them
    """

    changes: tuple[Change, ...]

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def number(self) -> int:
        """The settings number that is in force after them; 0 where there are none."""
        return self.changes[-1].number if self.changes else 0


Body: TypeAlias = DecisionBatch | OutcomeBatch | ChangeBatch

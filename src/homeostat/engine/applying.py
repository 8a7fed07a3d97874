"""Which processes of an app have applied a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.ports.settings import Applied
from homeostat.records.changes import Change


@dataclass(frozen=True, slots=True)
class Waited:
    """How a change was taken up.

    seconds : from the moment on that it was stored
    applied : the processes that have applied it
    waiting : process -> why it has not, or nothing where it says nothing
    """

    seconds: float
    applied: tuple[str, ...]
    waiting: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"seconds": round(self.seconds, 3), "processes": list(self.applied), "waiting": self.waiting}

    def sentence(self) -> str:
        """For people, on one line."""
        if self.waiting:
            silent = ", which applies it before it decides its next event"
            named = "; ".join(name + (f": {why}" if why else silent) for name, why in sorted(self.waiting.items()))
            return f"not applied after {self.seconds:.1f} s by {named}"
        if not self.applied:
            return "no process runs; the next one that starts applies it"
        many = "1 process" if len(self.applied) == 1 else f"{len(self.applied)} processes"
        return f"applied by {many} after {self.seconds:.2f} s"


def taken_up(change: Change, processes: Sequence[Applied], now_ns: int) -> tuple[Waited, bool]:
    """How far the processes that live are with a change, and whether waiting longer would be of no use.

    A trouble that was reported before the change was stored does not count: the change may mend it.

    >>> from homeostat.records.changes import ChangeKind
    >>> change = Change(ChangeKind.LEARNING, "policy", {"on": False}, "ann", "odd labels", number=7, at_ns=10**9)
    >>> taken_up(change, [Applied("a", 7, 2 * 10**9), Applied("b", 6, 2 * 10**9, "no model")], 3 * 10**9)
    (Waited(seconds=2.0, applied=('a',), waiting={'b': 'no model'}), True)
    """
    living = [one for one in processes if not one.gone(now_ns)]
    behind = [one for one in living if one.number < change.number]
    over = all(one.trouble and one.at_ns >= change.at_ns for one in behind)
    applied = tuple(one.process for one in living if one.number >= change.number)
    seconds = max(0.0, (now_ns - change.at_ns) / 1e9)
    return Waited(seconds, applied, {one.process: one.trouble for one in behind}), over

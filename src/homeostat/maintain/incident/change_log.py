"""The changes that were made lately: of the settings, and of the version that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from homeostat.maintain.contracts import Tick
from homeostat.maintain.incident.ranking import Logged
from homeostat.records.changes import Change, ChangeKind

_KEPT = 256


class ChangeLog:
    """See the module. It keeps the last 256 changes."""

    def __init__(self) -> None:
        self._logged: list[Logged] = []
        self._version = ""

    def add(self, tick: Tick) -> None:
        """Take in a tick's changes, and see whether another version decides."""
        self._logged += [Logged(_node(one), at) for one in tick.changes if _node(one) for at in [_time(one, tick)]]
        if len(tick):
            version = tick.versions[int(tick.version[-1])]
            if self._version not in ("", version):
                first = int(np.argmax(tick.version == tick.version[-1]))
                self._logged.append(Logged("version", int(tick.events.time_ns[first])))
            self._version = version
        del self._logged[:-_KEPT]

    def differs(self, versions: Sequence[str]) -> bool:
        """Whether any of these versions is another one than the last that decided."""
        return any(one != self._version for one in versions)

    def near(self, low_ns: int, high_ns: int) -> Sequence[Logged]:
        """The changes from a time to another."""
        return [one for one in self._logged if low_ns <= one.at_ns <= high_ns]

    def dict(self) -> dict[str, object]:
        """As JSON can hold it."""
        return {"version": self._version, "logged": [[one.node, one.at_ns] for one in self._logged]}

    def read(self, found: Mapping[str, object]) -> None:
        """Go on from such a dict."""
        logged = found["logged"]
        assert isinstance(logged, list), "a change log was written as a list"
        self._version, self._logged = str(found["version"]), [Logged(node, at) for node, at in logged]


def _node(change: Change) -> str:
    """The node that a change is about; "" for a learner's state, which is no one's decision."""
    if change.kind == ChangeKind.STATE:
        return ""
    return "version" if change.kind == ChangeKind.DEPLOY else "settings"


def _time(change: Change, tick: Tick) -> int:
    """The event time of a change: it came into force in this tick, whatever the time of the wall clock."""
    return min(max(change.at_ns, tick.start_ns), tick.end_ns)

"""Keeps what a tick has brought in the store, and lets the grouping know what people did there meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from homeostat.maintain.contracts import Grouping
from homeostat.ports.incidents import LOOP, IncidentMoved, Incidents
from homeostat.records.advice import ADVICE, PROPOSALS
from homeostat.records.incidents import FINDINGS, Incident, Phase
from homeostat.records.signals import Signal

_THEIRS = (FINDINGS, ADVICE, PROPOSALS)  # Notes that others than the grouping write.
_TRIES = 20  # A person's change comes between each time; nobody clicks as fast.


class IncidentKeeper:
    """See the module. Call `catch_up` before each tick and `keep` after it; one process of an app does so at a time.

    seen : the number of the last change that the grouping knows of
    """

    def __init__(self, store: Incidents, grouping: Grouping, seen: int = 0) -> None:
        self._store, self._grouping, self.seen = store, grouping, seen

    def catch_up(self, now_ns: int) -> None:
        """Let the grouping know the changes of others, and the silences that have not ended. Raises Unavailable.

        now_ns : event time
        """
        others: dict[str, Incident] = {}
        while changes := self._store.changes(self.seen):
            self.seen = changes[-1].number
            others |= {one.incident.id: one.incident for one in changes if one.actor != LOOP}
        self._grouping.take(list(others.values()), self._store.silences(now_ns))

    def keep(self, signals: Sequence[Signal], incidents: Sequence[Incident]) -> list[Incident]:
        """Store a tick's signals and incidents, once however often; returns the incidents as stored.

        Where a person changed an incident first, both are brought together, and their close stands. Raises Unavailable.
        """
        wanted = list(incidents)
        for left in reversed(range(_TRIES)):
            try:
                self._store.write(signals, wanted)
                return wanted
            except IncidentMoved as moved:
                if left == 0:
                    raise
                wanted = self._with(moved.found, wanted)
        raise AssertionError("the last try returns or raises")

    def _with(self, theirs: Incident, wanted: Sequence[Incident]) -> list[Incident]:
        """The incidents to store now that one is another's."""
        made = []
        for ours in wanted:
            if ours.id != theirs.id:
                made.append(ours)
                continue
            both = together(ours, theirs)
            if both is not None:
                made.append(both)
            self._grouping.take([theirs if both is None else both], None)
        return made


def together(ours: Incident, theirs: Incident) -> Incident | None:
    """The loop's figures with a person's word: the revision after theirs; None where they closed it.

    ours : of the loop, made without knowing theirs
    """
    again = ours.reopened > theirs.reopened
    if theirs.phase == Phase.CLOSED and not again:
        return None
    silenced = max(ours.silenced_until_ns, theirs.silenced_until_ns)
    notes = {**ours.notes, **{name: theirs.notes[name] for name in _THEIRS if name in theirs.notes}}
    phase = theirs.phase if ours.phase == Phase.OPEN != theirs.phase and not again else ours.phase
    return replace(ours, revision=theirs.revision + 1, silenced_until_ns=silenced, notes=notes, phase=phase)

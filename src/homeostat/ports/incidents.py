"""The store of signals, incidents, silences and deliveries, in one place that all processes of an app read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from homeostat.errors import Conflict, HomeostatError
from homeostat.records.deliveries import Delivery
from homeostat.records.incidents import Incident, Phase, Silence
from homeostat.records.signals import Signal

LOOP = "homeostat"
"""The actor of a change that the maintenance loop makes."""


class UnknownIncident(HomeostatError, LookupError):
    """There is no such incident, or no longer."""

    why = "closed incidents are kept up to a number, the newest ones"
    remedy = "homeostat incidents list shows the incidents that there are"


class IncidentMoved(Conflict):
    """Somebody else changed the incident first; nothing was stored.

    found : the incident as they left it
    """

    why = "an incident is changed only by those who know its last revision"
    remedy = "Look at the incident again; then change it, if that is still wanted"

    def __init__(self, found: Incident) -> None:
        self.found = found
        super().__init__(f"incident {found.id} is at revision {found.revision} by now, {found.phase}")


class SilenceMoved(Conflict):
    """Somebody else changed the silence first; nothing was stored.

    found : the silence as they left it; None where there is none
    """

    why = "a silence is changed only by those who know its last revision"
    remedy = "Look at the silence again; then change it, if that is still wanted"

    def __init__(self, found: Silence | None) -> None:
        self.found = found
        where = "is not there" if found is None else f"{found.id} is at revision {found.revision} by now"
        super().__init__(f"the silence {where}")


class IncidentsError(HomeostatError):
    """A store of incidents holds another app's, another version's, or damaged ones; the text says which."""

    why = "incidents are read by the app and a version that know their form, and only undamaged"
    remedy = "Name the right folder or database, or restore the incidents from a backup"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a store keeps; the oldest go first.

    incidents : that are closed, with their history
    signals, deliveries : of deliveries those that are over
    silences : that are over
    """

    incidents: int = 10_000
    signals: int = 100_000
    deliveries: int = 100_000
    silences: int = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """An incident as it is stored.

    number : its place among the incidents, by which pages go
    """

    number: int
    incident: Incident


@dataclass(frozen=True, slots=True)
class KeptSignal:
    """A signal as it is stored; see `Kept`."""

    number: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One revision of an incident, and who made it. Numbers order the changes of all incidents of an app."""

    number: int
    actor: str
    incident: Incident


class Incidents(Protocol):
    """The incidents of one app. Every method raises Unavailable where its store fails, and IncidentsError where it
    holds something else. May be used by several threads.
    """

    def write(self, signals: Sequence[Signal], incidents: Sequence[Incident], actor: str = LOOP) -> None:
        """Store signals and changed incidents, all or nothing; whatever is stored already stays as it is.

        A signal takes the place of an earlier one with its id. An incident's revision is the one after the stored one.
        Raises IncidentMoved where it is not, and was not stored before with the same content.
        """
        ...

    def get(self, id: str) -> Incident:
        """The last revision of an incident. Raises UnknownIncident."""
        ...

    def list(self, phases: Collection[Phase] = (), limit: int = 100, below: int | None = None) -> Sequence[Kept]:
        """Incidents, newest first; those in one of the phases, if any is given, and with a smaller number."""
        ...

    def history(self, id: str) -> Sequence[IncidentChange]:
        """The revisions of an incident, the first one first. Raises UnknownIncident."""
        ...

    def changes(self, after: int, limit: int = 1000) -> Sequence[IncidentChange]:
        """The changes of all incidents above a number, in order."""
        ...

    def signals(self, limit: int = 100, below: int | None = None) -> Sequence[KeptSignal]:
        """Signals, newest first; those with a smaller number."""
        ...

    def signals_of(self, ids: Collection[str]) -> Sequence[Signal]:
        """The signals with these ids that are kept, by their onset."""
        ...

    def silence(self, one: Silence, expected: int | None = None) -> Silence:
        """Store a silence, or replace the one with its id: it ends at another time then.

        expected : the revision that its author saw, 0 for none; None for any. Raises SilenceMoved for another.
        Returns it with its revision. One whose last change has the same key, not empty, stays as it is.
        """
        ...

    def silences(self, at_ns: int | None = None) -> Sequence[Silence]:
        """All silences, or those that have not ended at a time; by their ends."""
        ...

    def plan(self, deliveries: Sequence[Delivery], up_to: int) -> None:
        """Store deliveries that are not stored yet, and that changes up to a number are seen to."""
        ...

    def planned(self) -> int:
        """The number of the last change that is seen to."""
        ...

    def claim(self, now_ns: int, lease_ns: int, limit: int = 100) -> Sequence[Delivery]:
        """Deliveries that are due, each with one more attempt begun; nobody else gets them until the lease is over."""
        ...

    def report(self, delivery: Delivery) -> bool:
        """Store what came of the last attempt; False where somebody else has begun another since."""
        ...

    def deliveries(self, limit: int = 100, below: int | None = None) -> Sequence[Delivery]:
        """The log of deliveries, newest first."""
        ...

    def close(self) -> None:
        """Let go of files and servers."""
        ...


def unknown(id: str) -> UnknownIncident:
    """The error that there is no such incident.

    >>> str(unknown("abc"))
    'there is no incident abc'
    """
    return UnknownIncident(f"there is no incident {id}")

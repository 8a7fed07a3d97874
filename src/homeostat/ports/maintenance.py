"""The memory of the maintenance loop between its steps, and the process that runs it, beside the incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from homeostat.ports.incidents import Incidents
from homeostat.records.incidents import Incident
from homeostat.records.signals import Signal

LEASE_S = 15.0  # Longer than a step, shorter than people wait for another process to go on.


@dataclass(frozen=True, slots=True)
class MaintenanceState:
    """How the maintenance loop fares, as its process says it.

    entry, last : the last journal entry that it has read, and the last one that there was
    ticks : that it has closed; series : the figures that it takes at each
    signals : that it has raised; open : the incidents that are open
    used : the incidents that began within the span of the budget of false alarms, as a share of that budget
    reached_ns : the end of the last tick, in event time
    behind_s : seconds since it had last read all that there was
    began_ns, at_ns : when its process began, and the time of this
    trouble : what keeps it from going on, in a sentence; empty where all is well
    """

    entry: int = 0
    last: int = 0
    ticks: int = 0
    series: int = 0
    signals: int = 0
    open: int = 0
    used: float = 0.0
    reached_ns: int = 0
    behind_s: float = 0.0
    began_ns: int = 0
    at_ns: int = 0
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a JSON object.

        >>> MaintenanceState.of_json(MaintenanceState(7, ticks=3).as_json()) == MaintenanceState(7, ticks=3)
        True
        """
        return asdict(self)

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> MaintenanceState:
        """From a JSON object; members that a later version added are left out. Raises TypeError."""
        if not isinstance(stored, Mapping):
            raise TypeError("it is no object")
        return cls(**{name: stored[name] for name in _MEMBERS if name in stored})


_MEMBERS = tuple(item.name for item in fields(MaintenanceState))


@dataclass(frozen=True, slots=True)
class Lease:
    """The process that runs the maintenance loop of an app.

    owner : the process that has the lease, or had it last
    lives : whether it still has it
    state : the last one that it stored
    """

    owner: str
    lives: bool
    state: MaintenanceState


class MaintenanceStore(Incidents, Protocol):
    """The incidents, with the memory of the loop that makes them. Raises as `Incidents` does."""

    def take(self, owner: str, lease_s: float = LEASE_S) -> bool:
        """Have the lease for so long, by the store's clock; False where another process has it."""
        ...

    def say(self, owner: str, state: MaintenanceState, lease_s: float = LEASE_S) -> bool:
        """Store how it fares, and have the lease for so much longer; False where another process has taken it."""
        ...

    def leave(self, owner: str) -> None:
        """Give the lease back; the last state stays."""
        ...

    def lease(self) -> Lease | None:
        """The process that has the lease, or had it last; None where nobody ever had it."""
        ...

    def saved(self) -> bytes | None:
        """The memory of the loop as it was saved last; None where there is none."""
        ...

    def save(self, owner: str, memory: bytes, signals: Sequence[Signal], incidents: Sequence[Incident]) -> bool:
        """Store a step: the loop's memory after it with its signals and incidents, all or nothing.

        False where another process has taken the lease; then nothing is stored. Raises IncidentMoved as `write` does.
        """
        ...

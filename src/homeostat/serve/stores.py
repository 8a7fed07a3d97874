"""The stores behind the resources of the HTTP interface, opened when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from homeostat.adapters.disk.audit.growing import GrowingChain
from homeostat.engine.links import Links
from homeostat.ports.decision_lists import DecisionLists
from homeostat.ports.incidents import Incidents
from homeostat.ports.jobs import Jobs
from homeostat.ports.memory import Memory
from homeostat.ports.plans import Plans
from homeostat.ports.registry import Registry
from homeostat.ports.settings import Settings
from homeostat.ports.shadow import ShadowStore
from homeostat.ports.statements import Statements
from homeostat.serve.effects import Effects


class Closes(Protocol):
    """A store that can be closed."""

    def close(self) -> None: ...


_Store = TypeVar("_Store", bound=Closes)


class Once(Generic[_Store]):
    """Opens a store when it is first asked for, and closes it if it was."""

    def __init__(self, opens: Callable[[], _Store]) -> None:
        self._opens, self._lock = opens, threading.Lock()
        self._store: _Store | None = None

    def __call__(self) -> _Store:
        with self._lock:
            if self._store is None:
                self._store = self._opens()
            return self._store

    def close(self) -> None:
        """Close the store, if it was opened."""
        if self._store is not None:
            self._store.close()


@dataclass(frozen=True, slots=True)
class Stores:
    """The functions that open each store; None where there is no place for it.

    effects : finds what a version would have decided; None where nothing can be tried
    place : the options by which a command names the same place; empty where nobody knows them
    trail : the audit trail of a data folder, whose chain can be verified; None where there is none
    links : reads the links with which people answer plans; None where there are none
    """

    jobs: Once[Jobs] | None = None
    settings: Once[Settings] | None = None
    registry: Once[Registry] | None = None
    effects: Effects | None = None
    shadow: Once[ShadowStore] | None = None
    statements: Once[Statements] | None = None
    incidents: Once[Incidents] | None = None
    plans: Once[Plans] | None = None
    place: str = ""
    links: Links | None = None
    memory: Once[Memory] | None = None
    decisions: Once[DecisionLists] | None = None
    trail: GrowingChain | None = None

    def close(self) -> None:
        """Close those that were opened."""
        for store in (
            self.jobs,
            self.settings,
            self.registry,
            self.shadow,
            self.statements,
            self.incidents,
            self.plans,
            self.memory,
            self.decisions,
        ):
            if store is not None:
                store.close()

"""Where a process finds its settings and its versions: in a data folder, on servers, or in its memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.opening import learning_opener, registry_opener, settings_opener
from homeostat.config.servers import Servers
from homeostat.models.bundle import Bundle
from homeostat.models.deployments import CHAMPION, scope_of, version_in
from homeostat.ports import Clock
from homeostat.ports.learning import LearnedStates
from homeostat.ports.registry import Registry
from homeostat.ports.settings import Settings
from homeostat.records.changes import ChangeKind, Scope

_ALWAYS_NS = (1 << 63) - 1
Load = Callable[[Path], Bundle]
"""The models in a folder. Raises BundleError."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Settings and versions.

    registry : None where there is none
    learning : where a learner publishes; None where each process learns by itself
    """

    settings: Settings
    registry: Registry | None = None
    learning: LearnedStates | None = None

    def fetch(self, load: Load) -> Callable[[str], Bundle] | None:
        """A function that gives the models of a version; None without a registry."""
        registry = self.registry
        return None if registry is None else lambda version: load(registry.fetch(version))

    def champion(self, load: Load) -> Bundle | None:
        """The models of the champion; None where none is deployed.

        Raises BundleError, UnknownVersion, Unavailable.
        """
        files = self.champion_files()
        return None if files is None else load(files)

    def champion_files(self) -> Path | None:
        """The folder with the champion's files; None where none is deployed.

        Raises BundleError, UnknownVersion, Unavailable.
        """
        deployed = self.settings.at(_ALWAYS_NS).get(Scope(ChangeKind.DEPLOY, CHAMPION))
        if deployed is None or deployed.body is None or self.registry is None:
            return None
        return self.registry.fetch(str(deployed.body["version"]))

    def base(self, given: Bundle | None) -> str:
        """The version that decides where none is deployed: the first champion on the record.

        So it is the same in all processes that were started without a bundle, whenever that was.
        given : the bundle that the process was started with, which decides then: the base is empty
        Raises Unavailable.
        """
        if given is not None or self.registry is None:
            return ""
        named = (version_in(one.body) for one in reversed(self.settings.history(scope_of(CHAMPION))))
        return next((version for version in named if version is not None), "")

    def close(self) -> None:
        """Let go of files and servers."""
        self.settings.close()
        if self.registry is not None:
            self.registry.close()
        if self.learning is not None:
            self.learning.close()


def stores_in(data: Path | None, app: str, clock: Clock, mode: int = FILE_MODE) -> Stores:
    """Those of a data folder; in memory without one. Nothing is written yet.

    mode : who may read and write the settings' file, if it is created
    """
    if data is None:
        return Stores(MemorySettings(clock))
    return Stores(SqliteSettings(data, app=app, clock=clock, mode=mode), SqliteRegistry(data, app=app, clock=clock))


def stores_on(servers: Servers, app: str, learning: bool = False) -> Stores | None:
    """Those on servers, beside the journal; None where no journal is named. Raises Unavailable, ValueError.

    learning : with the learner's store
    """
    if servers.journal is None:
        return None
    with ExitStack() as opened:
        settings = settings_opener(servers.journal)(servers.journal, app=app)
        opened.callback(settings.close)
        learner = None
        if learning:
            learner = learning_opener(servers.journal)(servers.journal, app=app)
            opened.callback(learner.close)
        registry = None
        if servers.models is not None:
            cache = Path(servers.models_cache)
            registry = registry_opener(servers.journal)(servers.journal, servers.models, cache, app=app)
        opened.pop_all()  # They are the caller's to close now.
        return Stores(settings, registry, learner)

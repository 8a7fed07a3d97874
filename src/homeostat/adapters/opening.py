"""Opens journals, feature stores, streams, settings, jobs, key stores and decisions in shadow by their addresses.

`config.backends` says which there are. An adapter's package is imported when an address asks for it, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from homeostat.config.backends import (
    DECISION_LISTS,
    FEATURES,
    INCIDENTS,
    JOBS,
    JOURNALS,
    KEYS,
    LEARNING,
    MEMORIES,
    MODELS,
    PLANS,
    SETTINGS,
    SHADOWS,
    STATEMENTS,
    STREAMS,
    Backend,
)
from homeostat.config.servers import KafkaSettings
from homeostat.errors import needs
from homeostat.ports import Clock
from homeostat.ports.decision_lists import DecisionLists
from homeostat.ports.jobs import Jobs
from homeostat.ports.keys import ApiKeys
from homeostat.ports.learning import LearnedStates
from homeostat.ports.maintenance import MaintenanceStore
from homeostat.ports.memory import Memory
from homeostat.ports.plans import Plans
from homeostat.ports.registry import Registry
from homeostat.ports.settings import Settings
from homeostat.ports.shadow import ShadowStore
from homeostat.ports.shared import FeatureStore, ServerJournal
from homeostat.ports.statements import Statements
from homeostat.ports.streams import Sender, Stream
from homeostat.records.vocabulary import Vocabulary

if TYPE_CHECKING:
    from homeostat.adapters.disk.audit.verification import Tables
    from homeostat.adapters.streams.addresses import Address, Addresses


class JournalOpener(Protocol):
    """Opens a journal at its address, and makes its tables where they are missing."""

    def __call__(
        self, url: str, *, app: str, words: Vocabulary, clock: Clock | None, retention_ns: int | None, deadline_s: float
    ) -> ServerJournal: ...


class TablesOpener(Protocol):
    """Opens the tables of a journal at its address, for `homeostat audit verify`.

    now_ns : the present; retention_ns, behind_ns : what was recorded before may be gone, and since need not be there
    """

    def __call__(
        self, url: str, *, now_ns: int, retention_ns: int | None, behind_ns: int
    ) -> AbstractContextManager[Tables]: ...


class StoreOpener(Protocol):
    """Opens a feature store at its address; `version` tells logs of one plan from those of another, and `process` this
    process from the others."""

    def __call__(self, url: str, version: str, *, show_every_s: float, process: str) -> FeatureStore: ...


class StreamOpener(Protocol):
    """Opens the streams at `addresses` (see `adapters.streams.addresses`) for one worker of a group."""

    def __call__(self, addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> Stream: ...


class StreamCreator(Protocol):
    """Creates the streams that are missing; returns their names."""

    def __call__(self, addresses: Addresses, settings: KafkaSettings, partitions: int, group: str) -> list[str]: ...


class SenderOpener(Protocol):
    """Opens a stream to which single messages are sent under a name. Asks no server yet."""

    def __call__(self, address: Address, settings: KafkaSettings, name: str) -> Sender: ...


class KeysOpener(Protocol):
    """Opens the API keys at an address."""

    def __call__(self, url: str) -> ApiKeys: ...


class SettingsOpener(Protocol):
    """Opens the settings of an app at an address, and makes their tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> Settings: ...


class LearningOpener(Protocol):
    """Opens the store of an app's learner at an address, and makes its tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> LearnedStates: ...


class JobsOpener(Protocol):
    """Opens the jobs at an address, and makes their tables where they are missing."""

    def __call__(self, url: str) -> Jobs: ...


class RegistryOpener(Protocol):
    """Opens the registry whose index is at an address, and makes its tables where they are missing.

    models : the address of the versions' files
    cache : a local folder for those that are fetched
    """

    def __call__(self, url: str, models: str, cache: Path, *, app: str = "", deadline_s: float = 5.0) -> Registry: ...


class ShadowOpener(Protocol):
    """Opens the decisions of challengers at an address, and makes their tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> ShadowStore: ...


class StatementsOpener(Protocol):
    """Opens the statements at an address, and makes their tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> Statements: ...


class IncidentsOpener(Protocol):
    """Opens the incidents at an address, and makes their tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> MaintenanceStore: ...


class MemoryOpener(Protocol):
    """Opens the memory of past incidents at an address, and makes its tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> Memory: ...


class DecisionListsOpener(Protocol):
    """Opens the lists of the decisions at an address, and makes their tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> DecisionLists: ...


class PlansOpener(Protocol):
    """Opens the plans at an address, and makes their tables where they are missing."""

    def __call__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> Plans: ...


def journal_opener(address: str) -> JournalOpener:
    """The opener of this journal. Raises ValueError for an unknown scheme, MissingExtra; so do all of these."""
    opener: JournalOpener = _adapter(backend_of(address, JOURNALS))
    return opener


def tables_opener(address: str) -> TablesOpener:
    """The opener of this journal's tables."""
    backend = backend_of(address, JOURNALS)
    opener: TablesOpener = _named(backend.tables, backend)
    return opener


def store_opener(address: str) -> StoreOpener:
    """The opener of this feature store."""
    opener: StoreOpener = _adapter(backend_of(address, FEATURES))
    return opener


def keys_opener(address: str) -> KeysOpener:
    """The opener of these API keys."""
    opener: KeysOpener = _adapter(backend_of(address, KEYS))
    return opener


def registry_opener(address: str) -> RegistryOpener:
    """The opener of the registry whose index is there."""
    opener: RegistryOpener = _adapter(backend_of(address, MODELS))
    return opener


def settings_opener(address: str) -> SettingsOpener:
    """The opener of these settings."""
    opener: SettingsOpener = _adapter(backend_of(address, SETTINGS))
    return opener


def learning_opener(address: str) -> LearningOpener:
    """The opener of this learner's store."""
    opener: LearningOpener = _adapter(backend_of(address, LEARNING))
    return opener


def jobs_opener(address: str) -> JobsOpener:
    """The opener of these jobs."""
    opener: JobsOpener = _adapter(backend_of(address, JOBS))
    return opener


def shadow_opener(address: str) -> ShadowOpener:
    """The opener of these decisions of challengers."""
    opener: ShadowOpener = _adapter(backend_of(address, SHADOWS))
    return opener


def statements_opener(address: str) -> StatementsOpener:
    """The opener of these questions and this feedback."""
    opener: StatementsOpener = _adapter(backend_of(address, STATEMENTS))
    return opener


def incidents_opener(address: str) -> IncidentsOpener:
    """The opener of these incidents."""
    opener: IncidentsOpener = _adapter(backend_of(address, INCIDENTS))
    return opener


def plans_opener(address: str) -> PlansOpener:
    """The opener of these plans."""
    opener: PlansOpener = _adapter(backend_of(address, PLANS))
    return opener


def decision_lists_opener(address: str) -> DecisionListsOpener:
    """The opener of the lists of these decisions."""
    opener: DecisionListsOpener = _adapter(backend_of(address, DECISION_LISTS))
    return opener


def memory_opener(address: str) -> MemoryOpener:
    """The opener of this memory of past incidents."""
    opener: MemoryOpener = _adapter(backend_of(address, MEMORIES))
    return opener


def stream_opener(address: str) -> StreamOpener:
    """The opener of this stream and those beside it."""
    opener: StreamOpener = _adapter(backend_of(address, STREAMS))
    return opener


def stream_creator(address: str) -> StreamCreator:
    """The function that creates this stream and those beside it where they are missing."""
    backend = backend_of(address, STREAMS)
    creator: StreamCreator = _named(backend.creator, backend)
    return creator


def sender_opener(address: str) -> SenderOpener:
    """The opener of a stream to which single messages are sent."""
    backend = backend_of(address, STREAMS)
    opener: SenderOpener = _named(backend.sender, backend)
    return opener


def backend_of(address: str, backends: Mapping[str, Backend]) -> Backend:
    """The backend of an address. Raises ValueError for a scheme that there is none of.

    >>> backend_of("kafka://127.0.0.1/events", STREAMS).extra
    'kafka'
    """
    scheme = urlsplit(address).scheme
    if scheme not in backends:
        raise ValueError(f"an address begins with {' or '.join(f'{known}://' for known in backends)}")
    return backends[scheme]


def _adapter(backend: Backend) -> Any:
    return _named(backend.opener, backend)


def _named(place: str, backend: Backend) -> Any:
    module, _, name = place.partition(":")
    with needs(backend.extra, backend.purpose):
        return getattr(import_module(module), name)

"""Opens journals, feature stores, streams and key stores by their addresses: see `config.backends` for which there are.

An adapter's package is imported when an address asks for it, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import urlsplit

from homeostat.config.backends import FEATURES, JOURNALS, KEYS, STREAMS, Backend
from homeostat.config.servers import KafkaSettings
from homeostat.errors import needs
from homeostat.ports import Clock
from homeostat.ports.keys import ApiKeys
from homeostat.ports.shared import FeatureStore, SharedJournal
from homeostat.ports.streams import Stream
from homeostat.records.vocabulary import Vocabulary


class JournalOpener(Protocol):
    """Opens a journal at its address, and makes its tables where they are missing."""

    def __call__(
        self, url: str, *, app: str, words: Vocabulary, clock: Clock | None, retention_ns: int | None, deadline_s: float
    ) -> SharedJournal: ...


class StoreOpener(Protocol):
    """Opens a feature store at its address; `version` tells logs of one plan from those of another."""

    def __call__(self, url: str, version: str, *, show_every_s: float) -> FeatureStore: ...


class StreamOpener(Protocol):
    """Opens the streams at `addresses` (see `adapters.streams.addresses`) for one worker of a group."""

    def __call__(self, addresses: Any, settings: KafkaSettings, group: str, client_id: str) -> Stream: ...


class StreamCreator(Protocol):
    """Creates the streams that are missing; returns their names."""

    def __call__(self, addresses: Any, settings: KafkaSettings, partitions: int, group: str) -> list[str]: ...


class KeysOpener(Protocol):
    """Opens the API keys at an address."""

    def __call__(self, url: str) -> ApiKeys: ...


def journal_opener(address: str) -> JournalOpener:
    """The opener of this journal. Raises ValueError for an unknown scheme, MissingExtra; so do all of these."""
    opener: JournalOpener = _adapter(backend_of(address, JOURNALS))
    return opener


def store_opener(address: str) -> StoreOpener:
    """The opener of this feature store."""
    opener: StoreOpener = _adapter(backend_of(address, FEATURES))
    return opener


def keys_opener(address: str) -> KeysOpener:
    """The opener of these API keys."""
    opener: KeysOpener = _adapter(backend_of(address, KEYS))
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

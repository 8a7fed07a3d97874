"""Where the versions of an app and its settings are: in a data folder, or on servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeAlias, TypeVar

from cyclopts import Parameter

from homeostat.cli.failures import CommandError

if TYPE_CHECKING:
    from homeostat.ports.registry import Registry
    from homeostat.ports.settings import Settings
    from homeostat.ports.shadow import ShadowStore


class _Closes(Protocol):
    def close(self) -> None: ...


_Store = TypeVar("_Store", bound=_Closes)
Data: TypeAlias = Annotated[Path | None, Parameter(help="The --data folder of a server, which may be running.")]
Config: TypeAlias = Annotated[
    Path | None, Parameter(help="A file with `servers`: versions at servers.models, settings in servers.journal.")
]
Actor: TypeAlias = Annotated[str | None, Parameter(help="The person who does it; the user of this system when absent.")]


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that the commands on versions read and write.

    retention_ns : how long decisions are kept; None for always
    open_shadow : opens the decisions of challengers for reading
    """

    registry: Registry
    settings: Settings
    retention_ns: int | None
    open_shadow: Callable[[], ShadowStore]


def store_place(data: Path | None, config: Path | None, what: str) -> Path | str:
    """The data folder, or the address of the servers' journal, that options name.

    what : is kept there, in a word
    Raises CommandError where neither is named, or both are, or there is no such folder.
    """
    if data is not None:
        if config is not None:
            raise CommandError(f"are the {what} in --data or on the servers of --config? Give one of them")
        if not data.is_dir():
            raise CommandError(f"there is no folder {data}: name the --data folder of a server")
        return data
    from homeostat.adapters.process.environment import servers_of  # It takes pydantic and YAML along.

    journal = servers_of(config).journal
    if journal is None:
        raise CommandError(f"where are the {what}? Give --data FOLDER, or --config FILE with servers.journal")
    return journal


@contextmanager
def store_at(
    data: Path | None, config: Path | None, what: str, here: Callable[[Path], _Store], there: Callable[[str], _Store]
) -> Iterator[_Store]:
    """The store that options name, closed at the end.

    here, there : open it in a data folder, and at the address of the servers' journal
    Raises CommandError where neither is named, or both are, or there is no such folder.
    """
    place = store_place(data, config, what)
    with closing(here(place) if isinstance(place, Path) else there(place)) as store:
        yield store


@contextmanager
def stores_of(data: Path | None, config: Path | None, make: bool = False) -> Iterator[Stores]:
    """The stores that options name, closed at the end.

    make : the data folder is made where it is missing
    Raises CommandError where neither is named, or both are.
    """
    if make and data is not None and config is None:
        from homeostat.adapters.disk.files import FOLDER_MODE

        data.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    place = store_place(data, config, "versions")
    yield from _in_folder(place) if isinstance(place, Path) else _on_servers(place, config)


def actor_of(actor: str | None) -> str:
    """The name of the person or program that does it."""
    from homeostat.adapters.process.environment import user

    return user() if actor is None else actor


def worded(reason: str) -> None:
    """Raise CommandError for a reason that says nothing, or that is too long to keep."""
    if not reason.strip() or len(reason) > 1000:
        raise CommandError("--reason is a sentence of at most 1,000 characters for those who look later")


def _in_folder(data: Path) -> Iterator[Stores]:
    from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
    from homeostat.adapters.disk.sqlite.settings import SqliteSettings

    with closing(SqliteRegistry(data)) as registry, closing(SqliteSettings(data)) as settings:
        yield Stores(registry, settings, None, lambda: _shadow_in(data))


def _shadow_in(data: Path) -> ShadowStore:
    from homeostat.adapters.disk.sqlite.shadow import ShadowFile  # It takes NumPy along.

    return ShadowFile(data, readonly=True)


def _on_servers(url: str, config: Path | None) -> Iterator[Stores]:
    from homeostat.adapters.opening import registry_opener, settings_opener, shadow_opener
    from homeostat.adapters.process.environment import servers_of

    servers = servers_of(config)
    if servers.models is None:
        raise CommandError("where are the versions' files? Say servers.models, such as s3://bucket/folder")
    with (
        closing(registry_opener(url)(url, servers.models, Path(servers.models_cache))) as registry,
        closing(settings_opener(url)(url)) as settings,
    ):
        yield Stores(registry, settings, servers.retention, lambda: shadow_opener(url)(url))

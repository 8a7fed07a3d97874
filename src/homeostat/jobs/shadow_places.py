"""Where a challenger finds what it needs: journal, settings, versions and a place for its decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.adapters.opening import journal_opener, registry_opener, settings_opener, shadow_opener
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import brain
from homeostat.config.servers import Servers
from homeostat.engine.assembly import Prepared, fitting_bundle, prepare
from homeostat.engine.shared.connecting import ServersIncomplete
from homeostat.jobs.shadow import Kept, Shadow
from homeostat.models.deployments import CHALLENGER, deployed_at, usable
from homeostat.ports import NamedJournal, StandingJournal
from homeostat.ports.registry import Registry
from homeostat.ports.settings import Settings
from homeostat.ports.shadow import ShadowStore
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Served

_DEADLINE_S = 5.0  # Of one question to a server.


@dataclass(frozen=True, slots=True)
class Place:
    """The stores of one app that are open.

    open_journal : opens the journal for reading, for an app
    open_kept : opens the decisions of challengers; for reading alone where asked
    retention_ns : how long the journal keeps decisions; None for always
    """

    registry: Registry
    settings: Settings
    open_journal: Callable[[Prepared], NamedJournal]
    open_kept: Callable[[bool], ShadowStore]
    retention_ns: int | None = None

    def challenger(self, asked: str | None = None) -> str | None:
        """The full name of the version that is asked for, or of the challenger; None where there is none.

        Raises UnknownVersion, Unavailable.
        """
        name = asked or deployed_at(self.settings, SystemClock().now_ns(), CHALLENGER).version
        return None if name is None else usable(self.registry, name).version

    def changes(self) -> Sequence[Change]:
        """All changes of the settings so far."""
        return self.settings.since(0)


@contextmanager
def place_in(data: Path) -> Iterator[Place]:
    """The stores of a data folder, which a server may be using. Raises Unavailable, JournalError."""

    def open_journal(prepared: Prepared) -> NamedJournal:
        return SqliteJournal(data / "journal.db", app=prepared.app.app, words=prepared.words, readonly=True)

    with closing(SqliteRegistry(data)) as registry, closing(SqliteSettings(data)) as settings:
        yield Place(registry, settings, open_journal, lambda readonly: ShadowFile(data, readonly))


@contextmanager
def place_on(servers: Servers) -> Iterator[Place]:
    """The stores on servers. Raises ServersIncomplete, Unavailable, ValueError."""
    url, models = servers.journal, servers.models
    if url is None or models is None:
        missing = "servers.journal" if url is None else "servers.models"
        raise ServersIncomplete(f"a challenger needs journal and versions: say {missing}")

    def open_journal(prepared: Prepared) -> NamedJournal:
        return journal_opener(url)(
            url, app=prepared.app.app, words=prepared.words, clock=None, retention_ns=None, deadline_s=_DEADLINE_S
        )

    with (
        closing(registry_opener(url)(url, models, Path(servers.models_cache))) as registry,
        closing(settings_opener(url)(url)) as settings,
    ):
        yield Place(registry, settings, open_journal, lambda readonly: shadow_opener(url)(url), servers.retention)


def shadow_of(
    app: str | Path, place: Place, version: str, kept: Kept, opened: ExitStack,
    on_error: Callable[[str, Exception], None] | None = None,
) -> Shadow:  # fmt: skip
    """A version that follows the journal of a place; `opened` closes what it opens.

    on_error : is given the name of a part that failed, and the exception
    Raises AppFileError, UnknownVersion, BundleError, NotTrained, JournalError, Unavailable.
    """
    prepared = prepare(app)
    journal = place.open_journal(prepared)
    opened.callback(journal.close)
    prepared = prepared.keyed(journal.coding)
    bundle = fitting_bundle(place.registry.fetch(version), prepared)
    one = Shadow(
        prepared, brain(prepared.app, prepared.features, bundle), journal, kept, version, bundle,
        served=_served(journal), known=place.changes(), on_error=on_error,
    )  # fmt: skip
    opened.callback(one.close)
    return one


def _served(journal: NamedJournal) -> Served | None:
    """The secret that chance depends on since a server goes on in a replay's folder; servers' journals have none."""
    return journal.served if isinstance(journal, SqliteJournal) else None


def began_at(journal: StandingJournal, number: int) -> int:
    """The last entry before the first decisions that were made under change `number` of the settings or a later one.

    Entries are looked at by halves, since numbers rise along the journal.
    """
    low, high = 0, journal.last
    while low < high:
        middle = (low + high) // 2
        found = _number_after(journal, middle)
        if found is None or found[0] >= number:
            high = middle
        else:
            low = max(found[1], middle + 1)
    return low


_LOOKED_MAX = 64  # Entries with outcomes that may lie between two with decisions; then the half counts as later.


def _number_after(journal: StandingJournal, entry: int) -> tuple[int, int] | None:
    """The settings number of the first decisions behind an entry, and their entry; None where none are near."""
    for looked, one in enumerate(journal.read(entry)):
        if isinstance(one.body, DecisionBatch):
            return one.body.settings, one.sequence
        if isinstance(one.body, ChangeBatch) and one.body.changes:
            return one.body.changes[-1].number, one.sequence
        if looked >= _LOOKED_MAX:
            break
    return None

"""The stores that the maintenance loop reads and writes: of a data folder, or on servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from homeostat.adapters.disk.letter_tail import LetterTail
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.memory import SqliteMemory
from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.journals.entries import ById
from homeostat.adapters.opening import incidents_opener, journal_opener, memory_opener, plans_opener
from homeostat.config.servers import Servers
from homeostat.engine.assembly import Prepared
from homeostat.engine.shared.connecting import ServersIncomplete
from homeostat.ports import Entry, EntryFacts, NamedJournal, Unavailable
from homeostat.ports.maintenance import MaintenanceStore
from homeostat.ports.memory import Memory
from homeostat.ports.plans import Plans
from homeostat.records.identity import Served

_DEADLINE_S = 5.0  # Of one question to a server.
CHECKED_EACH = 16
"""The digest of each such entry is checked. Checking all took more time than reading and decoding them."""


@dataclass(frozen=True, slots=True)
class Source:
    """The stores that one process follows.

    prepared : the app, under the journal's coding
    facts : of the entries above one, where these say when they were recorded; None where the entries do so themselves
    stated : the digest of an entry; None where it is not there
    letters : the dead letters, where they are in a file
    moved : whether another journal has taken the place of this one
    replays : whether the journal's order is that in which features were served, so that they can be computed again:
        true of one process with a data folder, not of several workers that share a feature store
    memory : of past incidents; plans : the answers to incidents
    served : see `Ports`
    """

    prepared: Prepared
    journal: NamedJournal
    store: MaintenanceStore
    stated: Callable[[int], str | None]
    facts: Callable[[int], Iterator[EntryFacts]] | None = None
    letters: LetterTail | None = None
    moved: Callable[[], bool] = lambda: False
    replays: bool = False
    memory: Memory | None = None
    plans: Plans | None = None
    served: Served | None = None

    def entries(self, after: int) -> Iterator[tuple[Entry, int]]:
        """The journal's entries above one, each with the time at which it was recorded, 0 where nobody says."""
        if self.facts is None:
            return ((entry, (entry.recorded_us or 0) * 1000) for entry in self.journal.read(after))
        return _recorded(self.journal.read(after), self.facts(after))


def _recorded(entries: Iterator[Entry], facts: Iterator[EntryFacts]) -> Iterator[tuple[Entry, int]]:
    """Entries with the times at which they were recorded."""
    for entry in entries:
        fact = next((one for one in facts if one.sequence >= entry.sequence), None)
        known = fact is not None and fact.sequence == entry.sequence and fact.recorded_us is not None
        yield entry, (fact.recorded_us or 0) * 1000 if known and fact is not None else 0


@contextmanager
def store_in(data: Path, app: str) -> Iterator[MaintenanceStore]:
    """The store of incidents of a data folder."""
    with closing(SqliteIncidents(data, app=app)) as store:
        yield store


@contextmanager
def store_on(servers: Servers, app: str) -> Iterator[MaintenanceStore]:
    """The store of incidents on servers. Raises ServersIncomplete, Unavailable."""
    url = _journal(servers)
    with closing(incidents_opener(url)(url, app=app)) as store:
        yield store


@contextmanager
def source_in(data: Path, prepared: Prepared, store: MaintenanceStore) -> Iterator[Source]:
    """The journal of a data folder, which a server may be writing. Raises Unavailable, JournalError."""
    path = data / "journal.db"
    app = prepared.app.app
    with (
        SqliteJournal(path, app=app, words=prepared.words, readonly=True) as journal,
        closing(SqliteMemory(data, app=app)) as memory, closing(SqlitePlans(data, app=app)) as plans,
    ):  # fmt: skip
        was = _identity(path)
        journal.checked_each = CHECKED_EACH
        yield Source(
            prepared.keyed(journal.coding), journal, store, journal.stated, None,
            LetterTail(data / "dead_letters.jsonl"), lambda: _identity(path) != was,
            replays=True, served=journal.served, memory=memory, plans=plans,
        )  # fmt: skip


@contextmanager
def source_on(servers: Servers, prepared: Prepared, store: MaintenanceStore) -> Iterator[Source]:
    """The journal on a server. Raises ServersIncomplete, Unavailable, JournalError."""
    url = _journal(servers)
    opened = journal_opener(url)(
        url, app=prepared.app.app, words=prepared.words, clock=None, retention_ns=None, deadline_s=_DEADLINE_S
    )

    def facts(after: int) -> Iterator[EntryFacts]:
        yield from opened.recent(after)

    def stated(entry: int) -> str | None:
        found = next(facts(entry - 1), None)
        return found.digest if found is not None and found.sequence == entry else None

    app = prepared.app.app
    with (
        closing(opened) as journal, closing(memory_opener(url)(url, app=app)) as memory,
        closing(plans_opener(url)(url, app=app)) as plans,
    ):  # fmt: skip
        if isinstance(journal, ById):
            journal.checked_each = CHECKED_EACH
        yield Source(prepared.keyed(journal.coding), journal, store, stated, facts, memory=memory, plans=plans)


def _journal(servers: Servers) -> str:
    if servers.journal is None:
        raise ServersIncomplete("maintenance reads a journal: say servers.journal")
    return servers.journal


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is there; None for none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def is_there(data: Path) -> bool:
    """Whether a data folder has a journal yet. Raises Unavailable."""
    try:
        return (data / "journal.db").stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Unavailable(f"{data} can't be read: {error}") from error

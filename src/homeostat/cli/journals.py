"""The journal that a command is to read: of a folder, or that of servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from homeostat.cli.failures import CommandError

if TYPE_CHECKING:
    from homeostat.adapters.disk.sqlite.journal import SqliteJournal
    from homeostat.ports.shared import ServerJournal

_DEADLINE_S = 5.0  # Of one question to a server.


def journal_in(folder: Path) -> SqliteJournal:
    """The journal of a folder, for reading. Raises CommandError where there is none."""
    from homeostat.adapters.disk.sqlite.journal import SqliteJournal

    path = folder / "journal.db"
    if not path.is_file():
        raise CommandError(f"{folder} has no journal.db: give the --data folder of a server, or --out of a replay")
    return SqliteJournal(path, readonly=True)


def shared_journal(config: Path | None, app: str | None = None) -> ServerJournal:
    """The journal on a server that a file or an app names. Raises CommandError where none is named."""
    from homeostat.adapters.process.environment import servers_of

    address = servers_of(config, app).journal
    if address is None:
        raise CommandError("which journal? Say servers.journal in the file of --config")
    return open_journal(address)


def open_journal(address: str) -> ServerJournal:
    """The journal at an address, whichever app's it is. Raises what its adapter raises."""
    from homeostat.adapters.opening import journal_opener
    from homeostat.records.vocabulary import NAMELESS

    opener = journal_opener(address)
    return opener(address, app="", words=NAMELESS, clock=None, retention_ns=None, deadline_s=_DEADLINE_S)

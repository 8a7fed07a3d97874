"""`homeostat export`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.instants import instant
from homeostat.cli.options import Instant, Json
from homeostat.cli.progress import shown

if TYPE_CHECKING:
    from homeostat.adapters.postgres import PostgresJournal
    from homeostat.adapters.sqlite_journal import SqliteJournal


def export(
    *,
    out: Path,
    data: Annotated[Path | None, Parameter(help="The --data folder of a server, or --out of a replay.")] = None,
    config: Annotated[Path | None, Parameter(help="A file with a world section: its journal in PostgreSQL.")] = None,
    from_: Annotated[Instant, Parameter(name="--from")] = None,
    until: Instant = None,
    json: Json = False,
) -> None:
    """Write a journal as Parquet: events and outcomes, which replay and train read, and the decisions.

    A server may go on deciding meanwhile.

    Parameters
    ----------
    out
        The folder for events.parquet, outcomes.parquet and decisions.parquet.
    from_
        Only what happened, or became known, since then.
    """
    from homeostat.embedded.exporting import Read, export_journal

    if (data is None) == (config is None):
        raise CommandError("which journal? Give --data of a server or a replay, or --config with a world section")
    with ExitStack() as stack:
        journal: Read
        if config is not None:
            journal = stack.enter_context(_shared(config))
        else:
            journal = stack.enter_context(_embedded(data))
        progress = stack.enter_context(shown("export"))
        rows = export_journal(journal, out, instant(from_), instant(until), progress)
    if json:
        print(dumps({"folder": str(out), **rows}))
        return
    print(", ".join(f"{count:,} {name}" for name, count in rows.items()) + f" in {out}")
    print(
        f"next: homeostat train APP {out / 'events.parquet'} --outcomes {out / 'outcomes.parquet'} "
        "--until TIME --out bundle",
        file=sys.stderr,
    )  # fmt: skip


def _embedded(folder: Path | None) -> SqliteJournal:
    from homeostat.adapters.sqlite_journal import SqliteJournal

    path = (folder or Path()) / "journal.db"
    if not path.is_file():
        raise CommandError(f"{folder} has no journal.db: give the --data folder of a server, or --out of a replay")
    return SqliteJournal(path, readonly=True)


def _shared(config: Path) -> PostgresJournal:
    from homeostat.adapters.environment import world_of
    from homeostat.adapters.postgres import PostgresJournal

    address = world_of(config).journal
    if address is None:
        raise CommandError("which journal? Say world.journal in the file of --config")
    return PostgresJournal(address)

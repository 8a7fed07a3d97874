"""`homeostat export`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.instants import instant
from homeostat.cli.journals import journal_in, shared_journal
from homeostat.cli.options import Instant, Json
from homeostat.cli.progress import shown


def export(
    *,
    out: Path,
    data: Annotated[Path | None, Parameter(help="The --data folder of a server, or --out of a replay.")] = None,
    config: Annotated[
        Path | None, Parameter(help="A file with a `servers` section: its journal in PostgreSQL.")
    ] = None,
    from_: Annotated[Instant, Parameter(name="--from")] = None,
    until: Instant = None,
    force: Annotated[
        bool, Parameter(negative="", help="Replace files of the same names that are of no export.")
    ] = False,
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
    from homeostat.jobs.exporting import Read, export_journal, written_by_others

    if (data is None) == (config is None):
        raise CommandError("which journal? Give --data of a server or a replay, or --config with a `servers` section")
    taken = None if force else written_by_others(out)
    if taken is not None:
        raise CommandError(f"{taken} is of no earlier export: give another --out, or --force to replace it")
    with ExitStack() as stack:
        journal: Read
        if config is not None:
            journal = stack.enter_context(closing(shared_journal(config)))
        else:
            journal = stack.enter_context(journal_in(data or Path()))
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

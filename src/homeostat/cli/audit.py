"""`homeostat audit verify` and `homeostat audit follow`."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json

if TYPE_CHECKING:
    from homeostat.config.world import World

audit = App(name="audit", help="Verify the audit chain, and write that of a shared journal", help_format="plaintext")
Config: TypeAlias = Annotated[Path | None, Parameter(help="A file with a world section: whose journal it is about.")]
_CHECKPOINT_EVERY = 1000


@audit.command
def verify(file: Path, /, *, config: Config = None, head: str | None = None, json: Json = False) -> None:
    """Check that nothing in an audit file was edited, deleted or cut off; with --config, nothing in the journal either.

    Exits 0 only if the chain is whole and, where a report.json or a checkpoint lies beside it, complete; and, with
    --config, if the tables in PostgreSQL hold exactly what the file names.

    Parameters
    ----------
    file
        The audit.jsonl to check.
    head
        The hash that the chain must end in, kept elsewhere.
    json
        Print the result as JSON.
    """
    from homeostat.adapters.audit_verification import verify_beside

    result = verify_beside(file, head)
    if result.ok and config is not None:
        from homeostat.adapters.postgres.auditing import verify_tables
        from homeostat.adapters.postgres.connections import Connections

        world = _world(config)
        with Connections(world.journal or "", most=1) as connections:
            result = verify_tables(file, connections, time.time_ns(), world.retention)
    if json:
        print(dumps(asdict(result)))
    elif result.ok:
        print(f"{file}: whole, {result.entries} entries, head {result.head}")
    else:
        print(f"{file}: {result.why}", file=sys.stderr)
    sys.exit(0 if result.ok else 1)


@audit.command
def follow(
    *,
    config: Config = None,
    out: Annotated[Path, Parameter(help="The audit file, on a disk that the database's users can't write to.")],
    every: Annotated[str, Parameter(help="How often to look.")] = "1s",
    once: Annotated[bool, Parameter(negative="", help="Look once, and end.")] = False,
) -> None:
    """Write the audit trail of the journal in PostgreSQL, whichever workers write that, until a signal says to stop.

    One process at a time writes a file; one that starts again goes on where it ended, and misses nothing.
    """
    from homeostat.adapters.audit import AuditLog
    from homeostat.adapters.file_lock import FileLock
    from homeostat.adapters.postgres import PostgresJournal
    from homeostat.config.tree import duration_ns
    from homeostat.ports import Unavailable

    try:
        pause_s = duration_ns(every) / 1e9
    except ValueError as error:
        raise CommandError(str(error)) from error
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    world = _world(config)
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out.with_name(out.name + ".lock"))
    lock.acquire(f"another process writes {out}")
    with ExitStack() as opened:
        opened.callback(lock.release)
        journal = opened.enter_context(PostgresJournal(world.journal or ""))
        trail = opened.enter_context(AuditLog(out, journal, checkpoint_every=_CHECKPOINT_EVERY))
        if trail.count == 0:
            trail.record("started", {"journal": journal.where}, time.time_ns())
        told = ""
        while True:
            try:
                trail.follow(journal, time.time_ns())
                told = ""
            except Unavailable as error:
                if once:
                    raise
                if str(error) != told:
                    told = str(error)
                    print(f"homeostat: waits: {told}", file=sys.stderr, flush=True)
            if once or stopping.wait(pause_s):
                break
        print(f"homeostat: {out}: {trail.count} entries, head {trail.head}", file=sys.stderr)


def _world(config: Path | None) -> World:
    from homeostat.adapters.environment import world_of

    world = world_of(config)
    if world.journal is None:
        raise CommandError("whose journal? Say world.journal in --config FILE, or HOMEOSTAT_WORLD__JOURNAL")
    return world

"""`homeostat audit verify`, `audit head` and `audit follow`."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.journals import open_journal
from homeostat.cli.options import Json

if TYPE_CHECKING:
    from homeostat.adapters.disk.audit.findings import Verification

audit = App(name="audit", help="Verify the audit chain, and write that of a shared journal", help_format="plaintext")
Config: TypeAlias = Annotated[
    Path | None, Parameter(help="A file with a `servers` section: whose journal it is about.")
]
_CHECKPOINT_EVERY = 1000


@audit.command
def verify(
    file: Path,
    /,
    *,
    config: Config = None,
    head: str | None = None,
    checkpoint: Path | None = None,
    behind: Annotated[str, Parameter(help="With --config: how far the file may be behind the journal.")] = "1m",
    alone: Annotated[bool, Parameter(negative="", help="Verify the file only, wherever its journal is.")] = False,
    json: Json = False,
) -> None:
    """Check that nothing was edited, deleted, added or cut off: in the audit file, its journal and the files beside it.

    The journal is the journal.db beside the file; with --config, the tables in PostgreSQL. Exits 0 only if all of it is
    as it was written. No file here can prove that the newest lines are not missing everywhere: give --head or
    --checkpoint for that, kept where this machine can't write.

    Parameters
    ----------
    file
        The audit.jsonl to check, or the folder that holds it.
    head
        The hash of a line that the file must hold, as `homeostat audit head` printed it.
    checkpoint
        A copy of the audit.checkpoint.json beside the file.
    json
        Print the result as JSON.
    """
    from homeostat.adapters.disk.audit import verification as audit_verification
    from homeostat.adapters.disk.sqlite.auditing import tables_beside
    from homeostat.adapters.opening import tables_opener
    from homeostat.adapters.process.environment import names_journal

    path = file / "audit.jsonl" if file.is_dir() else file
    with ExitStack() as opened:
        tables: audit_verification.Tables | None = None if alone else tables_beside(path)
        if not alone and (config is not None or (tables is None and names_journal())):
            address, retention_ns = _journal_of(config)
            opener = tables_opener(address)
            tables = opened.enter_context(
                opener(address, now_ns=time.time_ns(), retention_ns=retention_ns, behind_ns=_duration(behind))
            )
        result = audit_verification.verify(path, tables, head=head, checkpoint=checkpoint, alone=alone)
    if json:
        print(dumps(asdict(result)))
    else:
        _show(path, result)
    sys.exit(0 if result.ok else 1)


def _show(path: Path, result: Verification) -> None:
    """The verdict for people: one line where all is well, each fault on a line of its own where it is not."""
    counts = ((result.decisions, "decisions"), (result.outcomes, "outcomes"), (result.changes, "changes"))
    compared = [f"{count:,} {what}" for count, what in counts if count]
    seen = f" ({', '.join([*compared, *result.checked])})" if result.checked else ""
    if result.ok:
        print(f"{path}: whole, {result.entries} entries, head {result.head}{seen}")
    else:
        for fault in result.faults:
            print(fault.why, file=sys.stderr)
        more = result.fault_count - len(result.faults)
        if more:
            print(f"and {more:,} more", file=sys.stderr)
        count = "1 fault" if result.fault_count == 1 else f"{result.fault_count:,} faults"
        print(f"{path}: NOT as it was written: {count}{seen}", file=sys.stderr)
    for note in result.notes:
        print(f"note: {note}", file=sys.stdout if result.ok else sys.stderr)


@audit.command(name="head")
def head_(file: Path, /) -> None:
    """Print the hash of an audit file's last line, to be kept elsewhere: `audit verify --head` holds the file to it.

    Parameters
    ----------
    file
        The audit.jsonl, or the folder that holds it.
    """
    from homeostat.adapters.disk.audit.trail import last_record

    path = file / "audit.jsonl" if file.is_dir() else file
    record = last_record(path)
    if record is None:
        raise CommandError(f"{path} holds no whole line: homeostat audit verify says more")
    print(record["hash"])


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
    from homeostat.adapters.disk.audit.trail import AuditLog
    from homeostat.adapters.disk.file_lock import FileLock
    from homeostat.adapters.opening import statements_opener
    from homeostat.ports import Unavailable

    pause_s = _duration(every) / 1e9
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    address, _ = _journal_of(config)
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out.with_name(out.name + ".lock"))
    lock.acquire(f"another process writes {out}")
    with ExitStack() as opened:
        opened.callback(lock.release)
        journal = opened.enter_context(closing(open_journal(address)))
        statements = opened.enter_context(closing(statements_opener(address)(address)))
        trail = opened.enter_context(AuditLog(out, journal, checkpoint_every=_CHECKPOINT_EVERY))
        if trail.count == 0:
            trail.record("started", {"journal": journal.where}, time.time_ns())
        printed = ""
        while True:
            try:
                trail.holds(journal.says(), time.time_ns())
                trail.follow(journal, time.time_ns())
                trail.stated(*statements.head(), time.time_ns())
                printed = ""
            except Unavailable as error:
                if once:
                    raise
                if str(error) != printed:
                    printed = str(error)
                    print(f"homeostat: waits: {printed}", file=sys.stderr, flush=True)
            if once or stopping.wait(pause_s):
                break
        print(f"homeostat: {out}: {trail.count} entries, head {trail.head}", file=sys.stderr)


def _duration(text: str) -> int:
    from homeostat.config.tree import duration_ns

    try:
        return duration_ns(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _journal_of(config: Path | None) -> tuple[str, int | None]:
    """The address of the journal that is named, and how long it keeps what it holds."""
    from homeostat.adapters.process.environment import servers_of

    servers = servers_of(config)
    if servers.journal is None:
        raise CommandError("whose journal? Say servers.journal in --config FILE, or HOMEOSTAT_SERVERS__JOURNAL")
    return servers.journal, servers.retention

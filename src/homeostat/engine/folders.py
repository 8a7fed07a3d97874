"""The files of a data folder that tell one history: the journal, and what follows from it.

A journal that is shorter than its audit trail or its snapshot was lost, emptied, or restored from an older copy: to go
on with it would decide events again that have been answered. So it is refused, until its owner says what shall count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from homeostat.adapters.disk.audit.trail import parsed
from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import FOLDER_MODE
from homeostat.adapters.disk.snapshots import FileSnapshots
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.tables import REPLAYED, SERVED
from homeostat.adapters.journals.entries import JournalError
from homeostat.errors import Conflict
from homeostat.ports import Unavailable

History = Literal["continue", "journal", "new"]

JOURNAL = ("journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal")
TRAIL = ("audit.jsonl", "audit.checkpoint.json", "report.json")
SNAPSHOTS = ("snapshot.bin", "snapshot.previous.bin")
SHADOW = ("shadow.db", "shadow.db-wal", "shadow.db-shm")  # It names entries of the journal.
INDEX = ("decisions.db", "decisions.db-wal", "decisions.db-shm")  # So does this.
OTHERS = ("dead_letters.jsonl", "decisions.parquet", "report.html")
_REPLAYED = frozenset({*JOURNAL, *TRAIL, *OTHERS, "decisions.parquet.part"})
_KEPT = frozenset({"journal.db.lock", "bundle"})  # A replay leaves them as they are, or makes the bundle again.
_FORCED = frozenset({*_REPLAYED, *SNAPSHOTS, *SHADOW, *INDEX})
_OF_NO_HISTORY = frozenset(
    {"settings.db", "models.db", "jobs.db", "statements.db", "incidents.db", "plans.db", "memory.db", "keys.json"}
)
_TAIL_BYTES = 1 << 16


class LostHistory(JournalError, Conflict):
    """The journal holds less than what lies beside it knows of; the text says what can be done."""

    why = "the files of a data folder are written together, and one of them was changed or replaced"
    remedy = "Restore the journal, or say with --history which files count"


@dataclass(frozen=True, slots=True)
class Parted:
    """An audit trail that was put aside: where it is now, how long it was, and its last hash."""

    trail: str
    entries: int
    head: str

    def facts(self) -> dict[str, Any]:
        """As the first line of the trail that comes after it."""
        return {"trail": self.trail, "entries": self.entries, "head": self.head}


def open_history(
    folder: Path, history: History, open_journal: Callable[[Path], SqliteJournal], tell: Callable[[str], None]
) -> tuple[SqliteJournal, Parted | None]:
    """The journal of a data folder, and the trail that was put aside, if one was.

    history : `continue` refuses a journal that is shorter than what is known of it; `journal` lets what it holds count,
        and puts audit trail, snapshots and decisions in shadow aside; `new` puts the journal aside, too
    Raises LostHistory, JournalError, Unavailable.
    """
    path, parted = folder / "journal.db", None
    if history != "continue":
        parted = _put_aside(folder, history, tell)
    known = _known_of_a_lost_one(folder)
    journal = open_journal(path)
    try:
        _check(folder, journal, known)
        for sentence in disagreements(folder, journal):
            tell(sentence)
    except BaseException:
        journal.close()
        raise
    return journal, parted


def check_history(folder: Path) -> None:
    """Raises LostHistory where `open_history` would; nothing is changed. Raises JournalError, Unavailable too."""
    known = _known_of_a_lost_one(folder)
    if known:
        with SqliteJournal(folder / "journal.db", readonly=True) as journal:
            _check(folder, journal, known)


_SERVERS = {"settings.db", "settings.db-wal", "settings.db-shm"}  # Files that a server leaves and no replay does.


class NotAReplay(JournalError, Conflict):
    """A folder holds more than an older replay's output; the text says what."""

    why = "a replay removes only what an earlier replay wrote"
    remedy = "Name another --out, or an empty folder"


def clear_for_replay(out: Path, force: bool, tell: Callable[[str], None], needed: Sequence[Path] = ()) -> None:
    """Remove an older replay's output from a folder.

    force : remove a server's journal, and what follows from it, too; never what is neither
    tell : is given what is removed, where it is not an older replay's output
    needed : files that the new replay reads; it is refused where one of them would be removed
    Raises NotAReplay, having removed nothing; Unavailable where another process writes there, or the disk fails.
    """
    lock, path = FileLock(out / "journal.db.lock"), out / "journal.db"
    names = {entry.name for entry in out.iterdir()}
    if "journal.db.lock" in names:
        lock.acquire(f"another process is writing to {out}: give another --out, or stop it first")
    try:
        others = sorted(names - _REPLAYED - _KEPT)
        servers = [name for name in others if name in _SERVERS]
        why = "" if others != servers else _why_not_a_replay(out, names)
        if others and not why:
            why = f"it holds {_listed(others)}"
        if why and not force:
            raise NotAReplay(
                f"{out} is not an older replay's output: {why}. Give another --out, or --force to "
                + (f"delete {goes} there" if (goes := _listed(sorted(names & _FORCED))) else "write beside it")
            )
        doomed = sorted(names & (_FORCED if force else _REPLAYED))
        for path in needed:
            if path.name in doomed and path.resolve() == (out / path.name).resolve():
                raise NotAReplay(f"{path} would be read and removed: it is an older replay's output in --out")
        if why and doomed:
            stays = sorted(names & _OF_NO_HISTORY)
            tell(f"deletes {_listed(doomed)} in {out}" + (f"; {_listed(stays)} there count on" if stays else ""))
        for name in doomed:
            (out / name).unlink()
    except OSError as error:
        raise Unavailable(f"{path.parent} can't be changed: {os.strerror(error.errno or 0)}") from error
    finally:
        lock.release()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _why_not_a_replay(out: Path, names: set[str]) -> str:
    """Why files of a replay's names may be a server's; empty where they are a replay's."""
    if not names & {*JOURNAL, *TRAIL}:
        return ""
    if "journal.db" not in names:
        return "it holds an audit trail without its journal"
    if (out / "journal.db").stat().st_size == 0:
        return ""  # A replay that was killed as it began.
    try:
        with SqliteJournal(out / "journal.db", readonly=True) as journal:
            if journal.about(REPLAYED) is not None:
                return "a server has gone on with its journal" if journal.about(SERVED) is not None else ""
            decided = len(journal)
    except JournalError as error:
        return f"its journal can't be read ({error})"
    # Older versions did not say what made a journal; a replay that came to its end left a report of its trail.
    last = _last_of(out / "audit.jsonl")
    try:
        report = json.loads((out / "report.json").read_bytes())
        if last is not None and report["audit_head"] == last[0]["hash"]:
            return ""
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return f"its journal of {decided:,} decisions may be that of a server"


def _known_of_a_lost_one(folder: Path) -> dict[str, int]:
    """See `known_elsewhere`. Raises LostHistory where there is no journal to hold it against: one would be made."""
    known, path = known_elsewhere(folder), folder / "journal.db"
    if known and not (path.is_file() and path.stat().st_size):
        raise LostHistory(_refusal(folder, 0, known, path.is_file()))
    return known


def _check(folder: Path, journal: SqliteJournal, known: dict[str, int]) -> None:
    if any(entry > journal.last for entry in known.values()):
        raise LostHistory(_refusal(folder, journal.last, known, True))


def known_elsewhere(folder: Path) -> dict[str, int]:
    """The last journal entry that each file beside it knows of, by the file's name; those that know of none left out.

    Raises Unavailable where one can't be read.
    """
    trail, snapshot = _last_of(folder / "audit.jsonl"), FileSnapshots(folder).load()
    known = {"audit.jsonl": 0 if trail is None else int(trail[0]["entry"])}
    known["snapshot.bin"] = 0 if snapshot is None else snapshot.sequence
    return {name: entry for name, entry in known.items() if entry}


def disagreements(folder: Path, journal: SqliteJournal) -> list[str]:
    """Where the audit trail names another entry than the journal holds, in a sentence."""
    found = _last_of(folder / "audit.jsonl")
    if found is None or found[1] is None:
        return []
    entry, digest = int(found[1]["entry"]), found[1]["facts"]["sha256"]
    if journal.stated(entry) in (None, digest):
        return []
    return [
        f"{folder / 'audit.jsonl'} names another entry {entry} than the journal holds, so `homeostat audit verify` "
        "fails: if the journal was restored on purpose, start once with --history journal, which puts the trail aside"
    ]


def _refusal(folder: Path, last: int, known: dict[str, int], there: bool) -> str:
    which = " and ".join(f"{name} knows of {entry:,}" for name, entry in known.items())
    holds = f"holds {last:,} entries" if there and last else "is empty" if there else "is missing"
    rest = (
        f"--history journal to go on with the {last:,} entries that there are (the trail and the snapshots are put "
        "aside, and what they know beyond is decided again if it comes again), or with "
        if last
        else ""
    )
    return (
        f"{folder / 'journal.db'} {holds}, but {which}: decisions that were answered are lost. Restore the journal "
        f"from a backup; or start with {rest}--history new to begin a new history (all old files are put aside)"
    )


def _put_aside(folder: Path, history: History, tell: Callable[[str], None]) -> Parted | None:
    """Move the files that shall not count any more into a folder of their own."""
    names = [*TRAIL, *SNAPSHOTS, *SHADOW, *INDEX, *((*JOURNAL, *OTHERS) if history == "new" else ())]
    lock = FileLock(folder / "journal.db.lock")
    lock.acquire(f"another process is writing to {folder}: stop it first")
    try:
        present = [name for name in names if (folder / name).exists()]
        if not present:
            return None
        last = _last_of(folder / "audit.jsonl")
        number = 1
        while (folder / f"earlier-{number}").exists():
            number += 1
        aside = folder / f"earlier-{number}"
        aside.mkdir(mode=FOLDER_MODE)
        for name in present:
            os.rename(folder / name, aside / name)
        tell(f"{', '.join(present)} {'were' if len(present) > 1 else 'was'} put aside into {aside}")
        if last is None:
            return None
        return Parted(f"{aside.name}/audit.jsonl", int(last[0]["sequence"]), str(last[0]["hash"]))
    except OSError as error:
        raise Unavailable(f"{folder} can't be changed: {os.strerror(error.errno or 0)}") from error
    finally:
        lock.release()


def _last_of(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """The last whole line of a trail, and the last that names a journal entry; None where there is no whole line.

    Raises Unavailable.
    """
    last: dict[str, Any] | None = None
    length = _TAIL_BYTES
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            while True:
                length = min(length, size)
                file.seek(size - length)
                lines = file.read(length).split(b"\n")
                # The first may be the rest of a line, and the last is none, or was being written.
                for line in reversed(lines[1 if length < size else 0 : -1]):
                    record = parsed(line)
                    if record is None:
                        continue
                    last = last or record
                    if record["kind"] in ("decisions", "outcomes"):
                        return last, record
                if length == size:
                    return None if last is None else (last, None)
                length *= 4
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{path} can't be read: {os.strerror(error.errno or 0)}") from error

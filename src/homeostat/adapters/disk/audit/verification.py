"""Verifying an audit trail, and that the journal and the files that it names still hold what it says, and no more.

Everything is read once. A trail that nothing vouches for can have been cut off or written again from its first line; an
anchor is a moment at which its end is known: a report.json or checkpoint beside it, or a head that was kept elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from homeostat.adapters.disk.audit.findings import Faults, Verification, shown
from homeostat.adapters.disk.audit.trail import (
    ABOUT,
    CHANGES,
    DECISIONS,
    FILE,
    NO_HASH,
    OUTCOMES,
    STATEMENTS,
    Kept,
    checkpoint_path,
    digest_of_file,
    parsed,
    read_checkpoint,
)
from homeostat.adapters.disk.file_lock import is_held
from homeostat.records import codec

_Row = TypeVar("_Row")
_CODES = {DECISIONS: codec.DECISIONS, OUTCOMES: codec.OUTCOMES, CHANGES: codec.CHANGES}
_NUMBERS = ("rows", "first_ns", "last_ns")


@dataclass(frozen=True, slots=True)
class Named:
    """A journal entry as a line of the trail names it. A field that lines of an older version lack is None.

    at_ns : when the line was written; None in a replay
    kind, rows, first_ns, last_ns, digest, took_us, recorded_us, places : see `EntryFacts`
    """

    line: int
    entry: int
    at_ns: int | None
    kind: int
    rows: int
    first_ns: int
    last_ns: int
    digest: str
    took_us: float | None
    recorded_us: int | None
    places: str | None


@dataclass(slots=True)
class Said:
    """The facts of a trail beside its entries, filled while its lines are read.

    about : SHA-256 of what the journal says of itself, by name; None where no line says it
    files : size and SHA-256 of files beside the trail, by name, as last written
    kept : what the checkpoint beside it says
    entry : the last entry that was named, 0 before the first
    about_line : the first line that says something of the journal, 0 where none does
    statements : number of a statement -> the digest of all up to it
    loose : lines of decisions or outcomes of no journal
    broken : the chain is broken; what follows is not known
    """

    about: dict[str, str] | None = None
    about_line: int = 0
    files: dict[str, tuple[object, str]] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    entry: int = 0
    statements: dict[int, str] = field(default_factory=dict)
    loose: int = 0
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """A moment at which the trail's end is known; it may have grown since.

    where : what says so
    head : the hash of the line that was the last
    count : that line's number, None where it is not known
    """

    where: str
    head: str
    count: int | None = None


class Tables(Protocol):
    """The store of the entries that a trail names."""

    def compare(self, named: Iterator[Named], said: Said, faults: Faults) -> None:
        """Add what differs. `said` is whole once `named` has ended."""
        ...


def verify(
    path: Path | str,
    tables: Tables | None = None,
    *,
    head: str | None = None,
    checkpoint: Path | None = None,
    alone: bool = False,
) -> Verification:
    """Verify a trail, against the anchors beside it and those given, and what it names.

    tables : of the journal; None where there is none
    head : the hash of a line that the trail must hold, kept elsewhere
    checkpoint : a copy of its checkpoint, kept elsewhere
    alone : verify the chain and its anchors only, wherever the journal and the files are
    Raises Unavailable where the tables can't be read.
    """
    path, faults = Path(path), Faults()
    said, anchors = Said(), []
    if head is not None:
        anchors.append(Anchor("the head that was given", head))
    if checkpoint is not None:
        anchors += _checkpoint(checkpoint, faults, Said(), needed=True)
    beside = _checkpoint(checkpoint_path(path), faults, said)
    reports = _report(path.with_name("report.json"), faults)
    anchors += beside + reports
    chain = Chain(path, anchors, faults)
    named = _named(chain, said, faults)
    with closing(chain):
        if tables is not None and not alone and chain.opened:
            tables.compare(named, said, faults)
        for _ in named:
            pass
    chain.compare_anchors()
    _compare_checkpoint(checkpoint_path(path), beside, reports, said, faults)
    if not alone and chain.whole:
        if said.loose:
            faults.add(str(path), "", f"has {said.loose} lines that follow no journal, so nothing can be compared")
        elif tables is None and said.entry:
            faults.add(str(path), "", f"names {said.entry} entries of a journal, and no journal is there to compare")
        _compare_files(path, said, faults)
    if not anchors:
        faults.notes.append(
            "nothing beside the trail, and nothing given, says where it ends: see docs/audit.md, --head"
        )
    return faults.verdict(chain.count, chain.head, chain.first_bad_line, bool(anchors))


class Chain:
    """The lines of a trail, up to where it ended when it was opened, as long as each follows from the one before."""

    def __init__(self, path: Path, anchors: Sequence[Anchor], faults: Faults) -> None:
        self.count, self.head = 0, NO_HASH
        self.first_bad_line: int | None = None
        self._path, self._anchors, self._faults = path, anchors, faults
        self._met: dict[int, str] = {}  # By the number of an anchor: the hash of the line at its count.
        self._growing = any(is_held(path.with_name(name)) for name in (f"{path.name}.lock", "journal.db.lock"))
        self._size = 0
        self.opened = self.whole = False
        try:
            self._file = open(path, "rb")  # noqa: SIM115
            self._size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            faults.add(str(path), "", f"can't be read: {os.strerror(error.errno or 0)}")
        else:
            self.opened = self.whole = True

    def close(self) -> None:
        """Close the file, also where not all of it was read."""
        if self.opened:
            self._file.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.opened:
            return
        heads = {anchor.head for anchor in self._anchors if anchor.count is None}
        counts = {anchor.count for anchor in self._anchors}
        end = 0
        with self._file as file:
            for line in file:
                end += len(line)
                if self._growing and (end > self._size or not line.endswith(b"\n")):
                    return  # Lines written just now are for the next time.
                record, why = read_line(line, self.count + 1, self.head)
                if record is None:
                    self.first_bad_line, self.whole = self.count + 1, False
                    self._faults.add(str(self._path), f"line {self.count + 1}", why)
                    return
                self.count, self.head = self.count + 1, record["hash"]
                if self.count in counts:
                    self._met[self.count] = self.head
                if self.head in heads:
                    self._met[0] = self.head
                yield record

    def compare_anchors(self) -> None:
        """Whether each anchor is on the chain, once that has been read."""
        if not self.whole:
            return
        where = str(self._path)
        if self.count == 0:
            self._faults.add(where, "", "there is nothing in it: a trail has at least the line that says what started")
        for anchor in self._anchors:
            if anchor.count is None:
                if self._met.get(0) != anchor.head:
                    why = f"no line has the hash {anchor.head}, {anchor.where}: it was cut off, or written again"
                    self._faults.add(where, "", why)
            elif anchor.count > self.count:
                why = f"it has {self.count} lines, but {anchor.where} says that there were {anchor.count}"
                self._faults.add(where, "", why)
            elif self._met.get(anchor.count, NO_HASH) != anchor.head:
                why = f"is not the one that {anchor.where} names: the trail was written again, or that is of another"
                self._faults.add(where, f"line {anchor.count}", why)


def paired(
    named: Iterator[Named], rows: Iterator[_Row], sequence: Any
) -> Iterator[tuple[Named | None, _Row | None, bool]]:
    """Lines and rows of the same entry, both in the order of entries; None where the other has none.

    sequence : of a row
    The third is whether a line with a higher number has been seen, so that a row without a line can't be newer than
    the trail.
    """
    line, row = next(named, None), next(rows, None)
    while line is not None or row is not None:
        if line is None or (row is not None and sequence(row) < line.entry):
            yield None, row, line is not None
            row = next(rows, None)
        elif row is None or sequence(row) > line.entry:
            yield line, None, True
            line = next(named, None)
        else:
            yield line, row, True
            line, row = next(named, None), next(rows, None)


def compare_about(where: str, about: dict[str, str], said: Said, faults: Faults) -> None:
    """Whether the journal says of itself what the trail says that it does. No value is shown: some are secret.

    about : SHA-256 by name
    """
    if said.about is None:
        faults.notes.append(f"{where}: not in this trail, which an older version began; the next start adds it")
        return
    for name, digest in said.about.items():
        if name not in about:
            faults.add(where, repr(name), "is missing", "name")
        elif about[name] != digest:
            faults.add(where, repr(name), "value is not the one whose hash the trail names", "value")
    for name in about.keys() - said.about.keys():
        faults.add(where, repr(name), "is not in the trail", "name")


def records(path: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a trail that has been verified."""
    with open(path, "rb") as file:
        for line in file:
            record = parsed(line[:-1])
            if record is not None:
                yield record


def _named(chain: Chain, said: Said, faults: Faults) -> Iterator[Named]:
    """The entries that a trail names; what else it says goes into `said`."""
    for record in chain:
        kind, facts, where = record.get("kind"), record.get("facts"), f"line {chain.count}"
        if not isinstance(facts, dict):
            faults.add("the trail", where, "has no facts")
        elif kind in _CODES:
            line = _entry_of(record, facts, chain.count)
            if line is None:
                faults.add("the trail", where, "does not name an entry as a line does")
            elif said.about_line and line.at_ns is not None and line.took_us is None:
                faults.add("the trail", where, "does not say how long its entry took, as such lines do")
            elif line.entry == said.entry == 0:
                said.loose += 1
            elif line.entry <= said.entry:
                faults.add("the trail", where, f"names entry {line.entry} after entry {said.entry}")
            else:
                said.entry = line.entry
                yield line
            continue
        elif kind == ABOUT:
            _take_about(facts, said, chain.count, faults)
        elif kind == STATEMENTS and isinstance(facts.get("number"), int):
            said.statements[facts["number"]] = str(facts.get("sha256"))
        elif kind == FILE:
            said.files[str(facts.get("name"))] = (facts.get("bytes"), str(facts.get("sha256")))
        if record["entry"] != said.entry:
            faults.add("the trail", where, f"follows entry {record['entry']}, and the lines before it {said.entry}")
    said.broken = not chain.whole


def _entry_of(record: dict[str, Any], facts: dict[str, Any], number: int) -> Named | None:
    rows, first_ns, last_ns = (facts.get(name) for name in _NUMBERS)
    digest, at_ns, took_us = facts.get("sha256"), record.get("at_ns"), facts.get("took_us")
    recorded_us, places = facts.get("recorded_us"), facts.get("places")
    whole = (
        all(isinstance(value, int) for value in (rows, first_ns, last_ns)) and isinstance(digest, str)
        and all(value is None or isinstance(value, int) for value in (at_ns, recorded_us))
        and (took_us is None or isinstance(took_us, (int, float))) and (places is None or isinstance(places, str))
    )  # fmt: skip
    if not whole:
        return None
    return Named(
        number, record["entry"], at_ns, _CODES[record["kind"]], rows, first_ns, last_ns, digest,  # type: ignore[arg-type]
        took_us, recorded_us, places,
    )  # fmt: skip


def _take_about(facts: dict[str, Any], said: Said, number: int, faults: Faults) -> None:
    """Names may be added later, by a newer version; none changes, and none goes."""
    given = facts.get("about")
    if not isinstance(given, dict):
        faults.add("the trail", f"line {number}", "does not say what the journal is")
        return
    about = {str(name): str(digest) for name, digest in given.items()}
    for name, digest in (said.about or {}).items():
        if about.get(name) != digest:
            why = f"the journal's {shown(name)} is another than before: it was edited, or it is another journal"
            faults.add("the trail", f"line {number}", why)
    said.about = (said.about or {}) | about
    said.about_line = said.about_line or number


def read_line(line: bytes, number: int, previous: str) -> tuple[dict[str, Any] | None, str]:
    """The record of a line, or why it is none."""
    if not line.endswith(b"\n"):
        return None, "is cut short"
    record = parsed(line[:-1])
    if record is None:
        return None, "is not what was written: its hash is not that of its content"
    if record["sequence"] != number:
        return None, f"says that it is line {record['sequence']}"
    if record.get("previous") != previous:
        return None, "does not name the line before it"
    return record, ""


def _checkpoint(path: Path, faults: Faults, said: Said, needed: bool = False) -> list[Anchor]:
    """The anchor that a checkpoint is; none where there is no file."""
    try:
        count, head, said.kept = read_checkpoint(path)
    except FileNotFoundError:
        if needed:
            faults.add(str(path), "", "is missing")
        return []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not as it was written"
        faults.add(str(path), "", f"can't be read: {why}")
        return []
    return [Anchor(path.name, head, count)]


def _report(path: Path, faults: Faults) -> list[Anchor]:
    """The anchor that a replay's report holds; none where there is no report."""
    try:
        report = json.loads(path.read_bytes())
        count, head = report["audit_entries"], report["audit_head"]
        if not isinstance(count, int) or not isinstance(head, str):
            raise TypeError("wrong types")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        faults.add(str(path), "", "can't be read, or does not name the trail's end and length")
        return []
    return [Anchor(path.name, head, count)]


def _compare_checkpoint(path: Path, beside: list[Anchor], reports: list[Anchor], said: Said, faults: Faults) -> None:
    """Whether the checkpoint is there where it must be, and says what the trail says."""
    kept = said.kept
    for anchor in beside:
        if kept.bare and 0 < said.about_line <= (anchor.count or 0):
            faults.add(path.name, "", "has no hash of its own, as those have that are written with such a trail")
    if reports and said.about_line and not beside:
        faults.add(path.name, "", "is missing, and was written with the report.json that is there")
    if any((said.about or {}).get(name) != digest for name, digest in kept.about.items()):
        faults.add(path.name, "", "says something else of the journal than the trail does")


def _compare_files(path: Path, said: Said, faults: Faults) -> None:
    """Whether the files beside the trail are as they were when they were written last."""
    named = {name: (size, digest, "the trail") for name, (size, digest) in said.files.items()}
    named |= {name: (None, digest, "the checkpoint") for name, digest in said.kept.files.items()}
    for name, (size, digest, source) in named.items():
        beside = path.with_name(Path(name).name or "?")
        try:
            found, found_size = digest_of_file(beside)
        except (OSError, ValueError) as error:
            why = "is missing" if isinstance(error, FileNotFoundError) else "can't be read"
            faults.add(name if name.isprintable() else shown(name), "", why)
            continue
        if found != digest:
            faults.add(name, "", f"is not what {source} says: its SHA-256 is {found} instead of {digest}")
        elif source == "the trail" and size != found_size:
            faults.add(name, "", f"has {found_size} bytes instead of {shown(size)}, as {source} says")
        faults.checked.append(name)

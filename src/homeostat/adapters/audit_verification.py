"""Verifying an audit trail: that nothing in it was changed, and, given an anchor, that nothing is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from homeostat.adapters.audit import DECISIONS, NO_HASH, OUTCOMES, checkpoint_path, parsed
from homeostat.adapters.entries import EntryFacts, JournalError
from homeostat.records import codec


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    ok : the chain is whole, and fits every anchor that was given
    entries : lines that are whole, from the first on
    head : the hash of the last of them
    first_bad_line : the number of the first line that is not, from 1; None if there is none
    why : what is wrong, in a sentence; empty when all is well
    anchored : an anchor was compared, so lines cut off at the end would have been noticed
    """

    ok: bool
    entries: int
    head: str
    first_bad_line: int | None = None
    why: str = ""
    anchored: bool = False


class Digests(Protocol):
    """A journal whose entries can be digested anew."""

    def facts(self, after: int = 0) -> Iterator[EntryFacts]: ...

    def digest(self, sequence: int) -> str: ...


def verify(
    path: Path | str, head: str | None = None, count: int | None = None, checkpoint: tuple[int, str] | None = None
) -> Verification:
    """Verify a trail.

    head : the hash that its last line must have
    count : how many lines it must have
    checkpoint : (count, head) at some earlier moment; the trail may have grown since
    """
    path = Path(path)
    entries, last, why, at_checkpoint = 0, NO_HASH, "", NO_HASH
    try:
        with open(path, "rb") as file:
            for line in file:
                why = _fault(line, entries + 1, last)
                if why:
                    return Verification(False, entries, last, entries + 1, f"line {entries + 1} {why}")
                entries, last = entries + 1, line[-67:-3].decode()
                if checkpoint is not None and entries == checkpoint[0]:
                    at_checkpoint = last
    except OSError as error:
        return Verification(False, 0, NO_HASH, None, f"{path} can't be read: {os.strerror(error.errno or 0)}")
    why = _missing(entries, last, head, count, checkpoint, at_checkpoint)
    anchored = head is not None or count is not None or checkpoint is not None
    return Verification(not why, entries, last, None, why, anchored)


def verify_beside(path: Path | str, head: str | None = None) -> Verification:
    """Verify a trail against `head`, and against the report.json and the checkpoint that lie beside it."""
    path = Path(path)
    count, checkpoint = None, None
    try:
        report = _json_beside(path.with_name("report.json"))
        if report is not None:
            told, count = report["audit_head"], report["audit_entries"]
            if not isinstance(told, str) or not isinstance(count, int):
                raise TypeError("wrong types")
            if head is not None and head != told:
                return replace(verify(path, head), ok=False, why="report.json names another head than the one given")
            head = told
        kept = _json_beside(checkpoint_path(path))
        if kept is not None:
            checkpoint = (int(kept["count"]), str(kept["head"]))
    except (OSError, ValueError, KeyError, TypeError):
        why = "the report.json or the checkpoint beside it can't be read, or doesn't name the trail's head and length"
        return replace(verify(path), ok=False, why=why)
    return verify(path, head, count, checkpoint)


def verify_journal(path: Path | str, journal: Digests) -> Verification:
    """Verify a trail, and that the journal holds exactly the decisions that it names, in order.

    Every body in the journal is read and digested anew. Outcomes are compared where the trail names any.
    """
    found = verify_beside(path)
    if not found.ok:
        return found
    named: dict[str, list[str]] = {DECISIONS: [], OUTCOMES: []}
    for record in records(path):
        if record["kind"] in named:
            named[record["kind"]].append(record["facts"]["sha256"])
    held: dict[str, int] = {DECISIONS: 0, OUTCOMES: 0}
    try:
        for entry in journal.facts():
            kind = DECISIONS if entry.kind == codec.DECISIONS else OUTCOMES
            if kind == OUTCOMES and not named[OUTCOMES]:
                continue
            at = held[kind]
            if at >= len(named[kind]):
                return replace(found, ok=False, why=f"journal entry {entry.sequence} is not in the trail")
            if journal.digest(entry.sequence) != named[kind][at]:
                return replace(found, ok=False, why=f"journal entry {entry.sequence} is not what the trail says")
            held[kind] += 1
    except JournalError as error:
        return replace(found, ok=False, why=str(error))
    for kind, digests in named.items():
        if held[kind] < len(digests):
            why = f"the trail names {len(digests)} entries of {kind}, the journal holds {held[kind]}"
            return replace(found, ok=False, why=why)
    return found


def verify_files(path: Path | str) -> Verification:
    """Verify a trail, and that each file beside it that it names is as it was when it was written last."""
    found = verify_beside(path)
    if not found.ok:
        return found
    named = {record["facts"]["name"]: record["facts"]["sha256"] for record in records(path) if record["kind"] == "file"}
    for name, digest in named.items():
        try:
            with open(Path(path).with_name(Path(name).name), "rb") as file:
                hashed = sha256()
                while block := file.read(1 << 20):
                    hashed.update(block)
        except OSError:
            return replace(found, ok=False, why=f"{name} is missing")
        if hashed.hexdigest() != digest:
            return replace(found, ok=False, why=f"{name} is not what the trail says")
    return found


def records(path: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a trail that has been verified."""
    with open(path, "rb") as file:
        for line in file:
            record = parsed(line[:-1])
            if record is not None:
                yield record


def _fault(line: bytes, number: int, previous: str) -> str:
    if not line.endswith(b"\n"):
        return "is cut short"
    record = parsed(line[:-1])
    if record is None:
        return "is not what was written: its hash is not that of its content"
    if record["sequence"] != number:
        return f"says that it is line {record['sequence']}"
    if record.get("previous") != previous:
        return "does not name the line before it"
    return ""


def _missing(
    entries: int, last: str, head: str | None, count: int | None, checkpoint: tuple[int, str] | None, at_checkpoint: str
) -> str:
    if entries == 0:
        return "there is nothing in it: a trail has at least the line that says what started"
    if count is not None and entries != count:
        return f"it has {entries} lines instead of {count}"
    if head is not None and last != head:
        return f"it ends in {last}, not in {head}"
    if checkpoint is not None and entries < checkpoint[0]:
        return f"it has {entries} lines, but its checkpoint says that there were {checkpoint[0]}"
    if checkpoint is not None and at_checkpoint != checkpoint[1]:
        return f"line {checkpoint[0]} is not the one that the checkpoint names"
    return ""


def _json_beside(path: Path) -> dict[str, Any] | None:
    try:
        loaded = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(loaded, dict):
        raise TypeError(f"{path} holds no object")
    return loaded

"""The audit trail: JSON Lines in which each line names the hash of the one before it.

A line is a JSON object in ASCII with sorted names and no spaces, and its own hash as the last member::

    {"at_ns":null,"entry":1,"facts":{...},"kind":"decisions","previous":"...","sequence":2,"hash":"..."}

`hash` is the SHA-256 of the line without that member; `previous` is the hash of the line before, 64 zeros in the first.
Decisions are audited one line for each piece of a batch: its rows, its times and the SHA-256 of its content, as
`records.codec` defines it. A replay writes nothing that hangs on a clock, so that two replays write the same trail; how
long its decisions took, and its report, are digested in the checkpoint beside the trail instead.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from homeostat.adapters.disk.files import FILE_MODE, opener, replace_file
from homeostat.adapters.journals.entries import PIECE_ROWS
from homeostat.errors import HomeostatError
from homeostat.ports import Audited, EntryFacts, Unavailable
from homeostat.records import codec
from homeostat.records.decisions import DecisionBatch
from homeostat.records.rows import parts

NO_HASH = "0" * 64
HASH_MEMBER = ',"hash":"'
TAIL_CHARACTERS = len(HASH_MEMBER) + 64 + 2  # The hash member, the brace and the quote that follow it.
DECISIONS, OUTCOMES, CHANGES, ABOUT, FILE = "decisions", "outcomes", "changes", "journal", "file"
STATEMENTS = "statements"
_KINDS = {codec.DECISIONS: DECISIONS, codec.OUTCOMES: OUTCOMES, codec.CHANGES: CHANGES}
_TOOK = struct.Struct("<qd")
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class AuditError(HomeostatError):
    """An audit trail can't be continued: its end is damaged or missing."""

    why = "each line of an audit trail holds the hash of the one before, so a gap can't be bridged"
    remedy = "Keep the file as evidence, and restore it from a copy"


@dataclass(slots=True)
class Kept:
    """The contents of a checkpoint, beside where the trail stood.

    about : SHA-256 of what the journal says of itself, by name, as the trail last had it
    files : SHA-256 of files beside the trail that the trail itself can't name, since they name its end
    took_entries, took : the last entry of which the trail does not say how long it took, and a digest of those times
    bare : an older version wrote it, whose checkpoints have no hash of their own
    """

    about: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    took_entries: int = 0
    took: str = ""
    bare: bool = False

    @classmethod
    def of(cls, checkpoint: dict[str, Any]) -> Kept:
        """Of a checkpoint's members. Raises ValueError, TypeError, AttributeError."""
        about, files, took = (dict(checkpoint.get(name, {})) for name in ("about", "files", "took"))
        if not all(isinstance(value, str) for value in (*about.values(), *files.values())):
            raise TypeError("a hash is a text")
        bare = "hash" not in checkpoint
        return cls(about, files, int(took.get("entries", 0)), str(took.get("sha256", "")), bare)

    def members(self) -> dict[str, Any]:
        """As members of a checkpoint."""
        out: dict[str, Any] = {name: value for name in ("about", "files") if (value := getattr(self, name))}
        if self.took_entries:
            out["took"] = {"entries": self.took_entries, "sha256": self.took}
        return out


class TookDigest:
    """The digest of how long batches took, entry by entry."""

    def __init__(self) -> None:
        self._digest = sha256()

    def add(self, entry: int, took_us: float) -> None:
        """The next entry's."""
        self._digest.update(_TOOK.pack(entry, took_us))

    def hexdigest(self) -> str:
        """Of all so far."""
        return self._digest.hexdigest()


def checkpoint_path(path: Path) -> Path:
    """Where the checkpoint of an audit file lies: beside it."""
    return path.with_name(path.stem + ".checkpoint.json")


def _entry_line(kind: str, entry: EntryFacts, at_ns: int | None, sequence: int, previous: str) -> tuple[str, str]:
    """The same as `line_of` for a journal entry, whose names are known: a fifth of the time of an encoder."""
    at = "null" if at_ns is None else at_ns
    took = "" if at_ns is None else f',"took_us":{float(entry.took_us)!r}'
    places = "" if entry.places is None else f'"places":"{entry.places}",'
    recorded = "" if entry.recorded_us is None else f'"recorded_us":{entry.recorded_us},'
    text = (
        f'{{"at_ns":{at},"entry":{entry.sequence},"facts":{{"first_ns":{entry.first_ns},"last_ns":{entry.last_ns},'
        f'{places}{recorded}"rows":{entry.rows},"sha256":"{entry.digest}"{took}}},"kind":"{kind}",'
        f'"previous":"{previous}","sequence":{sequence}'
    )
    digest = sha256(f"{text}}}".encode("ascii")).hexdigest()
    return f'{text}{HASH_MEMBER}{digest}"}}', digest


def line_of(record: dict[str, Any]) -> tuple[str, str]:
    """A record as its line, without the line's end, and its hash."""
    text = _CANONICAL.encode(record)
    digest = sha256(text.encode("ascii")).hexdigest()
    return f'{text[:-1]}{HASH_MEMBER}{digest}"}}', digest


class AuditLog:
    """Appends to an audit file. Once a method has returned, its lines survive a kill of the process. A context manager.

    head : hash of the last line
    count : lines so far
    """

    def __init__(
        self, path: Path | str, journal: Audited | None = None, checkpoint_every: int = 0, mode: int = FILE_MODE
    ) -> None:
        """Open, or create, a trail.

        journal : where the decisions are; their digests are then taken from it instead of being computed again, and
            its outcomes are audited too
        mode : who may read and write files that are created
        checkpoint_every : lines after which count and head are written to `checkpoint_path`; 0 writes none

        Raises AuditError for a trail whose end is damaged, or that is shorter than its checkpoint; Unavailable.
        """
        self.path = Path(path)
        self.head, self.count, self._entry = NO_HASH, 0, 0
        self._journal, self._checkpoint_every, self._mode = journal, checkpoint_every, mode
        self._keeping: threading.Thread | None = None
        self._kept, self._took = Kept(), TookDigest()
        self._stated = 0, ""
        dropped = self._continue()
        if checkpoint_every:
            self._check_checkpoint()
        try:
            self._file = open(self.path, "ab", opener=opener(mode))  # noqa: SIM115
            if dropped:
                self._file.truncate(self._file.seek(0, os.SEEK_END) - dropped)
        except OSError as error:
            raise Unavailable(f"{self.path} can't be written: {os.strerror(error.errno or 0)}") from error
        self._size = self._file.seek(0, os.SEEK_END)
        if dropped:
            # A line that was being written when its process died was never acknowledged.
            self.record("recovered", {"dropped_bytes": dropped}, None)

    def started(self, version: str, now_ns: int | None) -> None:
        """From here on, this version decides."""
        self.record("started", {"version": version}, now_ns)

    def decided(self, batch: DecisionBatch, now_ns: int | None = None) -> None:
        """These decisions were made; where there is a journal, everything in it that wasn't audited yet."""
        if self._journal is not None:
            self.follow(self._journal, now_ns)
            return
        records = []
        for piece in parts(batch, PIECE_ROWS):
            time_ns = piece.events.time_ns
            if len(time_ns):
                digest = codec.head(codec.encode(piece)).digest
                records.append(_facts(len(piece), int(time_ns.min()), int(time_ns.max()), digest))
        self._write([(DECISIONS, facts, self._entry) for facts in records], now_ns)

    def follow(self, journal: Audited, now_ns: int | None = None) -> None:
        """Audit every journal entry that wasn't yet: after a crash too, when the journal is a step ahead."""
        lines, head, count, last = [], self.head, self.count, self._entry
        took: list[tuple[int, float]] = []
        for entry in journal.recent(self._entry):
            count, last = count + 1, entry.sequence
            line, head = _entry_line(_KINDS[entry.kind], entry, now_ns, count, head)
            lines.append(line)
            if now_ns is None:
                took.append((entry.sequence, entry.took_us))
        self._append(lines, head, count, last)
        for sequence, took_us in took:
            self._took.add(sequence, took_us)

    def holds(self, about: dict[str, str], now_ns: int | None = None) -> None:
        """The journal says this of itself; only hashes of it are written, and only where they are new."""
        hashes = {name: sha256(value.encode("utf-8", "surrogatepass")).hexdigest() for name, value in about.items()}
        if hashes != self._kept.about:
            self.record(ABOUT, {"about": hashes}, now_ns)
            self._kept.about = hashes

    def stated(self, number: int, digest: str, now_ns: int | None = None) -> None:
        """There are so many statements, and this digests them; written only where it is new."""
        if number and (number, digest) != self._stated:
            self.record(STATEMENTS, {"number": number, "sha256": digest}, now_ns)
            self._stated = number, digest

    def wrote(self, path: Path, now_ns: int | None = None, *, digest: tuple[str, int] | None = None) -> None:
        """This file beside the trail was written: its size and SHA-256.

        digest : as `digest_of_file` gives it, where the caller has it
        """
        text, size = digest_of_file(path) if digest is None else digest
        self.record(FILE, {"name": path.name, "bytes": size, "sha256": text}, now_ns)

    def seal(self, *files: Path) -> None:
        """The trail is complete: digest what it can't name itself into its checkpoint.

        files : beside it, such as a report that names the trail's end
        """
        self._kept.files |= {path.name: digest_of_file(path)[0] for path in files}
        self._kept.took_entries, self._kept.took = self._entry, self._took.hexdigest()
        self.checkpoint()

    def record(self, kind: str, facts: dict[str, Any], now_ns: int | None) -> None:
        """Any other fact: `trained`, `settings changed`. `facts` are plain JSON values."""
        self._write([(kind, facts, self._entry)], now_ns)

    def checkpoint(self) -> None:
        """Put count and head on the disk beside the trail; a copy kept elsewhere proves more still."""
        self.wait_for_checkpoint()
        self._keep(os.dup(self._file.fileno()), self._standing())

    def wait_for_checkpoint(self) -> None:
        """Wait for the checkpoint that is being written, if one is."""
        if self._keeping is not None:
            self._keeping.join()
            self._keeping = None

    def _checkpoint_beside(self) -> None:
        """The same while lines go on being written: the disk takes milliseconds, and decisions wait for the lines."""
        self.wait_for_checkpoint()
        descriptor, standing = os.dup(self._file.fileno()), self._standing()

        def keep() -> None:
            with suppress(
                OSError, Unavailable
            ):  # The next one tries again, and the last, in `close`, says what is wrong.
                self._keep(descriptor, standing)

        self._keeping = threading.Thread(target=keep, name="audit-checkpoint")
        self._keeping.start()

    def _standing(self) -> dict[str, Any]:
        return {"count": self.count, "head": self.head, **self._kept.members()}

    def _keep(self, descriptor: int, standing: dict[str, Any]) -> None:
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        replace_file(checkpoint_path(self.path), [line_of(standing)[0].encode("ascii"), b"\n"], mode=self._mode)

    def close(self) -> None:
        """Close the file, after a last checkpoint where checkpoints are kept."""
        if not self._file.closed:
            with self._file:  # Closed where the checkpoint can't be written, too.
                if self._checkpoint_every:
                    self.checkpoint()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write(self, records: list[tuple[str, dict[str, Any], int]], now_ns: int | None) -> None:
        lines, head, count, entry = [], self.head, self.count, self._entry
        for kind, facts, entry in records:
            count += 1
            line, head = line_of({
                "at_ns": now_ns, "entry": entry, "facts": facts, "kind": kind, "previous": head, "sequence": count,
            })  # fmt: skip
            lines.append(line)
        self._append(lines, head, count, entry)

    def _append(self, lines: list[str], head: str, count: int, entry: int) -> None:
        """Write whole lines, after which the trail stands as given."""
        if not lines:
            return
        if self._file.closed:
            raise Unavailable(f"{self.path} can't be written: it is closed")
        start = self._size
        try:
            self._file.write(("\n".join(lines) + "\n").encode("ascii"))
            self._file.flush()
        except (OSError, ValueError) as error:
            self._undo(start)
            raise Unavailable(f"{self.path} can't be written: {error}") from error
        self._size = start + sum(map(len, lines)) + len(lines)
        before, self.head, self.count, self._entry = self.count, head, count, entry
        if self._checkpoint_every and before // self._checkpoint_every != count // self._checkpoint_every:
            self._checkpoint_beside()

    def _undo(self, start: int) -> None:
        """Take a line back that was written in part; what the file object still holds goes with it."""
        descriptor = os.dup(self._file.fileno())
        try:
            self._file.close()
        except OSError:
            pass  # Closing tries once more to write what could not be written.
        finally:
            os.ftruncate(descriptor, start)
            self._file = os.fdopen(descriptor, "ab")

    def _continue(self) -> int:
        """Take up the chain at the file's last line; returns how many bytes of an unfinished line follow it."""
        last, dropped = _end_of(self.path)
        if last is not None:
            record = parsed(last)
            if record is None:
                raise AuditError(f"the last line of {self.path} is damaged: verify the trail, and start another")
            self.head, self.count, self._entry = record["hash"], record["sequence"], record["entry"]
        return dropped

    def _check_checkpoint(self) -> None:
        try:
            count, _, self._kept = read_checkpoint(checkpoint_path(self.path))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise AuditError(f"{checkpoint_path(self.path)} can't be read") from error
        if self.count < count:
            raise AuditError(f"{self.path} has {self.count} lines, but its checkpoint says that there were {count}")


def digest_of_file(path: Path) -> tuple[str, int]:
    """The SHA-256 of a file, and its size in bytes. Raises OSError."""
    digest = sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest(), file.tell()


def parsed(line: bytes) -> dict[str, Any] | None:
    """The record of a line, without its end; None unless its hash is that of its content."""
    record = _sealed(line)
    if record is None or not all(isinstance(record.get(name), int) for name in ("sequence", "entry")):
        return None
    return record


def read_checkpoint(path: Path) -> tuple[int, str, Kept]:
    """The count, the head and more that a checkpoint names. Raises ValueError where it is damaged; OSError."""
    data = path.read_bytes()
    checkpoint = _sealed(data[:-1]) if data.endswith(b"\n") else None
    try:
        if checkpoint is None:  # Those of older versions name no more than this, and have no hash of their own.
            checkpoint = json.loads(data)
            if set(checkpoint) != {"count", "head"}:
                raise ValueError("it has been changed")
        count, head, kept = checkpoint["count"], checkpoint["head"], Kept.of(checkpoint)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it is no checkpoint") from error
    if not isinstance(count, int) or not isinstance(head, str):
        raise ValueError("it is no checkpoint")
    return count, head, kept


def _sealed(line: bytes) -> dict[str, Any] | None:
    """The object that ends in its own hash; None where the hash is not that of its content."""
    if len(line) <= TAIL_CHARACTERS or line[-TAIL_CHARACTERS:-66] != HASH_MEMBER.encode() or line[-2:] != b'"}':
        return None
    digest = line[-66:-2]
    content = line[:-TAIL_CHARACTERS] + b"}"
    if sha256(content).hexdigest().encode() != digest:
        return None
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return {**record, "hash": digest.decode()} if isinstance(record, dict) else None


def _facts(rows: int, first_ns: int, last_ns: int, digest: str) -> dict[str, Any]:
    return {"rows": rows, "first_ns": first_ns, "last_ns": last_ns, "sha256": digest}


def last_record(path: Path) -> dict[str, Any] | None:
    """The record of a trail's last whole line; None where there is no such line. Raises Unavailable."""
    last, _ = _end_of(path)
    return None if last is None else parsed(last)


def _end_of(path: Path) -> tuple[bytes | None, int]:
    """The last whole line of a file, if there is one, and the number of bytes after it."""
    try:
        with open(path, "rb") as file:
            return _last_line(file)
    except FileNotFoundError:
        return None, 0
    except OSError as error:
        raise Unavailable(f"{path} can't be read: {os.strerror(error.errno or 0)}") from error


def _last_line(file: Any) -> tuple[bytes | None, int]:
    """The last whole line without its end, None if there is none, and the number of bytes after it."""
    size = file.seek(0, os.SEEK_END)
    length = 4096
    while True:
        length = min(length, size)
        file.seek(size - length)
        tail = file.read(length)
        end = tail.rfind(b"\n")
        start = tail.rfind(b"\n", 0, max(end, 0))
        if end >= 0 and (start >= 0 or length == size):
            return tail[start + 1 : end], length - end - 1
        if length == size:
            return None, size
        length *= 4

"""A queue of records on disk, in order, bounded: what a killed process had put into it, its successor finds.

A queue is a folder of files. Each begins with a head (magic, where its first waiting record starts), then come records:
length, CRC-32, time, rows, and the record's bytes. A file is removed once all of it was taken. A record that was being
written when its process died is cut off.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.ports import Unavailable

_HEAD = struct.Struct("<8sQ")
_RECORD = struct.Struct("<IIqI")
_MAGIC = b"HMSPOOL1"
_SUFFIX = ".spool"
_SLOTS = 1000  # Processes on one folder.
SEGMENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record that was not taken yet.

    number : rises from record to record while the queue is open
    at_ns : when it was put in
    """

    number: int
    path: Path
    start: int
    length: int
    at_ns: int
    rows: int

    @property
    def end(self) -> int:
        """Where the next record starts."""
        return self.start + _RECORD.size + self.length


class SegmentQueue:
    """One process's queue below a folder that several share. Not for use by several threads at once."""

    def __init__(
        self, folder: Path, max_bytes: int, *, power_safe: bool = False, file_bytes: int = SEGMENT_BYTES,
        when_full: str = "nothing more is decided until the server takes what waits there",
    ) -> None:  # fmt: skip
        """Open a queue of this process's own, and take over those that dead processes have left in the folder.

        max_bytes : on the disk; `put` refuses more
        power_safe : `put` waits for the disk, so that not even losing power loses a record
        when_full : what it means that the queue is full, for people

        Raises Unavailable where the folder can't be used.
        """
        self._max_bytes, self._power_safe, self._file_bytes = max_bytes, power_safe, file_bytes
        self._when_full = when_full
        self._file: int | None = None
        self._path = Path()
        self._size = 0
        self._sizes: dict[Path, int] = {}
        self._number = 0
        self.waiting: deque[Waiting] = deque()
        self.rows = 0
        try:
            self.folder, self._lock = _own_slot(folder)
            self._adopt(folder)
            for path in _files(self.folder):
                self._load(path)
        except OSError as error:
            raise Unavailable(f"the spool {folder} can't be used: {_why(error)}") from error

    @property
    def nbytes(self) -> int:
        """The bytes that the queue takes on the disk."""
        return sum(self._sizes.values())

    def put(self, record: bytes, rows: int, at_ns: int) -> Waiting:
        """Append a record, all or nothing. Raises Unavailable, having written nothing: full, or the disk fails."""
        size = _RECORD.size + len(record)
        if self.nbytes + size > self._max_bytes:
            raise Unavailable(f"the spool {self.folder} is full ({self._max_bytes >> 20} MB): {self._when_full}")
        try:
            if self._file is None or self._size + size > self._file_bytes:
                self._begin_file()
            assert self._file is not None
            before = _RECORD.pack(len(record), crc32(record), at_ns, rows)
            _write_all(self._file, before + record, self._size)
            if self._power_safe:
                os.fsync(self._file)
        except OSError as error:
            self._undo()
            raise Unavailable(f"the spool {self.folder} can't be written: {_why(error)}") from error
        waiting = self._note(self._path, self._size, len(record), at_ns, rows)
        self._size += size
        self._sizes[self._path] = self._size
        return waiting

    def read(self, waiting: Waiting) -> bytes:
        """A record's bytes. Raises Unavailable where the disk fails or has damaged it."""
        try:
            with open(waiting.path, "rb") as file:
                file.seek(waiting.start)
                length, checksum, _, _ = _RECORD.unpack(file.read(_RECORD.size))
                record = file.read(length)
        except (OSError, struct.error) as error:
            raise Unavailable(f"the spool {waiting.path} can't be read: {_why(error)}") from error
        if length != waiting.length or crc32(record) != checksum:
            raise Unavailable(f"the spool {waiting.path} is damaged at byte {waiting.start}")
        return record

    def take(self) -> None:
        """Forget the first record: it is where it belongs. Forgetting fails quietly; it is then taken again."""
        first = self.waiting.popleft()
        self.rows -= first.rows
        try:
            if self.waiting and self.waiting[0].path == first.path:
                with open(first.path, "r+b") as file:
                    file.write(_HEAD.pack(_MAGIC, first.end))
                return
            if first.path == self._path:
                self._end_file()
            first.path.unlink(missing_ok=True)
            self._sizes.pop(first.path, None)
        except OSError:
            return

    def close(self) -> None:
        """Close the files; what waits stays on the disk."""
        self._end_file()
        self._lock.release()

    def _note(self, path: Path, start: int, length: int, at_ns: int, rows: int) -> Waiting:
        self._number += 1
        waiting = Waiting(self._number, path, start, length, at_ns, rows)
        self.waiting.append(waiting)
        self.rows += rows
        return waiting

    def _begin_file(self) -> None:
        self._end_file()
        files = _files(self.folder)
        path = self.folder / f"{int(files[-1].stem) + 1 if files else 1:08d}{_SUFFIX}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._path, self._size = path, 0
        _write_all(self._file, _HEAD.pack(_MAGIC, _HEAD.size), 0)
        if self._power_safe:
            folder = os.open(self.folder, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        self._size = self._sizes[path] = _HEAD.size

    def _end_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _undo(self) -> None:
        """Take back what was written in part; where even that fails, the next start cuts it off."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
            if self._size < _HEAD.size:
                self._end_file()
                self._path.unlink()
        except OSError:
            self._end_file()

    def _load(self, path: Path) -> None:
        """Note what waits in a file, up to the first record that is not whole."""
        end = _HEAD.size
        with open(path, "rb") as file:
            head = file.read(_HEAD.size)
            start = _HEAD.unpack(head)[1] if len(head) == _HEAD.size and head.startswith(_MAGIC) else None
            if start is not None:
                end = start
                for at_ns, rows, length in _records(file, start):
                    self._note(path, end, length, at_ns, rows)
                    end += _RECORD.size + length
        if not self.waiting or self.waiting[-1].path != path:
            path.unlink()
            return
        os.truncate(path, end)
        self._sizes[path] = end

    def _adopt(self, shared: Path) -> None:
        """Take over the files of processes that are gone: behind one's own, each in its order."""
        for slot in sorted(shared.iterdir()):
            if slot == self.folder or not slot.is_dir() or not _files(slot):
                continue
            lock = FileLock(slot / "lock")
            try:
                lock.acquire("in use")
            except Unavailable:
                continue
            try:
                for path in _files(slot):
                    own = _files(self.folder)
                    number = int(own[-1].stem) + 1 if own else 1
                    os.rename(path, self.folder / f"{number:08d}{_SUFFIX}")
            finally:
                lock.release()


def _records(stream: BinaryIO, start: int) -> Iterator[tuple[int, int, int]]:
    """(at_ns, rows, length) of each whole record from `start` on."""
    stream.seek(start)
    while len(head := stream.read(_RECORD.size)) == _RECORD.size:
        length, checksum, at_ns, rows = _RECORD.unpack(head)
        record = stream.read(length)
        if len(record) < length or crc32(record) != checksum:
            return
        yield at_ns, rows, length


def _own_slot(folder: Path) -> tuple[Path, FileLock]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in range(_SLOTS):
        slot = folder / str(number)
        slot.mkdir(exist_ok=True, mode=0o700)
        lock = FileLock(slot / "lock")
        try:
            lock.acquire("in use")
        except Unavailable as error:
            if str(error) != "in use":
                raise
            continue
        return slot, lock
    raise Unavailable(f"the spool {folder} is used by {_SLOTS} processes: give this one another folder")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}"))


def _write_all(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return f"{os.strerror(error.errno)}: free some space on the disk, or correct the folder's permissions"
    return str(error)

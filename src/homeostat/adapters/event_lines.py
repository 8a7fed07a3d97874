"""Files as blocks of whole lines: plain or gzipped, however long the lines, however the file ends."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from homeostat.decide.intake.values import EVENT, shown
from homeostat.ports import Unavailable
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Reason

LINE_MAX = 1 << 20  # Bytes. An event needs a few hundred; without a bound, one file without line ends fills memory.
_BLOCK = 1 << 22
_BOM = b"\xef\xbb\xbf"


class EventFileError(ValueError):
    """A file that can't be read as events at all, and what to do about it."""


class Block:
    """Some whole lines, none of them overlong, with their numbers, and what was wrong between them."""

    __slots__ = ("letters", "lines", "numbers")

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.numbers: list[int] = []
        self.letters: list[DeadLetter] = []


def open_events(path: Path) -> BinaryIO | gzip.GzipFile:
    """The file's bytes, unpacked if it is gzipped. Raises EventFileError if there is no such file."""
    try:
        stream = path.open("rb")
        if path.suffix != ".gz":
            return stream
        with stream:
            magic = stream.read(2)
    except OSError as error:
        raise EventFileError(
            f"{path} can't be opened: {error.strerror}. Check the path and its permissions."
        ) from error
    if magic not in (b"\x1f\x8b", b""):
        raise EventFileError(f"{path} is not gzipped: rename it without .gz, or compress it.")
    return gzip.open(path, "rb")


def blocks(path: Path, size: int = _BLOCK) -> Iterator[Block]:
    """The lines of a file, some `size` bytes at a time.

    What follows a break in a gzipped file is lost: the last block then says so in a dead letter. Raises Unavailable
    where the disk fails.
    """
    with open_events(path) as stream:
        rest, number, skipping, first = b"", 1, False, True
        while True:
            data, problem = _read(stream, size, path)
            last = not data or problem is not None
            if first and data.startswith(_BOM):
                data = data[len(_BOM) :]
            first = False
            block = Block()
            *lines, rest = (rest + data).split(b"\n")
            if last and rest and problem is None:
                lines, rest = [*lines, rest], b""
            for line in lines:
                if skipping or len(line) > LINE_MAX:
                    if not skipping:
                        block.letters.append(_overlong(number, line))
                    skipping = False
                else:
                    block.lines.append(line)
                    block.numbers.append(number)
                number += 1
            if len(rest) > LINE_MAX or skipping:
                if not skipping:
                    block.letters.append(_overlong(number, rest))
                rest, skipping = b"", True
            if problem is not None:
                block.letters.append(DeadLetter(number, EVENT, problem, Reason.MALFORMED.value))
            yield block
            if last:
                return


def _read(stream: BinaryIO | gzip.GzipFile, size: int, path: Path) -> tuple[bytes, str | None]:
    """Up to `size` bytes, fewer before a break, and what broke."""
    parts: list[bytes] = []
    got = 0
    try:
        while got < size:
            # Small pieces, since gzip gives nothing of a piece with a break in it.
            part = stream.read1(1 << 16) if isinstance(stream, gzip.GzipFile) else stream.read(size)
            if not part:
                break
            parts.append(part)
            got += len(part)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return b"".join(parts), f"the gzipped file is cut off or damaged from here on: {error}"
    except OSError as error:
        raise Unavailable(f"{path} can't be read any further: {error.strerror}") from error
    return b"".join(parts), None


def _overlong(number: int, line: bytes) -> DeadLetter:
    return DeadLetter(number, EVENT, shown(line[:200]), Reason.MALFORMED.value)

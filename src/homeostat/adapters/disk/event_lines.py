"""Files as blocks of whole lines: plain or gzipped, however long the lines, however the file ends."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from homeostat.decide.intake.border import MESSAGE_MAX
from homeostat.decide.intake.values import EVENT, shown
from homeostat.errors import HomeostatError
from homeostat.ports import Unavailable
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Reason

LINE_MAX = MESSAGE_MAX  # Without a bound, one file without line ends fills memory.
_BLOCK = 1 << 22
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_HEAD = 32  # Bytes that show how a text is encoded.


class EventFileError(HomeostatError, ValueError):
    """A file that can't be read as events at all, and what to do about it."""

    why = "events are read from whole Parquet, CSV or JSON Lines files"
    remedy = "Name such a file, or write it again"


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

    Lines end with a line feed, or all with a carriage return, as old files have it. All that follows a break in a
    gzipped file is lost: the last block then says so in a dead letter. Raises Unavailable where the disk fails,
    EventFileError for UTF-16 and UTF-32.
    """
    with open_events(path) as stream:
        rest, number, skipping, first, end = b"", 1, False, True, b""
        while True:
            data, problem = _read(stream, size, path)
            last = not data or problem is not None
            if first:
                _check_encoding(data, path)
                data = data.removeprefix(_BOM)
            first = False
            block = Block()
            end = end or _line_end(rest + data)
            *lines, rest = (rest + data).split(end or b"\n")
            if last and rest and problem is None:
                lines, rest = [*lines, rest], b""
            if skipping or max(map(len, lines), default=0) > LINE_MAX:
                for position, line in enumerate(lines, number):
                    if not skipping and len(line) <= LINE_MAX:
                        block.lines.append(line)
                        block.numbers.append(position)
                    elif not skipping:
                        block.letters.append(_overlong(position, line))
                    skipping = False
            else:
                block.lines, block.numbers = lines, list(range(number, number + len(lines)))
            number += len(lines)
            if len(rest) > LINE_MAX or skipping:
                if not skipping:
                    block.letters.append(_overlong(number, rest))
                rest, skipping = b"", True
            if problem is not None:
                block.letters.append(DeadLetter(number, EVENT, problem, Reason.MALFORMED.value))
            yield block
            if last:
                return


def _check_encoding(data: bytes, path: Path) -> None:
    head = data[:_HEAD]
    lanes = [set(head[k::4]) for k in range(4)]  # In UTF-16 every other byte of plain text is 0, in UTF-32 all but one.
    zero = [lane == {0} for lane in lanes]
    wide = (
        sum(zero) in (2, 3)
        and (zero[0] == zero[2] or zero[1] == zero[3])
        and not any(0 in lane for lane, empty in zip(lanes, zero, strict=True) if not empty)
    )
    if data.startswith(_WIDE) or wide:
        raise EventFileError(
            f"{path} is UTF-16 or UTF-32: save it as UTF-8, for example by `iconv -f UTF-16 -t UTF-8`."
        )


def _line_end(data: bytes) -> bytes:
    """How the lines end, by the first end that is seen; empty where none is yet."""
    feed, back = data.find(b"\n"), data.find(b"\r", 0, -1)
    if feed >= 0:
        return b"\n"
    return b"\r" if back >= 0 else b""


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
    why = f"it is longer than {LINE_MAX >> 20} MiB"
    return DeadLetter(number, EVENT, shown(line[:200]), Reason.MALFORMED.value, why)

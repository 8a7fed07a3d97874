"""Reads notes of people: one file, or a declared folder of Markdown. Nothing outside of the folder is read.

Links are not followed, neither of files nor of folders; devices and pipes are not opened; sizes and numbers are
bounded. The text is data: nothing in it is obeyed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from homeostat.errors import Unavailable
from homeostat.ports.memory import BadNote
from homeostat.records.past import Note

BYTES_MAX = 256 * 1024
FILES_MAX = 500
DEPTH_MAX = 4
ENDINGS = (".md", ".markdown", ".txt")
_ENTRIES_MAX = 20_000  # Of all folders together.


def read_note(path: Path, name: str | None = None, at_ns: int | None = None) -> Note:
    """The note in a file.

    name : to store it under; the file's own when None
    at_ns : when it was written; the file's own time when None
    Raises BadNote, Unavailable.
    """
    name = path.name if name is None else name
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise BadNote(f"{name} is a link: name the file itself") from error
        raise Unavailable(f"{path} can't be read: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        raise BadNote(f"{name!r} is no path: {error}") from error
    with os.fdopen(number, "rb") as file:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            raise BadNote(f"{name} is no file")
        data = file.read(BYTES_MAX + 1)
    if len(data) > BYTES_MAX:
        raise BadNote(f"{name} is larger than {BYTES_MAX >> 10} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadNote(f"{name} is not UTF-8 text") from error
    return Note(name, text, about.st_mtime_ns if at_ns is None else at_ns)


def read_folder(folder: Path) -> tuple[list[Note], list[str]]:
    """The notes of a folder by their paths in it, and a sentence on each file that was left out.

    Raises Unavailable where the folder itself can't be read, BadNote where it is none.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise BadNote(f"{folder} is no folder" + (": it is a link" if folder.is_symlink() else ""))
    found: list[Note] = []
    refused: list[str] = []
    for path in _files(folder, refused):
        name = path.relative_to(folder).as_posix()
        if len(found) >= FILES_MAX:
            refused.append(f"only the first {FILES_MAX} files of {folder} are read")
            break
        try:
            found.append(read_note(path, name))
        except (BadNote, Unavailable) as error:
            refused.append(str(error))
    return found, refused


def _files(folder: Path, refused: list[str]) -> Iterator[Path]:
    """The files with an ending of notes, in order, folders below up to a depth."""
    waiting, entries = [(folder, 0)], 0
    while waiting:
        at, depth = waiting.pop(0)
        try:
            with os.scandir(at) as listed:
                inside = sorted((one for one in listed if not one.name.startswith(".")), key=lambda one: one.name)
        except OSError as error:
            if at == folder:
                raise Unavailable(f"{folder} can't be read: {os.strerror(error.errno or 0)}") from error
            refused.append(f"{at} can't be read: {os.strerror(error.errno or 0)}")
            continue
        for one in inside:
            entries += 1
            if entries > _ENTRIES_MAX:
                refused.append(f"{folder} holds more than {_ENTRIES_MAX:,} files; the rest is not looked at")
                return
            note = one.name.lower().endswith(ENDINGS)
            if one.is_symlink():
                if note:
                    refused.append(f"{Path(one.path).relative_to(folder).as_posix()} is a link, and is not followed")
            elif one.is_dir(follow_symlinks=False):
                if depth + 1 < DEPTH_MAX:
                    waiting.append((Path(one.path), depth + 1))
            elif note:
                yield Path(one.path)

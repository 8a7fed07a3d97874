"""Logs of jobs as files, each bounded: `ID.OFFSET.log` holds a log's bytes from that offset on.

A file that has grown to half the bound is followed by a new one, and the one before it is deleted. So a log's newest
half is always there, and an offset means the same however much was deleted.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from homeostat.adapters.disk.files import FILE_MODE, FOLDER_MODE
from homeostat.errors import Unavailable
from homeostat.ports.jobs import LogPart

SUFFIX = ".log"


class JobLogs:
    """The logs in a folder, which is made when the first is written. One process at a time writes to each log.

    most : bytes of a log
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most

    def append(self, id: int, data: bytes) -> None:
        """Append to a log. Raises Unavailable; what was written until then stays."""
        half = max(1, self._most // 2)
        try:
            self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            while data:
                starts = self._starts(id)
                start = starts[-1] if starts else 0
                size = self._size(id, start)
                if size >= half:
                    for old in starts[:-1]:
                        self._path(id, old).unlink(missing_ok=True)
                    start, size = start + size, 0
                written, data = data[: half - size], data[half - size :]
                self._write(self._path(id, start), written)
        except OSError as error:
            raise Unavailable(f"{self._folder} can't be written: {os.strerror(error.errno or 0)}") from error

    def read(self, id: int, offset: int, limit: int) -> LogPart:
        """See `Jobs.read`."""
        try:
            starts = self._starts(id)
            if not starts:
                return LogPart(0, b"", 0)
            end = starts[-1] + self._size(id, starts[-1])
            offset = min(max(offset, starts[0]), end)
            start = max(start for start in starts if start <= offset)
            with open(self._path(id, start), "rb") as file:
                file.seek(offset - start)
                return LogPart(offset, file.read(limit), end)
        except FileNotFoundError:  # It was followed by a newer one between two looks.
            return self.read(id, offset, limit)
        except OSError as error:
            raise Unavailable(f"{self._folder} can't be read: {os.strerror(error.errno or 0)}") from error

    def delete_others(self, kept: Collection[int]) -> None:
        """Delete the logs of all jobs but these."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                number = name.partition(".")[0]
                if name.endswith(SUFFIX) and number.isdigit() and int(number) not in kept:
                    (self._folder / name).unlink(missing_ok=True)

    def _starts(self, id: int) -> list[int]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        own = [name.removesuffix(SUFFIX).split(".") for name in names if name.endswith(SUFFIX)]
        return sorted(int(parts[1]) for parts in own if len(parts) == 2 and parts[0] == str(id) and parts[1].isdigit())

    def _size(self, id: int, start: int) -> int:
        try:
            return self._path(id, start).stat().st_size
        except FileNotFoundError:
            return 0

    def _path(self, id: int, start: int) -> Path:
        return self._folder / f"{id}.{start}{SUFFIX}"

    def _write(self, path: Path, data: bytes) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        try:
            while data:
                data = data[os.write(file, data) :]
        finally:
            os.close(file)

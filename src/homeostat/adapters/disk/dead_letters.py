"""Dead letters as JSON Lines: `line, field, value, reason`, and `detail` where there is more to say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType

from homeostat.adapters.disk.files import FILE_MODE, opener
from homeostat.ports import Unavailable
from homeostat.records.events import DeadLetter

VALUE_MAX = 500  # Characters of a value that are kept: enough to recognise it, whatever was sent.


class DeadLetterFile:
    """Appends to a file, which is created with the first letter at the latest. A context manager."""

    def __init__(self, path: Path | str, mode: int = FILE_MODE) -> None:
        """Open the file for appending, or create it with a mode. Raises Unavailable."""
        self.path = Path(path)
        self.count = 0
        try:
            self._file = open(self.path, "a", encoding="ascii", newline="\n", opener=opener(mode))  # noqa: SIM115
        except OSError as error:
            raise Unavailable(f"{self.path} can't be written: {os.strerror(error.errno or 0)}") from error

    def bury(self, letters: list[DeadLetter]) -> None:
        """Write letters so that a killed process has not lost them. Raises Unavailable, never anything else."""
        if not letters:
            return
        try:
            self._file.write("".join(as_line(letter) for letter in letters))
            self._file.flush()
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self.path} can't be written: {error}") from error
        self.count += len(letters)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> DeadLetterFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def as_line(letter: DeadLetter) -> str:
    r"""One letter as a line of ASCII JSON; any text goes, unpaired surrogates too.

    >>> as_line(DeadLetter(3, "amount", "\ud800", "wrong_type"))
    '{"line": 3, "field": "amount", "value": "\\ud800", "reason": "wrong_type"}\n'
    """
    members = {
        "line": int(letter.line), "field": _short(letter.field), "value": _short(letter.value),
        "reason": str(letter.reason),
    }  # fmt: skip
    return json.dumps(members | {"detail": _short(letter.detail)} if letter.detail else members) + "\n"


def _short(text: object) -> str:
    whole = text if isinstance(text, str) else str(text)
    return whole if len(whole) <= VALUE_MAX else f"{whole[:VALUE_MAX]}... ({len(whole)} characters)"

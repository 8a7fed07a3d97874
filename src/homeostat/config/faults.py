"""The faults of an app file: each with its place, and all of them in one error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TypeAlias

from homeostat.errors import HomeostatError

Step: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    source : the file's name
    line, column : where, counted from 1
    path : where in the tree, such as `features.windows[1].compute`; empty for the file as a whole
    message : what is wrong, without a full stop
    nearest : what was probably meant, if anything comes near
    """

    source: str
    line: int
    column: int
    path: str
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        meant = f" Did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.source}:{self.line}:{self.column}: {where}{self.message}.{meant}"

    def as_json(self) -> dict[str, str | int | None]:
        """The fault as a JSON object."""
        return asdict(self)


class AppFileError(HomeostatError):
    """An app file can't be used; `faults` says why, in the order of the lines."""

    why = "an app file is checked as a whole before anything is decided"
    remedy = "Correct the lines that the faults name; homeostat doctor APP checks the file again"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(dict.fromkeys(sorted(faults, key=lambda f: (f.source, f.line, f.column, f.path))))
        super().__init__(self.faults)

    def __str__(self) -> str:
        count = len(self.faults)
        head = "1 fault in the app file" if count == 1 else f"{count} faults in the app file"
        return "\n".join([f"{head}:", *(f"  {fault}" for fault in self.faults)])

    def as_json(self) -> dict[str, object]:
        """The error as a JSON object."""
        return {"error": "app_file", "faults": [fault.as_json() for fault in self.faults]}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that comes nearest to `word`, if any comes near.

    >>> nearest("entites", ["fields", "entities"])
    'entities'
    >>> nearest("x", ["fields", "entities"]) is None
    True
    """
    found = difflib.get_close_matches(word.lower()[:64], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def path_text(path: Iterable[Step]) -> str:
    """A path as people write it.

    >>> path_text(("features", "windows", 1, "compute"))
    'features.windows[1].compute'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def shortened(value: object, length: int = 60) -> str:
    """A value as one short line, for a message."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."

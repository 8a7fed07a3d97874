"""Reads a file of dead letters on from a place, while another process writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from homeostat.ports import Unavailable
from homeostat.records.events import DeadLetter

_READ_BYTES = 1 << 20


class LetterTail:
    """See the module. A file that is shorter than the place was made again: it is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def end(self) -> int:
        """The place behind all that there is. Raises Unavailable."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._failed(error) from error

    def read(self, at: int) -> tuple[list[DeadLetter], int]:
        """The whole letters behind a place, at most a megabyte of them, and the place behind these.

        A line that is no letter is passed over. Raises Unavailable.
        """
        at = at if at <= self.end() else 0
        try:
            with open(self.path, "rb") as file:
                file.seek(at)
                found = file.read(_READ_BYTES)
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise self._failed(error) from error
        whole = found[: found.rfind(b"\n") + 1]
        return [one for line in whole.splitlines() if (one := _letter(line)) is not None], at + len(whole)

    def _failed(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self.path} can't be read: {os.strerror(error.errno or 0)}")


def _letter(line: bytes) -> DeadLetter | None:
    try:
        found = json.loads(line)
        field, value, reason = (str(found[name]) for name in ("field", "value", "reason"))
        return DeadLetter(int(found["line"]), field, value, reason, str(found.get("detail", "")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None

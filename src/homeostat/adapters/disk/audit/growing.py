"""The hash chain of a trail that goes on being written, verified a piece at a time, each line once."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from homeostat.adapters.disk.audit.trail import NO_HASH
from homeostat.adapters.disk.audit.verification import read_line
from homeostat.errors import Unavailable


@dataclass(frozen=True, slots=True)
class ChainState:
    """How far a chain is known to be whole.

    lines : that follow from each other, from the first on
    head : the hash of the last of them
    fault : why the line behind them is none; empty where none is wrong
    to_end : whether all that was written is among them
    """

    lines: int
    head: str
    fault: str
    to_end: bool


class GrowingChain:
    """See the module. May be used by several threads.

    It compares lines with each other. That they are those of the journal, `homeostat audit verify` finds out.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._offset, self._lines, self._head, self._fault = 0, 0, NO_HASH, ""

    def state(self, patience_s: float = 0.3) -> ChainState:
        """Verify what was written since, for about so long. Raises Unavailable where the file can't be read."""
        with self._lock:
            until, to_end = time.monotonic() + patience_s, True
            try:
                with open(self._path, "rb") as file:
                    file.seek(self._offset)
                    for line in file:
                        if self._fault or not line.endswith(
                            b"\n"
                        ):  # A line that is being written is for the next time.
                            break
                        record, why = read_line(line, self._lines + 1, self._head)
                        if record is None:
                            self._fault = f"line {self._lines + 1} {why}"
                            break
                        self._offset += len(line)
                        self._lines, self._head = self._lines + 1, str(record["hash"])
                        if time.monotonic() > until:
                            to_end = False
                            break
            except OSError as error:
                raise Unavailable(f"the audit trail {self._path} can't be read: {error.strerror}") from error
            return ChainState(self._lines, self._head, self._fault, to_end and not self._fault)

    def close(self) -> None:
        """Nothing: the file is open only while it is read."""

"""What is to be done now and then, beside deciding: the journal's old days are dropped."""

from __future__ import annotations

import threading
from typing import Protocol

from homeostat.ports import Unavailable

EVERY_S = 600.0


class Retiring(Protocol):
    """A journal that can drop what is older than it should keep."""

    def retire(self) -> object: ...


class Upkeep:
    """A thread that lets a journal retire its old days, until closed."""

    def __init__(self, journal: Retiring, every_s: float = EVERY_S) -> None:
        self._journal, self._every_s = journal, every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            try:
                self._journal.retire()
            except Unavailable:
                continue  # The server is away: there is time.

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

"""Tasks that are done now and then, beside deciding: the journal's old days are dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable

from homeostat.ports import Unavailable

EVERY_S = 600.0


class Upkeep:
    """A thread that calls a journal's `retire` every so often, until closed."""

    def __init__(self, retire: Callable[[], object], every_s: float = EVERY_S) -> None:
        self._retire, self._every_s = retire, every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            try:
                self._retire()
            except Unavailable:
                continue  # The server is away: there is time.

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

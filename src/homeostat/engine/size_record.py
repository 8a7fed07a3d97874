"""The sizes that a process chose, of batches and of its memory for logs, on the record: a statement for each choice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from queue import Empty, Full, Queue
from threading import Event, Thread

from homeostat.engine.sizing import Choice
from homeostat.errors import HomeostatError
from homeostat.ports import Unavailable
from homeostat.ports.statements import Statements
from homeostat.records.statements import PROCESS, Statement, StatementKind

ACTOR = "homeostat"
WAITING_MAX = 100
_AGAIN_S = 5.0


def statement_of(choice: Choice, process: str) -> Statement:
    """A choice as it is on the record."""
    return Statement(
        StatementKind.SIZE, PROCESS, process, choice.of, float(choice.after), "", ACTOR,
        f"{choice.before:,} to {choice.after:,} {choice.unit}: {choice.why}",
    )  # fmt: skip


class SizeRecord:
    """Stores choices from a thread of its own: a store that is away holds no decision up.

    Beyond `WAITING_MAX` choices that wait for a store, further ones are in the log only.
    """

    def __init__(self, opens: Callable[[], Statements], process: str, say: Callable[[str], None]) -> None:
        """opens : opens the store, which is closed after each choice; say : gets a line for what could not be stored"""
        self._opens, self._process, self._say = opens, process, say
        self._queue: Queue[Choice] = Queue(WAITING_MAX)
        self._stop = Event()
        self._thread: Thread | None = None

    def put(self, choice: Choice) -> None:
        """Store a choice soon."""
        with suppress(Full):
            self._queue.put_nowait(choice)
        if self._thread is None:
            self._thread = Thread(target=self._run, name="sizes", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Store what waits, if the store answers, and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_AGAIN_S)

    def _run(self) -> None:
        while not (self._stop.is_set() and self._queue.empty()):
            try:
                choice = self._queue.get(timeout=0.2)
            except Empty:
                continue
            while not self._stored(choice):
                if self._stop.wait(_AGAIN_S):
                    return

    def _stored(self, choice: Choice) -> bool:
        try:
            with closing(self._opens()) as store:
                store.append(statement_of(choice, self._process))
        except Unavailable:
            return False
        except HomeostatError as error:
            self._say(f"a size that was chosen could not be put on the record: {error}")
        return True

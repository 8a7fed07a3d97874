"""A thread that calls what may hang, or may try to end the process: the caller waits only as long as it wants to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any


class Ended(RuntimeError):
    """The called code tried to end its thread or the process."""


class Aside:
    """Calls one thing after the other in a thread of its own; `last` is the newest answer, there or to come.

    Unlike a thread pool's, the thread can't keep the process from ending when it hangs. It is started when something is
    asked, and again after `close`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] | None = None
        self.last: Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether the last call has not come back."""
        return self.last is not None and not self.last.done()

    def ask(self, call: Callable[[], Any]) -> Future[Any] | None:
        """Call something; its answer, once it is there. None where the last call has not come back."""
        with self._lock:
            if self.busy:
                return None
            if self._jobs is None:
                self._jobs = SimpleQueue()
                Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
            answer: Future[Any] = Future()
            self.last = answer
            self._jobs.put((answer, call))
            return answer

    def close(self) -> None:
        """End the thread, as soon as it has nothing to do."""
        with self._lock:
            if self._jobs is not None:
                self._jobs.put(None)
                self._jobs = None


def _work(jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]) -> None:
    while (job := jobs.get()) is not None:
        answer, call = job
        del job
        try:
            found = call()
        except Exception as error:
            answer.set_exception(error)
        except BaseException as error:  # Not even a call that exits may leave its caller waiting, or end it.
            answer.set_exception(Ended(f"it tried to end its thread: {error!r}"))
        else:
            answer.set_result(found)
            del found
        del answer, call  # A thread that waits must not keep a batch in memory.

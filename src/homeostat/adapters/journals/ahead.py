"""Makes pieces of a batch ready for a journal in threads, while those before them are written.

Encoding, hashing and compressing a piece let other threads run nearly all of the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_THREADS = 2
_AHEAD = 4  # Pieces that may be ready before their turn: 3 MB each with 60 columns.


class Ahead:
    """See the module. Its threads start with the first batch of several pieces, and end with `close`."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def each(self, make: Callable[[T], R], pieces: Sequence[T]) -> Iterator[R]:
        """The results of `make` for each piece, in order; a single one is made by the caller's thread.

        Raises what `make` raises, at the piece's turn. When it ends, so has every call.
        """
        if len(pieces) == 1:
            yield make(pieces[0])
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, "journal-pieces")
        coming: deque[Future[R]] = deque()
        try:
            for piece in pieces:
                coming.append(self._pool.submit(make, piece))
                if len(coming) > _AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()
            wait(coming)

    def close(self) -> None:
        """End the threads; a later batch starts them again."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

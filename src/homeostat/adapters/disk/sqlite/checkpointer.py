"""Copies SQLite's write-ahead log into its file beside the writer, which would otherwise wait for the disk at times.

A checkpoint ends in a flush of the disk, milliseconds in which no decision could be answered. Here a thread does it
with a connection of its own, while appends go on. SQLite starts its log again only when all of it has been copied, so
each checkpoint is followed by shorter ones until nothing was appended meanwhile; when the log has become very long all
the same, the writer waits for that.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

# An append beside a checkpoint is slower. Of single appends 0.2 ms apart, the slowest hundredth took 160 us with 16 MiB
# and 8 rounds and 80 us with these; a longer log is read as fast.
START_BYTES = 64 << 20
ROUNDS_MAX = 2  # Of checkpoints that find more to copy; then until the next START_BYTES.
WAIT_BYTES = 256 << 20  # A log that grows faster than the disk takes it may not fill the disk.


class Checkpointer:
    """Checkpoints the database at `path` when enough has been appended. Its thread starts when it is first needed."""

    def __init__(self, path: Path, start_bytes: int = START_BYTES, wait_bytes: int = WAIT_BYTES) -> None:
        self._path, self._start_bytes, self._wait_bytes = path, start_bytes, wait_bytes
        self._pending = self._length = 0  # Bytes not yet copied, and all since the log last began again.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._running = False

    def appended(self, size: int) -> None:
        """Note that about `size` bytes were appended; waits where the log has become too long."""
        with self._changed:
            self._pending += size
            self._length += size
            if self._pending < self._start_bytes and self._length < self._wait_bytes:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal-checkpoint", daemon=True)
                self._thread.start()
            if not self._running:
                self._running = True
                self._changed.notify_all()
            while self._length >= self._wait_bytes and self._running:
                self._changed.wait()

    def close(self) -> None:
        """End the thread, after the checkpoint that it is at."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        rounds = 0
        while True:
            with self._changed:
                while not self._running and not self._closing:
                    self._changed.wait()
                if self._closing:
                    self._running = False
                    self._changed.notify_all()
                    return
                before = self._pending
            try:
                copied = self._checkpoint()
            except sqlite3.Error:
                copied = False  # The log is whole; another attempt follows the next append.
            with self._changed:
                rounds += 1
                self._pending -= before if copied else 0
                if self._pending == 0:
                    self._length = 0
                self._running = copied and self._pending > 0 and rounds < ROUNDS_MAX
                if not self._running:
                    rounds = 0
                self._changed.notify_all()

    def _checkpoint(self) -> bool:
        """Copy what is in the log now; whether it could."""
        database = sqlite3.connect(self._path.absolute().as_uri() + "?mode=rw", uri=True, isolation_level=None)
        try:
            busy, _, _ = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            database.close()
        return not busy

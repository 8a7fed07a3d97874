"""A process that works beside this one, for which nothing here waits: started, looked at, ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

_TAIL_BYTES, _READ_BYTES = 2048, 1 << 16
_GRACE_S = 2.0
_SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")  # More threads would not be idle ones.


class Companion:
    """One running command, in a session of its own. Its standard error is read at most as fast as one looks at it."""

    def __init__(self, words: Sequence[str], more: Mapping[str, str] | None = None) -> None:
        """Start it. Raises OSError.

        words : the program and its arguments
        more : variables beside those of this process
        """
        environment = {**os.environ, **dict.fromkeys(_SINGLE, "1"), **(more or {})}
        environment.pop("HOMEOSTAT_PARENT_FD", None)
        self._process = subprocess.Popen(  # noqa: S603 - a command of our own.
            list(words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._tail = b""

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        self._hear()
        return self._process.poll()

    def starved_s(self) -> float:
        """How long it has waited for a processor that others had, in seconds; 0 where the system does not say."""
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{self._process.pid}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
        return 0.0

    def last_line(self) -> str:
        """The last line of its standard error; empty where it has written none."""
        self._hear()
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def kill(self) -> None:
        """End it and its children, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def stop(self) -> None:
        """Ask it to end, and force it where it does not."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        self.kill()

    def _hear(self) -> None:
        stream = self._process.stderr
        if stream is None or stream.closed:
            return
        with suppress(BlockingIOError):
            self._tail = (self._tail + os.read(stream.fileno(), _READ_BYTES))[-_TAIL_BYTES:]

    def _close(self) -> None:
        self._hear()
        if self._process.stderr is not None:
            self._process.stderr.close()

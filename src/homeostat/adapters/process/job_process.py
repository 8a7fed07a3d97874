"""A job's process as its runner sees it: a session of its own, a pipe for each stream, and a line for progress."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from homeostat.adapters.process.job_line import VARIABLE

HOMEOSTAT = (sys.executable, "-P", "-m", "homeostat")  # -P: the working folder holds data, never code.
RESULT_BYTES_MAX = 1 << 20
_TAIL_BYTES = 8192
_READ_BYTES = 1 << 16
_DRAIN_MAX = 64  # Reads: more than pipes hold, and an end where a process that got away goes on writing.


class JobProcess:
    """One running command.

    share, note : what it last reported
    """

    def __init__(self, words: Sequence[str], folder: str, scratch: Path, program: Sequence[str] = HOMEOSTAT) -> None:
        """Start it. Raises OSError where the folder or the program is missing.

        words : of the command, after the program
        folder : where its relative paths begin; "" for ours
        scratch : a folder for its temporary files
        """
        self.share, self.note = 0.0, ""
        self._out, self._tail = bytearray(), b""
        self._too_long = 0
        self._rest = b""
        self._line, theirs = socket.socketpair()
        environment = {**os.environ, VARIABLE: str(theirs.fileno()), "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
        environment.pop("HOMEOSTAT_PARENT_FD", None)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a command of our own list.
                [*program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                cwd=folder or None, env=environment, pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            self._line.close()
            raise
        finally:
            theirs.close()
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None and self._process.stderr is not None
        for stream, what in ((self._process.stdout, "out"), (self._process.stderr, "log"), (self._line, "line")):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, what)

    @property
    def pid(self) -> int:
        """Its process, which is also its group and session."""
        return self._process.pid

    def renew(self, until_ns: int) -> None:
        """Let it go on until a moment of `perf_counter_ns`."""
        with suppress(OSError):  # It has ended, which `ended` says.
            self._line.send(b"%d\n" % until_ns)

    def hear(self, wait_s: float = 0.0) -> bytes:
        """Take in what it reports and prints; returns what there is for its log."""
        log = b""
        for key, _ in self._selector.select(wait_s):
            try:
                heard = os.read(key.fd, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                heard = b""
            if not heard:
                self._selector.unregister(key.fileobj)
            elif key.data == "log":
                log += heard
                self._tail = (self._tail + heard)[-_TAIL_BYTES:]
            elif key.data == "out":
                self._keep(heard)
            else:
                self._report(heard)
        return log

    def drain(self) -> bytes:
        """Take in what a process that has ended left in its pipes; returns what there is for its log."""
        log = b""
        for _ in range(_DRAIN_MAX):
            if not self._selector.get_map() or not self._selector.select(0):
                break
            log += self.hear()
        return log

    def ended(self) -> bool:
        """Whether it has ended. It is kept as a zombie until `close`, so that its number stays its own."""
        if self._process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def signal(self, number: int) -> None:
        """Send a signal to it and its children."""
        with suppress(ProcessLookupError, PermissionError):  # On some systems a group of zombies may not be signalled.
            os.killpg(self.pid, number)

    def close(self) -> int:
        """End what is left of it and its children; returns its exit code, negative for a signal."""
        if self._process.returncode is None:
            self.signal(signal.SIGKILL)
        code = self._process.wait()
        self._selector.close()
        self._line.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return code

    def result(self) -> Any:
        """The output of the process: JSON, else its text; its length where it is too long."""
        if self._too_long:
            return {"too_long_bytes": self._too_long + len(self._out)}
        text = self._out.decode("utf-8", "replace").strip()
        try:
            return json.loads(text) if text else None
        except (ValueError, RecursionError):
            return {"text": text}

    def error(self) -> str:
        """The last lines of its log."""
        return self._tail.decode("utf-8", "replace").strip()

    def _keep(self, heard: bytes) -> None:
        room = RESULT_BYTES_MAX - len(self._out)
        self._out += heard[:room]
        self._too_long += max(0, len(heard) - room)

    def _report(self, heard: bytes) -> None:
        *lines, rest = (self._rest + heard).split(b"\n")
        self._rest = rest[-_READ_BYTES:]
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                message = json.loads(line)
                self.share, self.note = float(message["share"]), str(message["note"])

"""Several server processes on one listening socket, watched by a parent that decides nothing itself.

The parent stays small: it loads neither the engine nor a thread. Each child is a fresh interpreter that learns from its
standard input what to run (so no secret shows among the machine's processes), and drains when that input ends: a parent
that was killed leaves no child behind.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from homeostat.adapters.process.compiling import said
from homeostat.adapters.process.logs import configure
from homeostat.serve.options import ServerOptions, serve_with
from homeostat.serve.sharing import GONE, Counts
from homeostat.serve.supervision import READY, Child, Supervisor

if TYPE_CHECKING:
    from homeostat.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Task:
    """The job of each child process.

    factory : `module:function`, called in the child with `arguments`; returns its engine
    arguments : as JSON can hold them
    """

    factory: str
    arguments: dict[str, Any] = field(default_factory=dict)
    settings: ServerOptions = field(default_factory=ServerOptions)

    def make_engine(self) -> Engine:
        """The engine, made in this process."""
        module, _, name = self.factory.partition(":")
        made: Engine = getattr(importlib.import_module(module), name)(**self.arguments)
        return made


class Processes:
    """`count` children on one socket."""

    def __init__(self, task: Task, sock: socket.socket, count: int, say: Callable[[str], None]) -> None:
        self._task, self._sock, self._count = task, sock, count
        self._memory = tempfile.TemporaryFile()  # noqa: SIM115
        self._memory.truncate(Counts.size(count))
        self._counts = Counts(self._memory.fileno(), count)
        for number in range(count):
            self._counts.put(GONE, number)
        self._supervisor = Supervisor([self._child(number) for number in range(count)], say)

    def run(self, ready: Callable[[], None]) -> int:
        """Run until a signal says to stop; returns an exit code: 0 after a drain, 1 where a child could not start.

        ready : called once, when every child answers
        """
        return self._supervisor.run(ready, self._sock.close)  # Nobody is to connect who can't be answered any more.

    def _child(self, number: int) -> Child:
        return Child(
            f"server process {number}", lambda ready: self._spawn(number, ready), lambda: self._counts.put(GONE, number)
        )

    def _spawn(self, number: int, ready: int) -> subprocess.Popen[bytes]:
        """Start a process on the socket.

        ready : the file descriptor on which it says that it answers
        """
        settings = self._task.settings
        if settings.metrics_port:  # Each process shows its own counts, at the next port.
            settings = replace(settings, metrics_port=settings.metrics_port + number)
        sock, counts = self._sock.fileno(), self._memory.fileno()
        message = {
            "factory": self._task.factory, "arguments": self._task.arguments, "settings": settings.as_json(),
            "socket": sock, "ready": ready, "counts": counts, "count": self._count, "number": number,
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "homeostat.serve.processes"],
            stdin=subprocess.PIPE, pass_fds=(sock, ready, counts), start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # It died at once, which the next look at it will tell.
        return process


def run_many(
    task: Task, sock: socket.socket, count: int, ready: Callable[[], None], say: Callable[[str], None] = print
) -> int:
    """Serve by `count` processes on one bound socket, which is closed in the end; returns an exit code.

    The first signal drains, the second stops at once. A process that dies is started again, with back-off.
    ready : called when all processes answer
    say : called with a sentence when a process dies
    """
    sock.listen(2048)
    return Processes(task, sock, count, say).run(ready)


def child() -> int:
    """The life of a child: read its orders, run it, and drain at a signal or when the parent is gone."""
    message = json.loads(sys.stdin.buffer.readline())
    sock, ready = socket.socket(fileno=message["socket"]), message["ready"]
    task = Task(message["factory"], message["arguments"], ServerOptions.of_json(message["settings"]))
    counts = Counts(message["counts"], message["count"], message["number"])
    logger = configure(task.settings.log, app=str(task.arguments.get("app", "")), worker=f"server-{os.getpid()}")

    def orphaned() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    def make() -> Engine:
        with said(logger.info):
            return task.make_engine()

    def answered(_: Engine) -> None:
        counts.put(0)
        os.write(ready, READY)
        os.close(ready)
        threading.Thread(target=orphaned, daemon=True).start()

    try:
        return 0 if serve_with(task.settings, make, sock, answered, counts) else 1
    except Exception as error:
        from homeostat.serve.headers import masked

        logger.error("%s: %s", type(error).__name__, masked(str(error)))
        return 1


if __name__ == "__main__":
    code = child()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # The thread that waits for the parent's end would keep the interpreter from its own.

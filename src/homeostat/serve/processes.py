"""Several server processes on one listening socket, watched by a parent that decides nothing itself.

The parent stays small: it loads neither the engine nor a thread. Each child is a fresh interpreter that is told by its
standard input what to run (so no secret shows among the machine's processes), and drains when that input ends: a parent
that was killed leaves no child behind.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from homeostat.adapters.clock import SystemClock
from homeostat.adapters.logs import configure
from homeostat.serve.settings import Settings, serve_with
from homeostat.serve.sharing import GONE, Counts

if TYPE_CHECKING:
    from homeostat.embedded.engine import Engine

_POLL_S = 0.1
_WAIT_S_MIN, _WAIT_S_MAX = 0.5, 30.0  # Before a child that died is started again; doubled each time.
_STEADY_S = 60.0  # A child that ran for so long has not died at its start.
_READY = b"r"


@dataclass(frozen=True, slots=True)
class Task:
    """What each child does.

    factory : `module:function`, called in the child with `arguments`; returns its engine
    arguments : as JSON can hold them
    """

    factory: str
    arguments: dict[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    def make_engine(self) -> Engine:
        """The engine, made in this process."""
        module, _, name = self.factory.partition(":")
        made: Engine = getattr(importlib.import_module(module), name)(**self.arguments)
        return made


class _Child:
    """One process: its place among the others, and how it fares."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.said: int | None = None  # Where it says that it is ready.
        self.ready = False
        self.begun_s = self.again_s = 0.0
        self.wait_s = _WAIT_S_MIN

    def start(self, task: Task, sock: socket.socket, counts: int, count: int, now_s: float) -> None:
        """Start the process on the socket.

        counts : the file descriptor of the memory in which `count` processes count connections
        """
        read, write = os.pipe()
        settings = task.settings
        if settings.metrics_port:  # Each process shows its own counts, at the next port.
            settings = replace(settings, metrics_port=settings.metrics_port + self.number)
        told = {
            "factory": task.factory, "arguments": task.arguments, "settings": settings.as_json(),
            "socket": sock.fileno(), "ready": write, "counts": counts, "count": count, "number": self.number,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "homeostat.serve.processes"],
            stdin=subprocess.PIPE, pass_fds=(sock.fileno(), write, counts), start_new_session=True,
        )  # fmt: skip
        os.close(write)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(told).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It died at once, which the next look at it will tell.
        self.said, self.ready, self.begun_s = read, False, now_s

    def signal(self, number: int) -> None:
        """Pass a signal on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def forget(self) -> None:
        """Let go of a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        if self.said is not None:
            os.close(self.said)
        self.process = self.said = None


class Processes:
    """`count` children, started, watched and stopped together."""

    def __init__(self, task: Task, sock: socket.socket, count: int, say: Callable[[str], None]) -> None:
        self._task, self._sock, self._say = task, sock, say
        self._children = [_Child(number) for number in range(count)]
        self._clock = SystemClock()
        self._signals = 0
        self._failed = False
        self._memory = tempfile.TemporaryFile()  # noqa: SIM115
        self._memory.truncate(Counts.size(count))
        self._counts = Counts(self._memory.fileno(), count)
        for number in range(count):
            self._counts.put(GONE, number)

    def run(self, ready: Callable[[], None]) -> int:
        """Run until a signal says to stop; returns an exit code: 0 after a drain, 1 where a child could not start.

        ready : called once, when every child answers
        """
        told = False
        with self._signalled():
            for child in self._children:
                self._start(child)
            while not self._signals and not self._failed:
                self._listen()
                self._revive(told)
                if not told and all(child.ready for child in self._children):
                    told = True
                    ready()
            self._stop()
        return 1 if self._failed else 0

    def _start(self, child: _Child) -> None:
        child.start(self._task, self._sock, self._memory.fileno(), len(self._children), self._now_s())

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _listen(self) -> None:
        """Wait a moment for a child to say that it is ready, or to end."""
        with selectors.DefaultSelector() as selector:
            for child in self._children:
                if child.said is not None and not child.ready:
                    selector.register(child.said, selectors.EVENT_READ, child)
            for key, _ in selector.select(_POLL_S):
                child = key.data
                if os.read(key.fd, 1) == _READY:
                    child.ready = True
                elif child.process is not None:
                    child.process.wait()  # It ended without a word.

    def _revive(self, told: bool) -> None:
        """Start again what died; a child that can't even start at first ends the whole."""
        now_s = self._now_s()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                code = child.process.returncode
                child.forget()
                self._counts.put(GONE, child.number)
                if not told:
                    self._failed = True
                    self._say(f"server process {child.number} ended with {code} before it was ready")
                    return
                if now_s - child.begun_s > _STEADY_S:
                    child.wait_s = _WAIT_S_MIN
                child.again_s = now_s + child.wait_s
                self._say(f"server process {child.number} ended with {code}; it is started again in {child.wait_s:g} s")
                child.wait_s = min(2 * child.wait_s, _WAIT_S_MAX)
            if child.process is None and now_s >= child.again_s:
                self._start(child)

    def _stop(self) -> None:
        """Let all children drain, or, at a second signal, stop at once; wait for their ends."""
        self._sock.close()  # Nobody is to connect who can't be answered any more.
        passed = 0
        while True:
            wanted = max(1, self._signals)
            for _ in range(wanted - passed):
                for child in self._children:
                    child.signal(signal.SIGTERM)
            passed = wanted
            running = [child.process for child in self._children if child.process is not None]
            if all(process.poll() is not None for process in running):
                break
            for process in running:
                if process.poll() is None:
                    try:
                        process.wait(_POLL_S)
                    except subprocess.TimeoutExpired:
                        break
        for child in self._children:
            if child.process is not None and self._signals < 2:
                at_start = not child.ready and child.process.returncode == -signal.SIGTERM
                self._failed = self._failed or (child.process.returncode != 0 and not at_start)
            child.forget()

    @contextmanager
    def _signalled(self) -> Iterator[None]:
        def count(number: int, frame: FrameType | None) -> None:
            self._signals += 1
            if self._signals > 2:  # Children that do not even stop at once are ended.
                for child in self._children:
                    child.signal(signal.SIGKILL)

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)


def run_many(
    task: Task, sock: socket.socket, count: int, ready: Callable[[], None], say: Callable[[str], None] = print
) -> int:
    """Serve by `count` processes on one bound socket, which is closed in the end; returns an exit code.

    The first signal drains, the second stops at once. A process that dies is started again, with back-off.
    ready : called when all processes answer
    say : told of processes that die
    """
    sock.listen(2048)
    return Processes(task, sock, count, say).run(ready)


def child() -> int:
    """What a child does: read what to run, run it, and drain at a signal or when the parent is gone."""
    told = json.loads(sys.stdin.buffer.readline())
    sock, ready = socket.socket(fileno=told["socket"]), told["ready"]
    task = Task(told["factory"], told["arguments"], Settings.of_json(told["settings"]))
    counts = Counts(told["counts"], told["count"], told["number"])
    logger = configure(task.settings.log, app=str(task.arguments.get("app", "")), worker=f"server-{os.getpid()}")

    def orphaned() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    def answered(_: Engine) -> None:
        counts.put(0)
        os.write(ready, _READY)
        os.close(ready)
        threading.Thread(target=orphaned, daemon=True).start()

    try:
        return 0 if serve_with(task.settings, task.make_engine, sock, answered, counts) else 1
    except Exception as error:
        from homeostat.serve.headers import masked

        logger.error("%s: %s", type(error).__name__, masked(str(error)))
        return 1


if __name__ == "__main__":
    code = child()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # The thread that waits for the parent's end would keep the interpreter from its own.

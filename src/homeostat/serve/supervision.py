"""Child processes, started, watched and stopped together by a parent that does nothing else.

A child says by a pipe that it is ready. The first signal lets all children drain, the second stops them at once. That a
parent which was killed leaves nobody behind is the children's affair: they watch their standard input, or the pipe.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from homeostat.adapters.process.clock import SystemClock

READY = b"r"
_POLL_S = 0.1
_WAIT_S_MIN, _WAIT_S_MAX = 0.5, 30.0  # Before a child that died is started again; doubled each time.
_STEADY_S = 60.0  # A child that ran for so long has not died at its start.
_SAID_MAX = 4096
Spawn = Callable[[int], subprocess.Popen[bytes]]


class Child:
    """One process: what it is called, and how it fares.

    spawn : starts it, given the file descriptor to say `READY` on, which it passes on; it is closed here then
    gone : called when it has ended
    said : what it sent with `READY`, such as its address
    """

    def __init__(self, name: str, spawn: Spawn, gone: Callable[[], None] = lambda: None) -> None:
        self.name, self._spawn, self._gone = name, spawn, gone
        self.process: subprocess.Popen[bytes] | None = None
        self.pipe: int | None = None  # Where it says that it is ready.
        self.ready, self.said = False, ""
        self.begun_s = self.again_s = 0.0
        self.wait_s = _WAIT_S_MIN

    def start(self, now_s: float) -> None:
        """Start the process."""
        read, write = os.pipe()
        try:
            self.process = self._spawn(write)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self.pipe, self.ready, self.begun_s = read, False, now_s

    def hear(self) -> None:
        """Read what it says. One that ended without a word is waited for."""
        assert self.pipe is not None
        announced = os.read(self.pipe, _SAID_MAX)
        if announced.startswith(READY):
            self.ready, self.said = True, announced[len(READY) :].decode("utf-8", "replace").strip()
        elif self.process is not None:
            self.process.wait()

    def signal(self, number: int) -> None:
        """Pass a signal on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def forget(self) -> None:
        """Let go of a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        if self.pipe is not None:
            os.close(self.pipe)
        if self.process is not None:
            self._gone()
        self.process = self.pipe = None


class Supervisor:
    """Keeps children running.

    say : called with a sentence when a child dies
    """

    def __init__(self, children: Sequence[Child], say: Callable[[str], None]) -> None:
        self._children, self._say = children, say
        self._clock = SystemClock()
        self._signals = 0
        self._failed = False

    def run(self, ready: Callable[[], None], draining: Callable[[], None] = lambda: None) -> int:
        """Run until a signal says to stop; returns an exit code: 0 after a drain, 1 where a child could not start.

        ready : called once, when every child is ready
        draining : called before the children are asked to stop
        """
        announced = False
        with self._signalled():
            for child in self._children:
                child.start(self._now_s())
            while not self._signals and not self._failed:
                self._listen()
                self._revive(announced)
                if not announced and all(child.ready for child in self._children):
                    announced = True
                    ready()
            draining()
            self._stop()
        return 1 if self._failed else 0

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _listen(self) -> None:
        """Wait a moment for a child to say that it is ready, or to end."""
        with selectors.DefaultSelector() as selector:
            for child in self._children:
                if child.pipe is not None and not child.ready:
                    selector.register(child.pipe, selectors.EVENT_READ, child)
            for key, _ in selector.select(_POLL_S):
                key.data.hear()

    def _revive(self, announced: bool) -> None:
        """Start again what died; a child that can't even start at first ends the whole."""
        now_s = self._now_s()
        for child in self._children:
            if self._signals:
                return
            if child.process is not None and child.process.poll() is not None:
                code = child.process.returncode
                child.forget()
                if not announced:
                    self._failed = True
                    self._say(f"{child.name} ended with {code} before it was ready")
                    return
                if now_s - child.begun_s > _STEADY_S:
                    child.wait_s = _WAIT_S_MIN
                child.again_s = now_s + child.wait_s
                self._say(f"{child.name} ended with {code}; it is started again in {child.wait_s:g} s")
                child.wait_s = min(2 * child.wait_s, _WAIT_S_MAX)
            if child.process is None and now_s >= child.again_s:
                child.start(now_s)

    def _stop(self) -> None:
        """Let all children drain, or, at a second signal, stop at once; wait for their ends."""
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

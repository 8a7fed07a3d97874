"""Commands as processes that begin with all that they import: forks of one process that has decided before.

A server takes 3.5 s of processor time until it answers. All but 0.3 s of it goes into imports and into loading compiled
kernels, the same each time. `start(["serve", "access"])` forks a process that has done both::

    process = start(["serve", "access", "--port", "0"], stdout=subprocess.PIPE, HOMEOSTAT_PORT="0")

It is like a process of `subprocess`: it has a process id, signals, pipes, an environment and an exit code of its own.
That a command also starts from nothing is what tests/cli/test_up.py, tests/cli/test_modules.py and
tests/serve/test_processes.py show.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

PDEATHSIG = 1  # Of prctl: the signal that a process gets when its parent has ended.
PAYMENT = {"event_id": "1", "time": "2026-01-30T12:00:00Z", "customer": 1, "terminal": 2, "amount": 50.0}
EVENT = {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}


class Process:
    """A command that runs as a fork."""

    def __init__(self, end: socket.socket, pipe: int | None) -> None:
        self._end, self.returncode = end, None
        self.pid = int(end.recv(64))
        self.stdout = None if pipe is None else os.fdopen(pipe, "r")

    def poll(self) -> int | None:
        """The exit code, below zero for a signal; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(["homeostat"], timeout or 0.0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
            self.returncode = os.waitstatus_to_exitcode(int(self._end.recv(64)))
            self._end.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(arguments: Sequence[str], **environment: str) -> Process:
    """Start a command; both of its outputs are in `stdout`."""
    reads, writes = os.pipe()
    return _forked(arguments, environment, writes, reads)


def start_program(program: Path, *arguments: str) -> Process:
    """Start a Python program of a test's own; both of its outputs are in `stdout`."""
    reads, writes = os.pipe()
    return _forked(arguments, {}, writes, reads, program)


def start_logging(arguments: Sequence[str], output: Path, environment: Mapping[str, str]) -> Process:
    """Start a command; both of its outputs are appended to a file."""
    return _forked(arguments, environment, os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), None)


def _forked(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    writes: int,
    reads: int | None,
    program: Path | None = None,
) -> Process:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asked = {"arguments": list(arguments), "environment": {**os.environ, **environment}, "folder": os.getcwd()}
    if program is not None:
        asked["program"] = str(program)
    with theirs:
        socket.send_fds(_parent(), [json.dumps(asked).encode()], [theirs.fileno(), writes])
    os.close(writes)
    return Process(ours, reads)


@cache
def _parent() -> socket.socket:
    """The line to the process that forks, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())]
        plain = {name: text for name, text in os.environ.items() if not name.startswith("HOMEOSTAT_")}
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[2], env=plain
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def main(line: socket.socket) -> None:
    """Fork a process for each request, until nobody can ask any more."""
    _warm_up()
    running: dict[int, tuple[int, socket.socket]] = {}  # By file descriptor: process id, and who waits for its end.
    while True:
        for ready in select.select([line, *running], [], [])[0]:
            if ready is not line:
                pid, end = running.pop(ready)
                os.close(ready)
                with end:
                    _tell(end, os.waitpid(pid, 0)[1])
                continue
            message, files, _, _ = socket.recv_fds(line, 1 << 20, 2)
            if not message:
                return
            end = socket.socket(fileno=files[0])
            with warnings.catch_warnings(action="ignore"):  # Libraries' threads sleep; none of them holds a lock.
                pid = os.fork()
            if not pid:
                for number in (line.fileno(), files[0], *running, *(other.fileno() for _, other in running.values())):
                    os.close(number)
                _become(json.loads(message), files[1])
            os.close(files[1])
            _tell(end, pid)
            running[os.pidfd_open(pid)] = pid, end


def _tell(end: socket.socket, number: int) -> None:
    with suppress(OSError):  # The test has gone.
        end.sendall(str(number).encode())


def _warm_up() -> None:
    """Import what a server does, and load the kernels that decide."""
    import homeostat
    import homeostat.adapters.kafka.stream
    import homeostat.adapters.postgres.connections
    import homeostat.adapters.redis
    import homeostat.cli.serve
    import homeostat.cli.worker
    import homeostat.engine.shared.leading
    import homeostat.serve.server
    import homeostat.worker.launch
    import homeostat.worker.telemetry

    for app, event in (("access", EVENT), ("payments", PAYMENT)):
        with homeostat.load(app) as engine:
            engine.decide(event)


def _become(asked: dict[str, Any], output: int) -> NoReturn:
    """This fork is the command from now on, and ends when it does."""
    from homeostat.cli import main as command

    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
    faulthandler.register(signal.SIGUSR1)  # One that hangs can be asked where.
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None
    os.chdir(asked["folder"])
    program = asked.get("program")
    sys.argv = [program or "homeostat", *asked["arguments"]]
    try:
        if program is None:
            command()
        else:
            runpy.run_path(program, run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Native libraries would wait for threads that stayed with the parent.


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))

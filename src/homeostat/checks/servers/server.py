"""One server process: started, stopped, killed and started again on the same port and data."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from homeostat.checks.servers import machine

START_S_MAX = 240.0  # Seconds on a machine that is busy with much else; on an idle one Kafka takes eight.
STOP_S_MAX = 30.0
_TAIL_LINES = 30


class StartFailed(Exception):
    """A server ended, or didn't get ready in time; says what its log ends with."""


class Startable(Protocol):
    """Several servers that start and end together."""

    def start(self) -> None: ...

    def close(self) -> None: ...


_Servers = TypeVar("_Servers", bound=Startable)


def entered(servers: _Servers) -> _Servers:
    """The servers, started. Where one does not start, the others are closed before its error goes on."""
    try:
        servers.start()
    except BaseException:
        servers.close()
        raise
    return servers


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a server is run.

    name : of the server, one word
    what : what it is and where it comes from, for people
    ready : what its log says once it answers
    command : the program's arguments, given the folder and the port
    url : its address, given the port
    prepare : makes the folder ready, before the first start
    begin : makes the running server ready, after each start
    user : the account it runs as; None for that of this process
    stop : the signal for a graceful stop
    end : the signal for the last stop of all: what it would still write down is removed anyway
    image : Docker's image and options, where it is a container; `command` then follows them
    """

    name: str
    what: str
    ready: str
    command: Callable[[Path, int], list[str]]
    url: Callable[[int], str]
    prepare: Callable[[Path, int], None] = lambda folder, port: None
    begin: Callable[[int], None] = lambda port: None
    user: str | None = None
    stop: signal.Signals = signal.SIGTERM
    end: signal.Signals = signal.SIGINT
    environment: dict[str, str] = field(default_factory=dict)
    image: Callable[[int], list[str]] | None = None


class Server:
    """A server on loopback. Starts when entered, or by `start`; its folder is removed when left, or by `close`."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._runs = 0
        self.port = machine.free_port()
        self.what = recipe.what

    @property
    def url(self) -> str:
        """Where it answers, for clients that take a URL."""
        return self._recipe.url(self.port)

    @property
    def address(self) -> str:
        """Where it answers, as host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that runs (of Docker's client, where it is a container)."""
        assert self._process is not None, "the server doesn't run"
        return self._process.pid

    @property
    def folder(self) -> Path:
        """Its data and its log."""
        assert self._folder is not None, "the server was never started"
        return self._folder

    @property
    def log(self) -> Path:
        """The output of all its runs."""
        return self.folder / "log"

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens when it runs. Raises StartFailed."""
        if self.running:
            return
        first = self._folder is None
        for attempt in range(3):
            try:
                if self._folder is None:
                    self._folder = machine.new_folder(self._recipe.name, self._recipe.user)
                    self._recipe.prepare(self._folder, self.port)
                self._run()
                self._recipe.begin(self.port)
                return
            except StartFailed:
                self._end(signal.SIGKILL)
                if attempt == 2:
                    raise
                if first:  # Another process may have taken the port since it was found free.
                    self.close()
                    self.port = machine.free_port()
                time.sleep(0.2)

    def stop(self) -> None:
        """Stop it gracefully: it writes down what it has. `start` goes on from there."""
        self._end(self._recipe.stop)

    def kill(self) -> None:
        """End it at once, as a crash of the machine would: SIGKILL, its children too."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and remove its folder."""
        self._end(self._recipe.end if self._recipe.image is None else signal.SIGKILL)
        if self._recipe.image is not None and self._folder is not None:
            subprocess.run(["docker", "volume", "rm", "--force", self._folder.name], capture_output=True, check=False)
            machine.guard("-", "volume", self._folder.name)
        if self._folder is not None:
            machine.remove(self._folder)
            self._folder = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        recipe, self._runs = self._recipe, self._runs + 1
        command = recipe.command(self.folder, self.port)
        if recipe.image is not None:
            machine.guard("+", "container", self._container)
            machine.guard("+", "volume", self.folder.name)
            options = ["--rm", "--name", self._container, "--volume", f"{self.folder.name}:/data"]
            command = ["docker", "run", *options, *recipe.image(self.port), *command]
        with open(self.log, "ab") as log:
            start = log.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                env={**os.environ, **recipe.environment}, start_new_session=True, user=recipe.user,
                extra_groups=None if recipe.user is None else [],
            )  # fmt: skip
        machine.guard("+", "process", str(self.pid))
        deadline = time.monotonic() + START_S_MAX
        while recipe.ready.encode() not in _after(self.log, start):
            if self._process.poll() is not None or time.monotonic() > deadline:
                why = "ended" if self._process.poll() is not None else f"wasn't ready after {START_S_MAX:.0f} s"
                lines = _after(self.log, start).decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]
                raise StartFailed(f"{recipe.what} {why}; its log ends with:\n" + "\n".join(lines))
            time.sleep(0.01)

    @property
    def _container(self) -> str:
        return f"{self.folder.name}-{self._runs}"  # Docker forgets a name some time after its container has ended.

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        children = _descendants(process.pid)
        if process.poll() is None:
            if how == signal.SIGKILL and self._recipe.image is not None:
                subprocess.run(["docker", "kill", self._container], capture_output=True, check=False)
            _send(process.pid, how)
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                _send(process.pid, signal.SIGKILL)
                process.wait()
        for child in children:  # PostgreSQL's have sessions of their own, and notice a while after their parent's end.
            _send(child, signal.SIGKILL)
        machine.guard("-", "process", str(process.pid))


def _after(log: Path, start: int) -> bytes:
    with open(log, "rb") as file:
        file.seek(start)
        return file.read()


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _descendants(pid: int) -> list[int]:
    """Children and theirs, from what `ps` or /proc says."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    if not parents:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
        parents = {int(line.split()[0]): int(line.split()[1]) for line in listed.splitlines()}
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]

"""This machine's means: programs, Debian packages, Docker; ports, folders; and a guardian that clears up."""

from __future__ import annotations

import atexit
import contextlib
import functools
import glob
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_PORTS = range(
    20_000, 32_000
)  # Below where systems pick ports for clients, which could take one while a server is down.


class CantBeHad(Exception):
    """This machine has no such server, and no way to get it."""


def lives(pid: int) -> bool:
    """Tell if a process with this number runs; a process of another user counts, too.

    >>> lives(os.getpid())
    True
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def find(program: str, also: str = "") -> str | None:
    """The path of a program, from PATH or the newest of the places that a pattern names."""
    found = shutil.which(program)
    if found is None and also:
        places = sorted(glob.glob(also), key=lambda place: [int(part) for part in place.split("/") if part.isdigit()])
        found = next((path for place in reversed(places) if (path := shutil.which(program, path=place))), None)
    return found


@functools.cache
def install(*packages: str) -> bool:
    """Try to install Debian packages; False where that isn't possible. Their services are not started."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    print(f"servers: installing {' '.join(packages)} by apt-get", file=sys.stderr)
    for attempt in (["apt-get", "update", "-q"], None):
        if subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0:
            return True
        if attempt is not None:
            subprocess.run(attempt, env=environment, capture_output=True, check=False)
    return False


def environment(name: str, requirement: str, program: str) -> str | None:
    """A program of a Python package, in an environment of its own that is made once for this user; None without uv.

    name : of the environment's folder, with the version
    requirement : what is installed there
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homeostat"
    wanted = base / name / "bin" / program
    uv = find("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if wanted.exists() or uv is None:
        return str(wanted) if wanted.exists() else None
    base.mkdir(parents=True, exist_ok=True)
    print(f"servers: installing {requirement}, once, into {base / name}", file=sys.stderr)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=base))
    try:
        commands = (
            [uv, "venv", "--quiet", "--relocatable", "--clear", str(work)],
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--compile-bytecode",
                "--python",
                str(work / "bin" / "python"),
                requirement,
            ],
        )
        if any(subprocess.run(command, capture_output=True, check=False).returncode for command in commands):
            return None
        with contextlib.suppress(OSError):  # Another process may have been faster.
            os.replace(work, base / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return str(wanted) if wanted.exists() else None


@functools.cache
def docker() -> bool:
    """Whether a container engine answers."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@functools.cache
def version(*command: str) -> str:
    """The first thing like a version number in what a program prints."""
    printed = subprocess.run(command, capture_output=True, text=True, check=False)
    for word in (printed.stdout + printed.stderr).replace("v=", " ").replace('"', " ").split():
        word = word.removeprefix("v")
        if word[:1].isdigit() and "." in word:
            return word
    return "of an unknown version"


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def new_folder(name: str, user: str | None) -> Path:
    """A temporary folder that the guardian removes at the latest; it belongs to `user`."""
    folder = Path(tempfile.mkdtemp(prefix=f"homeostat-{name}-"))
    if user is not None:
        shutil.chown(folder, user)
    guard("+", "folder", str(folder))
    return folder


def remove(folder: Path) -> None:
    """Remove a folder that `new_folder` made."""
    shutil.rmtree(folder, ignore_errors=True)
    guard("-", "folder", str(folder))


def guard(sign: str, kind: str, name: str) -> None:
    """Tell this process's guardian what to clear up ("+"), or that it is done ("-")."""
    pipe = _guardian(os.getpid()).stdin
    assert pipe is not None
    pipe.write(f"{sign}{kind} {name}\n")
    pipe.flush()


@functools.cache
def _guardian(owner: int) -> subprocess.Popen[str]:
    """One for each process; `owner` tells forks apart."""
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("guardian.py"))], text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    atexit.register(_dismiss, guardian, owner)
    return guardian


def _dismiss(guardian: subprocess.Popen[str], owner: int) -> None:
    if owner == os.getpid():
        guardian.communicate()

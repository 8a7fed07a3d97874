"""One server for several processes, such as the workers of a test run."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from homeostat.checks.servers.machine import CantBeHad
from homeostat.checks.servers.server import START_S_MAX, StartFailed


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers that another process runs."""

    url: str
    address: str
    port: int
    pid: int
    what: str


def shared_server(name: str, folder: Path, owner: int) -> Address:
    """The server of that name that all who give this folder share. The first to ask starts it.

    name : as `python -m homeostat.checks.servers` takes it
    owner : process with whose end it ends
    Raises CantBeHad and StartFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said, log = folder / f"{name}.json", folder / f"{name}.log"
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            _start(name, said, log, owner)
        line = said.read_text().strip()
    found = json.loads(line)
    if "missing" in found:
        raise CantBeHad(found["missing"])
    return Address(found["url"], found["address"], found["port"], found["pid"], found["what"])


def _start(name: str, said: Path, log: Path, owner: int) -> None:
    part = said.with_suffix(".part")
    command = [sys.executable, "-m", "homeostat.checks.servers", name, "--while", str(owner)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with open(part, "wb") as out, open(log, "wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=environment, start_new_session=True
        )
    deadline = time.monotonic() + 10 * START_S_MAX  # It may have to be installed first.
    while not part.read_bytes().endswith(b"\n"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartFailed(f"{name} didn't start:\n{log.read_text('utf-8', 'replace')[-4000:]}")
        time.sleep(0.02)
    process.returncode = process.returncode or 0  # It is nobody's child from here on: it ends with its owner.
    os.replace(part, said)

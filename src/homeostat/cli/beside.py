"""A runner of jobs that lives and ends with a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homeostat.cli.failures import CommandError
from homeostat.cli.watched import VARIABLE


@contextmanager
def jobs_beside(count: int, data: Path | None) -> Iterator[None]:
    """Run jobs of a folder in a process of its own while the block runs, so many at a time; none for 0.

    It has a session of its own, so that a Ctrl-C lets the server drain first. A server that is killed takes it along.
    Raises CommandError.
    """
    if not count:
        yield
        return
    if count < 0:
        raise CommandError("--jobs is 0 or more")
    ours, theirs = os.pipe()
    command = [sys.executable, "-m", "homeostat", "jobs", "run", "--data", str(data), "--at-once", str(count)]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command.
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs,),
            env={**os.environ, VARIABLE: str(theirs)}, start_new_session=True,
        )  # fmt: skip
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        os.close(ours)

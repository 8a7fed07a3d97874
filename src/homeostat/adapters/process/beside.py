"""A short command of ours in a process beside this one: niced, with an end to its time, and nothing to read from."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence

_NICED = "import os; os.nice(10); from homeostat.cli import main; main()"
PROGRAM = (sys.executable, "-P", "-c", _NICED)  # -P: the working folder holds data, never code.
_SHOWN_CHARS = 500
_LOOK_S = 0.2


class CommandFailed(Exception):
    """The command ended with an error, or did not end in time; the text says which."""


def answer_of(words: Sequence[str], seconds_max: float, program: Sequence[str] | None = None) -> str:
    """The standard output of a command. Raises CommandFailed.

    words : the command and its options
    program : called with them; that of this installation when absent
    """
    try:
        done = subprocess.run(  # noqa: S603 - a command of our own list.
            [*(program or PROGRAM), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=seconds_max, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"it took longer than {seconds_max:g} s") from None
    except OSError as error:
        raise CommandFailed(f"no process can be started for it: {error.strerror or error}") from None
    return _printed(done.returncode, done.stdout, done.stderr)


def answer_until(
    words: Sequence[str], seconds_max: float, stop: threading.Event, program: Sequence[str] | None = None
) -> str:
    """The same; the command is killed as soon as `stop` is set. Raises CommandFailed then, too."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a command of our own list.
            [*(program or PROGRAM), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
    except OSError as error:
        raise CommandFailed(f"no process can be started for it: {error.strerror or error}") from None
    with process:
        until_s = time.monotonic() + seconds_max
        while True:
            try:
                printed, errors = process.communicate(timeout=_LOOK_S)
                return _printed(process.returncode, printed, errors)
            except subprocess.TimeoutExpired:
                late = time.monotonic() > until_s
                if late or stop.is_set():
                    process.kill()
                    process.communicate()
                    why = f"it took longer than {seconds_max:g} s" if late else "this process ends"
                    raise CommandFailed(why) from None


def _printed(code: int, printed: str, errors: str) -> str:
    if code:
        lines = [line for line in errors.strip().splitlines() if line]
        why = lines[-1].removeprefix("homeostat: ") if lines else f"it ended with {code}"
        raise CommandFailed(why[:_SHOWN_CHARS])
    return printed

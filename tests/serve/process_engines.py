"""Engines for processes of a server: each with a memory of its own, which only a test would want."""

from __future__ import annotations

import os
from pathlib import Path

from homeostat import load


def engine(app: str, folder: str):
    """An engine that leaves a note of the process it is in."""
    made = load(app)
    (Path(folder) / str(os.getpid())).touch()
    return made


def broken(app: str, folder: str):
    raise ValueError(f"no engine for {app}: hs_0123456789ab_c0ffee")


def troubled(app: str, folder: str):
    """An engine whose journal is down while a file `down` is there, and whose large batches wait while `slow` is."""
    import time

    from homeostat.ports import Unavailable

    made, root = load(app), Path(folder)
    append, answer = made.parts.journal.append, made.answer

    def appended(body):
        if (root / "down").exists():
            raise Unavailable("the disk is full")
        if (root / "broken").exists():
            raise RuntimeError("no such luck with hs_0123456789ab_c0ffee")
        return append(body)

    def answered(objects):
        while len(objects) > 1000 and (root / "slow").exists():
            time.sleep(0.01)
        return answer(objects)

    made.parts.journal.append, made.answer = appended, answered
    return made


if __name__ == "__main__":
    import sys

    from homeostat.serve.settings import Settings, serve_with
    from homeostat.serve.sockets import bound, url_of

    sock = bound("127.0.0.1", 0)
    where = url_of(sock)
    serve_with(Settings(), lambda: troubled("access", sys.argv[1]), sock, lambda _: print("at", where, flush=True))

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


def shared(app: str, folder: str):
    """An engine on a journal with a small spool and a feature store, each away while a file of its name is there."""
    from homeostat.adapters.memory_features import MemoryFeatures
    from homeostat.adapters.memory_journal import MemoryJournal
    from homeostat.adapters.spool import SpooledJournal
    from homeostat.config.world import World
    from homeostat.distributed.assembly import open_shared
    from homeostat.distributed.serving import SharedEngine
    from homeostat.ports import Unavailable

    root = Path(folder)

    def check(name):
        if (root / name).exists():
            raise Unavailable(f"the server of {name} is away")

    class Journal(MemoryJournal):
        def _asked(self):
            check("journal")
            return super()._asked()

    class Features(MemoryFeatures):
        def exchange(self, asked, through=None):
            check("features")
            return super().exchange(asked, through)

        def through(self):
            check("features")
            return super().through()

    journal = SpooledJournal(Journal(), root / "spooled", max_bytes=16_384)
    world = World(spool=str(root / "spool"))
    return SharedEngine(open_shared(app, world, judges_lateness=True, journal=journal, store=Features()))


if __name__ == "__main__":
    import sys

    from homeostat.serve.settings import Settings, serve_with
    from homeostat.serve.sockets import bound, url_of

    sock = bound("127.0.0.1", 0)
    where = url_of(sock)
    serve_with(Settings(), lambda: troubled("access", sys.argv[1]), sock, lambda _: print("at", where, flush=True))

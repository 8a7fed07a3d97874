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
    """An engine whose journal is down while a file `down` is there, and whose large batches wait while `slow` is.

    Its audit fails while `unaudited` is there; its guards always fail at a value of 666.
    """
    import time

    from homeostat.ports import Unavailable
    from homeostat.serve.routes import batches as serving

    made, root = load(app), Path(folder)
    append, answer, audit = made.parts.journal.append, made.answer, made.audit
    begin_again, decoded, items = made.parts.begin_again, serving.decoded, serving.items

    def unlucky(read):
        def reading(body):
            if b"poison" in body and (b"oops" not in body or read is items):
                raise ArithmeticError("no such luck")
            return read(body)

        return reading

    serving.decoded, serving.items = unlucky(decoded), unlucky(items)

    def poisoned() -> None:
        rule = made.parts.loop.stages.guard.rule

        def ruled(events, *others):
            if (events.numbers == 666).any():
                raise ZeroDivisionError("no such luck")
            return rule(events, *others)

        made.parts.loop.stages.guard.rule = ruled

    def begun_again() -> None:
        begin_again()
        poisoned()

    poisoned()
    made.parts.begin_again = begun_again

    def audited():
        if (root / "unaudited").exists():
            raise RuntimeError("no such luck")
        (root / "audited").touch()
        return audit()

    made.audit = audited

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
    from homeostat.adapters.disk.spool import SpooledJournal
    from homeostat.adapters.memory.features import MemoryFeatures
    from homeostat.adapters.memory.journal import MemoryJournal
    from homeostat.config.servers import Servers
    from homeostat.engine.shared.connecting import open_shared
    from homeostat.engine.shared.serving import engine_of
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
    servers = Servers(spool=str(root / "spool"))
    return engine_of(open_shared(app, servers, judges_lateness=True, journal=journal, store=Features()))


if __name__ == "__main__":
    import sys

    from homeostat.serve.options import ServerOptions, serve_with
    from homeostat.serve.sockets import bound, url_of

    sock = bound("127.0.0.1", 0)
    where = url_of(sock)
    serve_with(ServerOptions(), lambda: troubled("access", sys.argv[1]), sock, lambda _: print("at", where, flush=True))

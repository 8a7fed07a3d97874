"""`homeostat learn`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from json import dumps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from homeostat.cli.doors import warn_of_plain_connections
from homeostat.cli.failures import CommandError
from homeostat.cli.options import Bundle, Json
from homeostat.cli.watched import watched

if TYPE_CHECKING:
    from homeostat.engine.shared.leading import Leading


def learn(
    app: str,
    /,
    *,
    config: Annotated[Path | None, Parameter(help="A file with a `servers` section, over the app file's own.")] = None,
    bundle: Bundle = None,
    lease: Annotated[float, Parameter(help="Seconds after which another one leads if this one gives no sign.")] = 15.0,
    check: Annotated[bool, Parameter(negative="", help="Decide the journal again, compare, and end.")] = False,
    json: Json = False,
    log: Annotated[Literal["text", "json"] | None, Parameter(help="How to log; HOMEOSTAT_LOG when absent.")] = None,
) -> None:
    """Learn online for all workers and servers of an app that share a journal, until a signal says to stop.

    It reads the journal, learns on the app's grid of event time, and publishes what it learned as changes of the
    settings, which each process applies between two batches. Start as many as you like: one leads, the others wait.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file.
    """
    from homeostat.adapters.process.compiling import said
    from homeostat.adapters.process.environment import servers_of
    from homeostat.adapters.process.logs import configure
    from homeostat.engine.shared.leading import open_learner

    ready_at = watched()
    logger = configure(log, app=app, worker=f"learner-{os.getpid()}")
    servers = servers_of(config, app)
    warn_of_plain_connections(servers)
    if lease <= 0:
        raise CommandError("--lease is more than 0 seconds")
    with said(logger.info):
        leading = open_learner(app, servers, bundle=bundle, note=logger.info, lease_s=lease)
    with closing(leading):
        if check:
            sys.exit(_check(leading, json))
        _stop_at_signals(leading.stop)
        ready_at("learns from the journal")
        leading.run()
    logger.info("saved, stopped")


def _check(leading: Leading, as_json: bool) -> int:
    """Print whether all decisions of the journal come out the same; 1 where one does not."""
    from homeostat.engine.shared.again import Deciding

    found = Deciding(leading.source).run()
    differing = found.decisions - found.same - found.other_version
    if as_json:
        print(dumps({
            "decisions": found.decisions, "same": found.same, "other_version": found.other_version,
            "differing": differing, "examples": found.differing,
        }))  # fmt: skip
    else:
        print(f"{found.same:,} of {found.decisions:,} decisions come out the same, bit for bit")
        if found.other_version:
            print(f"{found.other_version:,} were made by another version, and stand")
        if found.differing:
            print(f"{differing:,} come out otherwise, such as {', '.join(found.differing[:5])}")
    return 1 if differing else 0


def _stop_at_signals(stop: Callable[[], None]) -> None:
    """The first signal saves and stops, the second stops at once."""
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)  # Nothing is lost: it reads on from what was saved.
        asked.append(number)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)

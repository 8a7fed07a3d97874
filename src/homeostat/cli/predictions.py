"""`homeostat predictions`."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import asdict
from json import dumps
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Bundle, Json
from homeostat.cli.progress import say
from homeostat.cli.version_stores import Config, Data

if TYPE_CHECKING:
    from homeostat.engine.assembly import Prepared
    from homeostat.jobs.predicting.running import OpensJournal

_DEADLINE_S = 5.0  # Of one question to the journal's server.
_NICENESS = 5  # An alarm must not wait until the processor is idle.


def predictions(
    app: str,
    /,
    *,
    data: Data = None,
    config: Config = None,
    state: Annotated[
        Path | None, Parameter(help="With --config: the folder that remembers how far each target is.")
    ] = None,
    bundle: Bundle = None,
    once: Annotated[bool, Parameter(negative="", help="End when all that was decided is sent.")] = False,
    owner: Annotated[str | None, Parameter(help="The name of this process; drawn when absent.")] = None,
    parent: Annotated[int | None, Parameter(help="End with this process, which started it.")] = None,
    json: Json = False,
) -> None:
    """Send the decisions of an app as predictions to the targets that its file names under `predictions`.

    A server with a data folder does this by itself. On servers, run one such process beside them.

    Parameters
    ----------
    app
        A shipped app, or an app file: that of the server.
    """
    from homeostat.adapters.process.background import end_with, step_back
    from homeostat.adapters.process.environment import servers_of
    from homeostat.config.predictions import read_targets
    from homeostat.engine.assembly import prepare
    from homeostat.jobs.predicting.running import Running

    if parent is not None:
        end_with(parent)
    if not once:
        step_back(_NICENESS)
    prepared = prepare(app)
    targets = read_targets(prepared.app.predictions, os.environ)
    if not targets:
        raise CommandError(f"{prepared.app.app} names no target: add a section `predictions` to its file")
    folder, open_journal = _place(prepared, app, data, config, state)

    def find() -> Path | None:
        from homeostat.engine.assembly import champion_in

        return bundle if bundle is not None or data is None else champion_in(data, prepared.app)

    running = Running(
        prepared, open_journal, find, folder, owner or f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
        servers_of(config, app).kafka, say,
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: running.stop())
    if not once:
        say(f"sends decisions of {prepared.app.app} to {', '.join(one.name for one in targets)}")
    done = running.run(targets, once)
    if json:
        kept = ("sent", "skipped", "refused", "behind", "trouble")
        print(dumps({name: {key: asdict(one)[key] for key in kept} for name, one in done.items()}))
        return
    for name, one in done.items():
        print(f"{name}: {one.sent:,} sent, {one.skipped:,} skipped, {one.refused:,} refused, in all")


def _place(
    prepared: Prepared, app: str, data: Path | None, config: Path | None, state: Path | None
) -> tuple[Path, OpensJournal]:
    """The folder of the progress, and a function that opens the journal. Raises CommandError where none is named."""
    if data is not None:
        if config is not None:
            raise CommandError("is the journal in --data or on the servers of --config? Give one of them")
        if not (data / "journal.db").is_file():
            raise CommandError(f"{data} holds no journal: name the --data folder of a server or a replay")
        from homeostat.adapters.disk.sqlite.journal import SqliteJournal

        path = data / "journal.db"
        return data, lambda: SqliteJournal(path, app=prepared.app.app, words=prepared.words, readonly=True)
    from homeostat.adapters.opening import journal_opener
    from homeostat.adapters.process.environment import servers_of

    servers = servers_of(config, app)
    url = servers.journal
    if url is None:
        raise CommandError("which journal? Give --data FOLDER, or --config FILE with servers.journal")
    if state is None:
        raise CommandError("where is to be remembered how far each target is? Give --state FOLDER")
    return state, lambda: journal_opener(url)(
        url, app=prepared.app.app, words=prepared.words, clock=None, retention_ns=None, deadline_s=_DEADLINE_S
    )

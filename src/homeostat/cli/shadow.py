"""`homeostat shadow`."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.progress import say
from homeostat.cli.version_stores import Config, Data

if TYPE_CHECKING:
    from homeostat.jobs.shadow_places import Place
    from homeostat.jobs.shadowing import Asked
    from homeostat.ports.shadow import ShadowStore

_EVERY_S = 0.5  # Nobody waits for a challenger; looking more often would cost the champion's processor.


@Parameter(name="*")
@dataclass(frozen=True)
class Beside:
    """The options of a process that a server starts."""

    since_deployed: Annotated[
        bool, Parameter(negative="", help="Begin with the events since it got its role, not with the journal.")
    ] = False
    memory_mb: Annotated[
        int | None,
        Parameter(help="The most memory; the process ends beyond it.", validator=Number(gte=64, lte=1 << 20)),
    ] = None
    owner: Annotated[str | None, Parameter(help="The name of this process; drawn when absent.")] = None
    parent: Annotated[int | None, Parameter(help="End with this process, which started it.")] = None


def shadow(
    app: str,
    /,
    *,
    data: Data = None,
    config: Config = None,
    version: Annotated[str | None, Parameter(help="A version; the challenger when absent.")] = None,
    once: Annotated[bool, Parameter(negative="", help="End when it has caught up with the journal.")] = False,
    status: Annotated[bool, Parameter(negative="", help="Only show how each challenger fares.")] = False,
    beside: Beside = Beside(),
    json: Json = False,
) -> None:
    """Let a challenger decide the same events beside the champion, in this process. Nobody acts on its decisions.

    A server does this by itself while there is a challenger, unless its app file says otherwise.

    Parameters
    ----------
    app
        A shipped app, or an app file: that of the server.
    """
    if status:
        with place_of(data, config, app) as place, closing(place.open_kept(True)) as kept:
            _show(place, kept, json)
        return
    from homeostat.jobs.shadowing import Asked

    if beside.parent is not None:
        from homeostat.adapters.process.background import end_with

        end_with(beside.parent)
    if not once:
        from homeostat.adapters.process.background import give_way

        give_way()
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # The lease is given back on the way out.
    if beside.memory_mb is not None:
        from homeostat.adapters.process.background import bound_memory

        bound_memory(beside.memory_mb)
    with place_of(data, config, app) as place, closing(place.open_kept(False)) as kept:
        found = _run(app, place, kept, Asked(version, beside.since_deployed, once), beside)
    print(dumps(found) if json else f"version {found['version']} decided {found['events']:,} events in shadow")


@contextmanager
def place_of(data: Path | None, config: Path | None, app: str) -> Iterator[Place]:
    """The stores of a challenger. Raises CommandError where none are named."""
    from homeostat.jobs.shadow_places import place_in, place_on

    if data is not None:
        if config is not None:
            raise CommandError("is the journal in --data or on the servers of --config? Give one of them")
        if not (data / "journal.db").is_file():
            raise CommandError(f"{data} holds no journal: name the --data folder of a server or a replay")
        with place_in(data) as place:
            yield place
        return
    from homeostat.adapters.process.environment import servers_of

    servers = servers_of(config, app)
    if servers.journal is None:
        raise CommandError("which journal? Give --data FOLDER, or --config FILE with servers.journal")
    with place_on(servers) as place:
        yield place


def _run(app: str, place: Place, kept: ShadowStore, asked: Asked, beside: Beside) -> dict[str, Any]:
    """Follow the version that is asked for, or whichever is the challenger, for ever; or once."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.engine.shadowing import TAKEN
    from homeostat.jobs.shadowing import Run, ShadowTaken

    run = Run(app, place, kept, SystemClock(), beside.owner or _name(), asked, say)
    shown = ""
    while True:
        name = place.challenger(asked.version)
        if name is None and asked.once:
            raise CommandError(
                "there is no challenger: name a --version, or homeostat models promote V --role challenger"
            )
        if name is not None:
            if shown != name:
                say(f"version {name} decides in shadow, into {kept.where}")
                shown = name
            try:
                events = run.follow(name, lambda: time.sleep(_EVERY_S))
            except ShadowTaken:
                if beside.parent is None:
                    raise
                sys.exit(TAKEN)
            except MemoryError:
                raise CommandError(f"version {name} needs more memory than it may have") from None
            if asked.once:
                return {"version": name, "events": events, "entries": kept.versions().get(name, 0)}
        time.sleep(_EVERY_S)


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"


def _show(place: Place, kept: ShadowStore, json: bool) -> None:
    challenger, entries = place.challenger(), kept.versions()
    found = [
        {
            "version": version, "challenger": version == challenger, "running": held.lives, "process": held.owner,
            "entries": entries.get(version, 0), **held.state.as_json(),
        }
        for version, held in sorted(kept.held().items())
    ]  # fmt: skip
    if json:
        print(dumps({"challenger": challenger, "versions": found}))
        return
    from homeostat.cli.models_view import shadow_lines

    print("\n".join(shadow_lines(challenger, found)))

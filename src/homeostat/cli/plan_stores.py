"""The stores of incidents, plans, and people's words on them, as options name them: in a data folder, or on servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.version_stores import store_place

if TYPE_CHECKING:
    from homeostat.engine.answering import Answering
    from homeostat.ports.incidents import Incidents
    from homeostat.ports.plans import Plans
    from homeostat.records.incidents import Incident

AppName = Annotated[str | None, Parameter("--app", help="A shipped app or an app file: its maintain.gate counts.")]


@contextmanager
def plans_of(data: Path | None, config: Path | None) -> Iterator[Plans]:
    """The plans that options name, closed at the end. Raises CommandError where neither is named, or both are."""
    place = store_place(data, config, "plans")
    if isinstance(place, Path):
        from homeostat.adapters.disk.sqlite.plans import SqlitePlans

        with closing(SqlitePlans(place)) as store:
            yield store
        return
    from homeostat.adapters.opening import plans_opener

    with closing(plans_opener(place)(place)) as shared:
        yield shared


@contextmanager
def answering_of(app: str | None, data: Path | None, config: Path | None) -> Iterator[Answering]:
    """Takes the words of people on plans; its stores are closed at the end."""
    from homeostat.cli.settings import store_of
    from homeostat.cli.statements import statements_of
    from homeostat.config.gate import GateSpec
    from homeostat.config.load import load_app
    from homeostat.engine.answering import Answering

    read = None if app is None else load_app(app)
    spec = GateSpec() if read is None else read.maintain.gate
    with (
        plans_of(data, config) as plans, store_of(data, config) as settings,
        statements_of(data, config) as statements,
    ):  # fmt: skip
        yield Answering(plans, settings, statements, spec, read)


@contextmanager
def incidents_of(data: Path | None, config: Path | None) -> Iterator[Incidents]:
    """The incidents that options name, closed at the end. Raises CommandError where neither is named, or both are."""
    if data is not None:
        from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents

        if config is not None:
            raise CommandError("are the incidents in --data or on the servers of --config? Give one of them")
        if not data.is_dir():
            raise CommandError(f"there is no folder {data}: name the --data folder of a server")
        with closing(SqliteIncidents(data)) as store:
            yield store
        return
    from homeostat.adapters.opening import incidents_opener
    from homeostat.adapters.process.environment import servers_of

    address = servers_of(config).journal
    if address is None:
        raise CommandError("where are the incidents? Give --data FOLDER, or --config FILE with servers.journal")
    with closing(incidents_opener(address)(address)) as shared:
        yield shared


def found_incident(store: Incidents, id: str) -> Incident:
    """The incident of an id, or of the beginning of one. Raises UnknownIncident, CommandError for more than one."""
    from homeostat.ports.incidents import UnknownIncident

    try:
        return store.get(id)
    except UnknownIncident:
        found = [one.incident for one in store.list(limit=1000) if len(id) >= 4 and one.incident.id.startswith(id)]
        if not found:
            raise
    if len(found) > 1:
        raise CommandError(f"{len(found)} incidents begin with {id}: give more of the id")
    return found[0]

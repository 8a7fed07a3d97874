"""The stores of incidents, plans, and people's words on them, as options name them: in a data folder, or on servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.version_stores import store_at

if TYPE_CHECKING:
    from homeostat.engine.answering import Answering
    from homeostat.ports.incidents import Incidents
    from homeostat.ports.maintenance import MaintenanceStore
    from homeostat.ports.plans import Plans
    from homeostat.records.incidents import Incident

AppName = Annotated[str | None, Parameter("--app", help="A shipped app or an app file: its maintain.gate counts.")]


def plans_of(data: Path | None, config: Path | None) -> AbstractContextManager[Plans]:
    """The plans that options name, closed at the end. Raises CommandError where neither is named, or both are."""

    def here(folder: Path) -> Plans:
        from homeostat.adapters.disk.sqlite.plans import SqlitePlans

        return SqlitePlans(folder)

    def there(url: str) -> Plans:
        from homeostat.adapters.opening import plans_opener

        return plans_opener(url)(url)

    return store_at(data, config, "plans", here, there)


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


def incidents_of(data: Path | None, config: Path | None) -> AbstractContextManager[MaintenanceStore]:
    """The incidents that options name, closed at the end. Raises CommandError where neither is named, or both are."""

    def here(folder: Path) -> MaintenanceStore:
        from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents

        return SqliteIncidents(folder)

    def there(url: str) -> MaintenanceStore:
        from homeostat.adapters.opening import incidents_opener

        return incidents_opener(url)(url)

    return store_at(data, config, "incidents", here, there)


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

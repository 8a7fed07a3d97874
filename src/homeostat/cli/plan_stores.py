"""The stores of plans and of people's words on them, as options name them: in a data folder, or on servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from homeostat.cli.version_stores import store_place

if TYPE_CHECKING:
    from homeostat.engine.answering import Answering
    from homeostat.ports.plans import Plans

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

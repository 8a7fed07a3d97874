"""`homeostat incidents report`: the post-mortem of an incident, as files."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.options import Json
from homeostat.cli.plan_stores import AppName, found_incident, incidents_of, plans_of
from homeostat.cli.version_stores import Config, Data


def report(
    id: str, /, *, out: Annotated[Path, Parameter(help="The folder to write to.")], app: AppName = None,
    data: Data = None, config: Config = None, json: Json = False,
) -> None:  # fmt: skip
    """Write the post-mortem of an incident, as Markdown and as one HTML page: time line, evidence, plan, effect, cost.

    `homeostat maintain` writes it by itself into the data folder when an incident is closed.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it, or the beginning of it.
    """
    from homeostat.config.load import load_app
    from homeostat.engine.post_mortems import blocks_of, write_post_mortem

    currency = "" if app is None else load_app(app).currency
    with incidents_of(data, config) as store, plans_of(data, config) as plans:
        whole = found_incident(store, id).id
        blocks = blocks_of(store, plans, whole, currency)
    paths = write_post_mortem(out, whole, blocks)
    if json:
        print(dumps({"incident": whole, "files": [str(path) for path in paths]}))
        return
    for path in paths:
        print(path)

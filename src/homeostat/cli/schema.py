"""`homeostat schema`: the JSON Schemas of what people write, and of what homeostat writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Any

from cyclopts import Parameter

from homeostat.cli.failures import CommandError

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ABSENT = {"enum": [None, ""]}  # Or no such member at all.
_OF_THE_APP = {
    "event": ("Event", "an event of an app, as JSON; needs --app"),
    "outcome": ("Outcome", "an outcome of an app's event, as JSON; needs --app"),
    "decision": ("Decision", "an app's decision, as it is answered and published; needs --app"),
}


def schema(
    what: str = "app",
    /,
    *,
    app: Annotated[str | None, Parameter(help="Whose events, outcomes or decisions.")] = None,
    list: Annotated[bool, Parameter(help="Print what there are schemas of.", negative="")] = False,
) -> None:
    """Print a JSON Schema: of app files, for editors, or of a file that homeostat writes.

    Parameters
    ----------
    what
        One of those that --list prints.
    """
    if list:
        width = max(map(len, titles()))
        print("\n".join(f"{name:<{width}}  {title}" for name, title in titles().items()))
        return
    print(json.dumps(schema_of(what, app), indent=2))


def titles() -> dict[str, str]:
    """Each schema that there is by its name, with what it describes."""
    return {
        "app": "an app file", "servers": "a file of servers, for --config",
        **{name: title for name, (_, title) in _OF_THE_APP.items()},
        **{name: str(text["title"]) for name, text in _shipped().items()},
    }  # fmt: skip


def schema_of(what: str, app: str | None = None) -> dict[str, Any]:
    """JSON Schema 2020-12 of one kind of file or message. Raises CommandError, AppFileError."""
    if what not in titles():
        raise CommandError(f"there is no schema of {what!r}; there is one of {', '.join(titles())}")
    if what in _OF_THE_APP:
        if app is None:
            raise CommandError(f"each app has its own: homeostat schema {what} --app payments")
        return _of_the_app(what, app)
    if app is not None:
        raise CommandError(f"--app goes with {', '.join(_OF_THE_APP)}: the schema of {what!r} is the same for all apps")
    if what in _shipped():
        return _shipped()[what]
    from homeostat.config.schema import json_schema, servers_schema

    return json_schema() if what == "app" else servers_schema()


def _shipped() -> dict[str, dict[str, Any]]:
    """The schemas that are the same for all apps, by the names of their files."""
    found = sorted(files("homeostat.schemas").iterdir(), key=lambda file: file.name)
    return {file.name[:-5]: json.loads(file.read_text("utf-8")) for file in found if file.name.endswith(".json")}


def _of_the_app(what: str, app: str) -> dict[str, Any]:
    """As the app's OpenAPI document has it, under all names that are read."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.config.load import load_app
    from homeostat.config.plans import event_schema
    from homeostat.decide.intake.schema import outcome_schema
    from homeostat.records.identity import Coding
    from homeostat.serve.openapi import document

    tree = load_app(app)
    events = event_schema(tree, Coding.of_seed(tree.seed))  # Only names are looked at.
    shape = document(tree, SystemClock().now_ns())["components"]["schemas"][_OF_THE_APP[what][0]]
    if what != "decision":
        columns = events if what == "event" else outcome_schema(events)
        entities, fields = ([column.names for column in some] for some in (columns.entities, columns.fields))
        shape = _under_any_name(shape, [columns.id, columns.time, *entities, *fields, columns.label])
    return {"$schema": _DRAFT, "title": f"{what} of {tree.app}", **shape}


def _under_any_name(shape: dict[str, Any], columns: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """A shape whose columns may also bear their aliases: of several, the first counts that is not absent.

    columns : the names of each column, the declared one first
    """
    properties, needed, rules = dict(shape["properties"]), list(shape["required"]), []
    for names in columns:
        if len(names) < 2 or names[0] not in properties:
            continue
        own = properties.pop(names[0])
        options: list[dict[str, Any]] = [
            {"properties": {**dict.fromkeys(names[:k], _ABSENT), name: own}, "required": [name]}
            for k, name in enumerate(names)
        ]
        if names[0] in needed:
            needed.remove(names[0])
        else:
            options.append({"properties": dict.fromkeys(names, _ABSENT)})
        rules.append({"anyOf": options})
    return {**shape, "properties": properties, "required": needed, **({"allOf": rules} if rules else {})}

"""The reference of every key of the app file, as Markdown made from the tree; `docs/app-file.md` holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from homeostat.config.scalars import Node
from homeostat.config.schema import json_schema
from homeostat.config.settings import POLICIES, SCORERS
from homeostat.config.tree import DURATION_PATTERN

BEGIN = "<!-- The keys: made from the tree, do not edit. -->"
END = "<!-- The end of the keys. -->"

_SETTINGS = {"ScorerSpec": SCORERS, "PolicySpec": POLICIES}


def reference() -> str:
    """One table a mapping, in the order of the tree.

    >>> "| `lateness` | duration | `0s` |" in reference()
    True
    """
    schema = json_schema()
    parts = [_table("The file", schema["description"], schema)]
    for path, name in _mappings(schema):
        definition = schema["$defs"][name]
        parts.append(_table(f"`{path}`", definition["description"], definition))
        if name in _SETTINGS:
            parts += _settings(path, _SETTINGS[name], schema)
    return "\n\n".join(parts)


def _settings(path: str, kinds: dict[str, type[Node]], schema: dict[str, Any]) -> list[str]:
    """A table for each kind that has settings."""
    found = []
    for kind, model in kinds.items():
        definition = schema["$defs"][model.__name__]
        if definition.get("properties"):
            found.append(_table(f"`{path}.settings` of kind `{kind}`", definition["description"], definition))
    return found


def _mappings(schema: dict[str, Any]) -> list[tuple[str, str]]:
    """Where each kind of mapping stands first, and its definition."""
    found: dict[str, str] = {}

    def visit(definition: dict[str, Any], path: str) -> None:
        for key, part in definition["properties"].items():
            for below, name in _references(part, f"{path}.{key}" if path else key):
                if name not in found:
                    found[name] = below
                    visit(schema["$defs"][name], below)

    visit(schema, "")
    return [(path, name) for name, path in found.items()]


def _references(part: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if "$ref" in part:
        yield path, part["$ref"].rsplit("/", 1)[1]
    for alternative in part.get("anyOf", []):
        yield from _references(alternative, path)
    for value in part.get("patternProperties", {}).values():
        yield from _references(value, f"{path}.<name>")
    if "items" in part:
        yield from _references(part["items"], f"{path}[]")


def _table(title: str, description: str, definition: dict[str, Any]) -> str:
    required = definition.get("required", [])
    rows = [f"### {title}", "", description, "", "| key | holds | default | meaning |", "| --- | --- | --- | --- |"]
    for key, part in definition["properties"].items():
        default = "**required**" if key in required else _default(part.get("default"))
        rows.append(f"| `{key}` | {_holds(part)} | {default} | {part.get('description', '')} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, dict):
        return "see below"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _holds(part: dict[str, Any]) -> str:
    """The values that a key takes, in a few words."""
    if part.get("pattern") == DURATION_PATTERN:
        return "duration"
    if "$ref" in part or "patternProperties" in part or part.get("type") == "object":
        return "mapping" if "$ref" in part else "mapping by name"
    if "const" in part or "enum" in part:
        return ", ".join(f"`{word}`" for word in part.get("enum", [part.get("const")]))
    if "anyOf" in part:
        words = [_holds(option) for option in part["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    if part.get("type") == "array":
        inner = part.get("items") or {}
        fixed = part.get("prefixItems", [])
        names = _holds(fixed[0]) if fixed and fixed[0].get("type") != "string" else "names"
        if not inner and not fixed:
            return "list"
        return f"list of {_holds(inner)}" if inner else f"list of {len(fixed)} {names}"
    words_of = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    word = words_of.get(part.get("type", ""), "any value")
    low, high = part.get("minimum", part.get("exclusiveMinimum")), part.get("maximum", part.get("exclusiveMaximum"))
    high = None if high is not None and high >= 2**63 else high  # The bound of an integer says nothing to anyone.
    least = "above" if "exclusiveMinimum" in part else "at least"
    most = "below" if "exclusiveMaximum" in part else "at most"
    if low is None or high is None:
        bounds = (
            [f"{least} {_bound(low)}"] if low is not None else [f"{most} {_bound(high)}"] if high is not None else []
        )
    elif (least, most) == ("at least", "at most"):
        bounds = [f"{_bound(low)} to {_bound(high)}"]
    else:
        bounds = [f"{least} {_bound(low)}", f"{most} {_bound(high)}"]
    return ", ".join([word, *bounds])


def _bound(number: float) -> str:
    return f"{number:,}" if number == int(number) and abs(number) < 1e9 else f"{number:g}"


if __name__ == "__main__":
    print(reference())

"""The app file's JSON Schema, for editors."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

from homeostat.config.scalars import Node
from homeostat.config.servers import Servers
from homeostat.config.settings import POLICIES, SCORERS
from homeostat.config.tree import DURATION_PATTERN, App

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_UNITS = (("d", 86400 * 10**9), ("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9), ("ms", 10**6))
_DURATIONS = (
    "period", "horizon", "every", "delay", "hang", "tick", "lowered_for", "worth_for", "cool_down", "plan_age",
    "answer", "time", "timeout",
)  # fmt: skip


def duration_text(span_ns: int) -> str:
    """A duration as the app file writes it.

    >>> duration_text(90 * 60 * 10**9), duration_text(0), duration_text(86400 * 10**9)
    ('90m', '0s', '1d')
    """
    if span_ns == 0:
        return "0s"
    unit, size = next(((unit, size) for unit, size in _UNITS if span_ns % size == 0), ("ms", 10**6))
    return f"{span_ns / size:.10g}{unit}"


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    schema = App.model_json_schema(mode="validation")
    _type_settings(schema, "ScorerSpec", SCORERS)
    _type_settings(schema, "PolicySpec", POLICIES)
    _write_durations(schema)
    return {"$schema": _DRAFT, **schema, "title": "homeostat app file"}


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the app file; what it can't say (names that must exist, types of expressions) is
    checked when the file is loaded."""
    return copy.deepcopy(_schema())


def servers_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a file of servers: a `servers` section; what else is in it is not read."""
    servers = Servers.model_json_schema(mode="validation")
    _write_durations(servers)
    parts = servers.pop("$defs", {}) | {"Servers": servers}
    return {
        "$schema": _DRAFT, "title": "homeostat servers", "type": "object",
        "properties": {"servers": {"$ref": "#/$defs/Servers"}}, "$defs": parts,
    }  # fmt: skip


def _type_settings(schema: dict[str, Any], section: str, kinds: dict[str, type[Node]]) -> None:
    """The contents of `settings` follow from the `kind` beside it."""
    rules = []
    for kind, model in kinds.items():
        own = model.model_json_schema(mode="validation")
        schema["$defs"] |= own.pop("$defs", {}) | {model.__name__: own}
        said: dict[str, Any] = {"properties": {"kind": {"const": kind}}}
        if kind != schema["$defs"][section]["properties"]["kind"].get("default"):
            said["required"] = ["kind"]
        then = {"properties": {"settings": {"$ref": f"#/$defs/{model.__name__}"}}}
        rules.append({"if": said, "then": then})
    schema["$defs"][section]["allOf"] = rules


def _write_durations(part: Any) -> None:
    """Pydantic writes a duration's default in nanoseconds; an editor must see what a person would write."""
    if isinstance(part, list):
        for value in part:
            _write_durations(value)
    if not isinstance(part, dict):
        return
    default = part.get("default")
    if part.get("pattern") == DURATION_PATTERN and isinstance(default, int):
        part["default"] = duration_text(default)
    elif isinstance(default, dict):
        _write_default(default)
    for value in part.values():
        _write_durations(value)


def _write_default(default: dict[str, Any]) -> None:
    """Durations within a section's default, which are known by name only."""
    for key in _DURATIONS:
        if isinstance(default.get(key), int):
            default[key] = duration_text(default[key])
    for value in default.values():
        if isinstance(value, dict):
            _write_default(value)

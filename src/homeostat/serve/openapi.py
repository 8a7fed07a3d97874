"""The OpenAPI 3.1 document of an app's HTTP interface, made from its declaration."""

from __future__ import annotations

from typing import Any

import homeostat
from homeostat.config.plans import event_schema
from homeostat.config.tree import App, FieldType

Json = dict[str, Any]
_TYPES = {"number": "number", "integer": "integer", "boolean": "boolean", "category": "string"}
_KEY: Json = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 256}, {"type": "integer"}]}
_TIME: Json = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
    "description": "ISO 8601, UTC where it has no zone; or seconds since 1970",
}
_LABEL: Json = {"enum": [0, 1, True, False]}


def document(app: App) -> Json:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"homeostat: {app.app}", "description": app.description, "version": homeostat.__version__},
        "paths": {
            "/v1/decide": {"post": _batch("decide", "Decide one event or several", "Event", "Decision")},
            "/v1/outcomes": {"post": _batch("learn", "Take in what later turned out", "Outcome", "Receipt")},
            "/v1/decisions/{event_id}": {"get": _find()},
            "/healthz": {"get": _get("health", "Whether the server decides", "application/json", _ref("Health"))},
            "/metrics": {"get": _get("metrics", "Counts for Prometheus", "text/plain", {"type": "string"})},
        },
        "components": {
            "schemas": {
                "Event": _event(app),
                "Outcome": _outcome(app),
                "Decision": _decision(app),
                "Receipt": {
                    "type": "object",
                    "required": ["event_id", "accepted"],
                    "properties": {"event_id": {"type": "string"}, "accepted": {"type": "boolean"}},
                },
                "Health": {
                    "type": "object",
                    "required": ["status", "app", "version"],
                    "properties": {name: {"type": "string"} for name in ("status", "app", "version")},
                },
                "Problem": _PROBLEM,
            }
        },
    }


_PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "fix"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "fix": {"type": "string", "description": "what to do about it"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "value", "reason"],
                "properties": {name: {"type": "string"} for name in ("field", "value", "reason")},
            },
        },
    },
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Json, kind: str = "application/json") -> Json:
    return {kind: {"schema": schema}}


def _problems(*statuses: int) -> Json:
    return {
        str(status): {"description": _MEANING[status], "content": _content(_ref("Problem"), "application/problem+json")}
        for status in statuses
    }


_MEANING = {
    400: "Not JSON", 404: "Not found", 405: "Method not allowed", 413: "Too large", 415: "Not declared as JSON",
    422: "An event that the app's declaration does not allow", 429: "Too many events wait",
    503: "The journal can't be written; nothing was decided",
}  # fmt: skip


def _batch(name: str, summary: str, item: str, result: str) -> Json:
    """An operation that takes one object or an array of them, and answers in kind."""
    many = {"type": "array", "items": {"anyOf": [_ref(result), _ref("Problem")]}}
    return {
        "operationId": name,
        "summary": summary,
        "description": "An array may hold bad items: each gets its problem in its place.",
        "requestBody": {
            "required": True,
            "content": _content({"anyOf": [_ref(item), {"type": "array", "items": _ref(item)}]}),
        },
        "responses": {
            "200": {"description": summary, "content": _content({"anyOf": [_ref(result), many]})},
            **_problems(400, 413, 415, 422, 429, 503),
        },
    }


def _find() -> Json:
    return {
        "operationId": "decision",
        "summary": "A recorded decision, with its features as served",
        "parameters": [
            {"name": "event_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        ],
        "responses": {"200": {"description": "The decision", "content": _content(_ref("Decision"))}, **_problems(404)},
    }


def _get(name: str, summary: str, kind: str, schema: Json) -> Json:
    return {
        "operationId": name, "summary": summary,
        "responses": {"200": {"description": summary, "content": _content(schema, kind)}},
    }  # fmt: skip


def _event(app: App) -> Json:
    """An event: each column under its own name or an alias."""
    schema = event_schema(app)
    properties: Json = {}
    needed: list[tuple[str, ...]] = [schema.id, schema.time]
    for names, shape in ((schema.id, _KEY), (schema.time, _TIME)):
        properties |= dict.fromkeys(names, shape)
    for entity in schema.entities:
        if entity.of is None:
            properties |= dict.fromkeys(entity.names, _KEY if entity.required else _nullable(_KEY))
            needed += [entity.names] if entity.required else []
    for field in schema.fields:
        shape = _field(app.events.fields[field.name])
        properties |= dict.fromkeys(field.names, shape if field.required else _nullable(shape))
        needed += [field.names] if field.required else []
    properties |= dict.fromkeys(schema.label, _nullable(_LABEL))
    return {"type": "object", "properties": properties, "allOf": [_one_of(names) for names in needed]}


def _outcome(app: App) -> Json:
    schema = event_schema(app)
    labels = tuple(dict.fromkeys((*schema.label, "label")))
    ids = tuple(dict.fromkeys((*schema.id, "event_id")))
    return {
        "type": "object",
        "properties": {
            **dict.fromkeys(ids, _KEY), **dict.fromkeys(labels, _LABEL), "time": _nullable(_TIME),
            "amount": {"type": ["number", "null"]},
        },
        "allOf": [_one_of(ids), _one_of(labels)],
    }  # fmt: skip


def _one_of(names: tuple[str, ...]) -> Json:
    """At least one of several names is there."""
    return {"required": [names[0]]} if len(names) == 1 else {"anyOf": [{"required": [name]} for name in names]}


def _field(field: FieldType) -> Json:
    shape: Json = {"type": _TYPES[field.type]}
    if field.min is not None:
        shape["minimum"] = field.min
    if field.max is not None:
        shape["maximum"] = field.max
    if field.values is not None:
        shape["enum"] = list(field.values)
    if field.type == "category":
        shape |= {"minLength": 1, "maxLength": 256}
    return shape


def _nullable(shape: Json) -> Json:
    return {"anyOf": [shape, {"type": "null"}]}


def _decision(app: App) -> Json:
    actions = {"type": "string", "enum": list(app.actions)}
    return {
        "type": "object",
        "required": ["event_id", "time", "action", "risk", "reasons", "fallback", "version", "took_us"],
        "properties": {
            "event_id": {"type": "string"},
            "time": {"type": "string"},
            "action": actions,
            "proposed": actions,
            "risk": {"type": "number", "minimum": 0, "maximum": 1},
            "reasons": {"type": "array", "items": {"type": "object"}},
            "rule": {"type": "string", "description": "what overrode the policy, if anything did"},
            "fallback": {"type": ["string", "null"], "description": "which parts did not answer"},
            "late": {"type": "boolean"},
            "duplicate": {"type": "boolean", "description": "this event id was decided before; here is that decision"},
            "scores": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
            "propensity": {"type": "object", "additionalProperties": {"type": "number"}},
            "features": {"type": "object"},
            "version": {"type": "string"},
            "took_us": {"type": "number"},
        },
    }

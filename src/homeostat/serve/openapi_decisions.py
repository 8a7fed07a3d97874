"""The part of the OpenAPI document that is about lists of decisions, their exports, and entities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.config.tree import App
from homeostat.serve.openapi_settings import TIME, operation, parameter
from homeostat.serve.routes.decision_exports import CSV, NDJSON
from homeostat.serve.routes.decision_lists import ALL, NAME_CHARS_MAX, NAMES_MAX, PAGE_MAX, TEXT_MAX
from homeostat.serve.routes.entities import BELOW
from homeostat.serve.routes.stream import KIND, PATH
from homeostat.serve.streaming import TOPICS

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_MOMENT: Json = {"type": ["string", "null"]}


def decision_paths(problems: Callable[..., Json], app: App) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    name: Json = {"type": "string", "maxLength": NAME_CHARS_MAX}
    names: Json = {"type": "array", "items": name, "maxItems": NAMES_MAX}
    kinds = "|".join(sorted(app.events.entities))
    kind = {"type": "string", "enum": sorted(app.events.entities)}
    key: Json = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}
    entity: Json = {"type": "string", "minLength": 3, "maxLength": TEXT_MAX, "pattern": f"^({kinds}):[\\s\\S]+$"}
    listing = [
        parameter("from", "query", {"type": "string", "pattern": TIME}, "event time, from here on"),
        parameter("to", "query", {"type": "string", "pattern": TIME}, "event time, before"),
        parameter("action", "query", names, "one of these actions; repeated for several"),
        parameter("rule", "query", names, "one of these rules; `breaker`, `fallback`, or empty where none decided"),
        parameter("version", "query", names, "made by one of these versions"),
        parameter("entity", "query", entity, "an entity, as KIND:ID"),
        parameter("min_score", "query", {"type": "number", "minimum": 0, "maximum": 1}, "a risk of at least this"),
        parameter("degraded", "query", {"type": "boolean"}, "whether some part did not answer"),
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}, "how many; not of exports"),
        parameter("cursor", "query", {"type": "string"}, "`next_cursor` of the page before"),
        parameter("raw", "query", {"type": "boolean"}, "of CSV: cells as they are, for programs"),
    ]  # fmt: skip
    formats = {
        "application/json": {"schema": {"$ref": "#/components/schemas/DecisionPage"}},
        CSV.decode(): {"schema": _TEXT}, NDJSON.decode(): {"schema": _TEXT},
    }  # fmt: skip
    who = [
        {**parameter("kind", "path", kind, "of the entity"), "required": True},
        {**parameter("id", "path", key, "its key"), "required": True},
    ]
    shown = {"application/json": {"schema": {"$ref": "#/components/schemas/Entity"}}}
    topic = f"({'|'.join(TOPICS)})"
    heard = [
        parameter("topics", "query", {"type": "string", "pattern": f"^{topic}(,{topic})*$"}, "all when absent"),
        parameter("Last-Event-ID", "header", {"type": "string"}, "the last event that was seen"),
    ]
    here = {"type": "object", "required": ["position"], "properties": {"position": _TEXT}}
    news = {"application/json": {"schema": here}, KIND: {"schema": _TEXT}}
    return {
        ALL: {"get": operation("decisions", "Decisions, the newest first; a page of them, or all as a file", listing,
                               {"200": {"description": "The page or the file", "content": formats}},
                               problems(404, 406, 422, 431, 503))},
        BELOW + "{kind}/{id}": {"get": operation("entity", "An entity: its decisions, its limits and its lists", who,
                                                 {"200": {"description": "The entity", "content": shown}},
                                                 problems(404, 422, 431, 503))},
        PATH: {"get": operation("stream", "News as server-sent events; for who accepts none, where they are now", heard,
                                {"200": {"description": "The news, or the id of the last event", "content": news}},
                                problems(422, 429, 431, 503))},
    }  # fmt: skip


def decision_schemas() -> Json:
    """The shapes that they name."""
    count: Json = {"type": "integer", "minimum": 0}
    listed: Json = {
        "type": "object",
        "required": ["event_id", "time", "action", "risk", "rule", "version", "entities", "entry"],
        "properties": {
            **dict.fromkeys(("event_id", "time", "action", "rule", "version"), _TEXT), "risk": {"type": "number"},
            "fallback": _MOMENT, "entry": {**count, "description": "of the journal"},
            "entities": {"type": "object", "additionalProperties": _TEXT},
        },
    }  # fmt: skip
    ends: Json = {
        "as_of": _TEXT,
        "scanned_to": {**_TEXT, "description": "all decisions down to here are looked at; the cursor goes on"},
        "kept_since": {**_TEXT, "description": "older decisions were removed by retention"},
    }
    page = {
        "type": "object", "required": ["items", "next_cursor", "as_of"],
        "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/ListedDecision"}},
                       "next_cursor": _MOMENT, **ends},
    }  # fmt: skip
    held = {
        "type": "object",
        "required": ["list", "until", "source"],
        "properties": {"list": _TEXT, "until": _MOMENT, "source": _TEXT},
    }
    limit = {
        "type": "object", "required": ["number", "count", "per", "action", "until", "reason", "actor"],
        "properties": {"number": count, "count": {"type": "number"}, "per": _TEXT, "action": _TEXT, "until": _MOMENT,
                       "reason": _TEXT, "actor": _TEXT},
    }  # fmt: skip
    entity = {
        "type": "object",
        "required": ["kind", "id", "decisions", "actions", "degraded", "first", "last", "limits", "lists", "as_of"],
        "properties": {
            "kind": _TEXT, "id": _TEXT, "decisions": count, "degraded": count, "first": _MOMENT, "last": _MOMENT,
            "actions": {"type": "object", "additionalProperties": count},
            "limits": {"type": "array", "items": limit}, "lists": {"type": "array", "items": held}, **ends,
        },
    }  # fmt: skip
    return {"ListedDecision": listed, "DecisionPage": page, "Entity": entity}

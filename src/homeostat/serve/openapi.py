"""The OpenAPI 3.1 document of an app's HTTP interface, made from its declaration."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.config.plans import event_schema
from homeostat.config.tree import App, FieldType
from homeostat.decide.intake.schema import EventSchema, outcome_schema
from homeostat.decide.intake.times import TIME_MIN
from homeostat.engine.answer_types import Decision
from homeostat.engine.dating import stepped
from homeostat.records import software
from homeostat.records.identity import Coding
from homeostat.serve.openapi_decisions import decision_paths, decision_schemas
from homeostat.serve.openapi_gate import gate_paths, gate_schemas
from homeostat.serve.openapi_health import health_paths, health_schemas
from homeostat.serve.openapi_incidents import incident_paths, incident_schemas
from homeostat.serve.openapi_jobs import job_paths, job_schemas
from homeostat.serve.openapi_memory import memory_paths, memory_schemas
from homeostat.serve.openapi_metrics import metric_paths, metric_schemas
from homeostat.serve.openapi_models import model_paths, model_schemas
from homeostat.serve.openapi_settings import setting_paths, setting_schemas
from homeostat.serve.openapi_statements import statement_paths, statement_schemas
from homeostat.serve.stores import Stores

Json = dict[str, Any]
_TYPES = {"number": "number", "integer": "integer", "boolean": "boolean", "category": "string"}
_TEXT: Json = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\u0000]*$"}
_KEY: Json = {"anyOf": [_TEXT, {"type": "integer"}]}
_DAY_S = 86_400
_ID_IN_BODY = "$response.body#/event_id"
_LABEL: Json = {"enum": [0, 1, True, False]}


def document(app: App, now_ns: int, stores: Stores | None = None) -> Json:
    """The whole document. Times that it allows are those that are allowed at `now_ns`.

    stores : behind jobs and settings; none where there is no place for them
    """
    kept = stores or Stores()
    schema = event_schema(app, Coding.of_seed(app.seed))  # Only names and limits are looked at.
    when = _time(stepped(now_ns, schema.ahead_max_ns) + schema.ahead_max_ns)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"homeostat: {app.app}", "description": app.description, "version": software.VERSION},
        "paths": {
            "/v1/decide": {"post": _batch("decide", "Decide one event or several", "Event", "Decision")},
            "/v1/outcomes": {"post": _batch("learn", "Take in what later turned out", "Outcome", "Receipt")},
            "/v1/decisions/{event_id}": {"get": _find()},
            **decision_paths(problems, app),
            **health_paths(problems, kept),
            **(job_paths(problems) if kept.jobs else {}),
            **(setting_paths(problems) if kept.settings else {}),
            **(model_paths(problems) if kept.settings else {}),
            **(statement_paths(problems) if kept.statements else {}),
            **(incident_paths(problems) if kept.incidents else {}),
            **(memory_paths(problems) if kept.memory else {}),
            **(gate_paths(problems) if kept.statements else {}),
            **(metric_paths(problems) if app.metrics else {}),
            "/healthz": {"get": _get("health", "Whether the server decides", "application/json", _ref("Health"))},
            "/metrics": {"get": _get("metrics", "Counts for Prometheus", "text/plain", {"type": "string"})},
        },
        "components": {
            "schemas": {
                "Event": _event(app, schema, when),
                "Outcome": _outcome(schema, when),
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
                **decision_schemas(),
                **health_schemas(),
                **(metric_schemas() if app.metrics else {}),
                **(job_schemas() if kept.jobs else {}),
                **(statement_schemas() if kept.statements else {}),
                **(memory_schemas() if kept.memory else {}),
                **(gate_schemas() if kept.statements else {}),
                **(incident_schemas() if kept.incidents else {}),
                **(setting_schemas() if kept.settings else {}),
                **(model_schemas() if kept.settings else {}),
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


def problems(*statuses: int) -> Json:
    """Responses that are problem documents."""
    return {
        str(status): {"description": _MEANING[status], "content": _content(_ref("Problem"), "application/problem+json")}
        for status in statuses
    }


_MEANING = {
    400: "Not JSON", 401: "No API key that holds", 403: "The API key has not the scope", 404: "Not found",
    405: "Method not allowed", 406: "None of the formats that there are",
    409: "In another state, or another change came first",
    412: "Another change came first", 413: "Too large", 415: "Not declared as JSON",
    422: "The app's declaration does not allow it", 428: "The request does not say which state it was made on",
    429: "Too many events wait, or too many requests came",
    431: "The address or the headers are too long",
    503: "The journal can't be written; nothing was decided",
}  # fmt: skip


def _batch(name: str, summary: str, item: str, result: str) -> Json:
    """An operation that takes one object or an array of them, and answers in kind."""
    anything: Json = {"description": f"One {item}. Anything else gets its problem in its place."}
    many = {"type": "array", "items": {"anyOf": [_ref(result), _ref("Problem")]}}
    unknown = (404,) if name == "learn" else ()
    return {
        "operationId": name,
        "summary": summary,
        "description": f"One {item}, or an array. A bad item of an array gets its problem in its place, and does not "
        "spoil the others.",
        "requestBody": {
            "required": True,
            "content": _content({"anyOf": [_ref(item), {"type": "array", "items": anything}]}),
        },
        "responses": {
            "200": {
                "description": summary, "content": _content({"anyOf": [_ref(result), many]}),
                "links": {"decision": {"operationId": "decision", "parameters": {"event_id": _ID_IN_BODY}}},
            },
            **problems(400, *unknown, 413, 415, 422, 429, 503),
        },
    }  # fmt: skip


def _find() -> Json:
    return {
        "operationId": "decision",
        "summary": "A recorded decision, with its features as served",
        "parameters": [
            {"name": "event_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
            {
                "name": "explain", "in": "query", "required": False, "schema": {"type": "boolean", "default": False},
                "description": "with what each feature and scorer did to the risk, and what would have changed the "
                "action",
            },
            {
                "name": "shadow", "in": "query", "required": False, "schema": {"type": "boolean", "default": False},
                "description": "with the decisions of challengers in shadow, which nobody acted on",
            },
        ],
        "responses": {
            "200": {"description": "The decision", "content": _content(_ref("Decision"))}, **problems(404, 422, 503),
        },
    }  # fmt: skip


def _get(name: str, summary: str, kind: str, schema: Json) -> Json:
    failed = problems(503) if name == "health" else {}
    return {
        "operationId": name, "summary": summary,
        "responses": {"200": {"description": summary, "content": _content(schema, kind)}, **failed},
    }  # fmt: skip


def _event(app: App, schema: EventSchema, when: Json) -> Json:
    """An event, under the declared names. An alias counts only where the declared name is absent, which JSON Schema
    can't say precisely: so aliases are named in the descriptions."""
    properties: Json = {schema.id[0]: _named(_KEY, schema.id), schema.time[0]: _named(when, schema.time)}
    needed = [schema.id[0], schema.time[0]]
    for entity in schema.entities:
        if entity.of is None:
            properties[entity.name] = _named(_KEY if entity.required else _optional(_KEY), entity.names)
            needed += [entity.name] if entity.required else []
    for field in schema.fields:
        shape = _field(app.events.fields[field.name])
        properties[field.name] = _named(shape if field.required else _optional(shape), field.names)
        needed += [field.name] if field.required else []
    if schema.label:
        properties[schema.label[0]] = _named(_optional(_LABEL), schema.label)
    return {"type": "object", "required": needed, "properties": properties}


def _outcome(events: EventSchema, when: Json) -> Json:
    schema = outcome_schema(events)
    identity, label, time = schema.id[0], schema.label[0], schema.time[0]
    return {
        "type": "object",
        "required": [identity, label],
        "properties": {
            identity: _named(_KEY, schema.id),
            label: _named(_LABEL, schema.label),
            time: {**_named(_optional(when), schema.time), "description": "when it became known; now when absent"},
            "amount": {"anyOf": [{"type": "number"}, {"enum": [None, ""]}], "description": "what it cost, if known"},
        },
    }


def _named(shape: Json, names: tuple[str, ...]) -> Json:
    """A shape that says under which other names it is found."""
    return {**shape, "description": f"also read from: {', '.join(names[1:])}"} if len(names) > 1 else shape


def _time(latest_ns: int) -> Json:
    """A time up to `latest_ns`, precisely enough that what fits is never refused: text up to the minute before.

    A zone east of UTC makes a text's time earlier. One west of it makes it later by up to a day less a minute, so texts
    with such a zone end a day earlier.
    """
    latest, minute = divmod(latest_ns // 10**9 // 60, _DAY_S // 60)
    hours, rest = "([01][0-9]|2[0-3])", "(:[0-5][0-9](\\.[0-9]{1,9})?)?"
    clock, east = f"{hours}:[0-5][0-9]{rest}", f"([Zz]|\\+{hours}:?[0-5][0-9])?"
    past = f"{_dates_before(latest)}([Tt ]{clock}{east})?"
    today = str(np.datetime64(latest, "D"))  # It begins before `latest_ns`.
    if minute:
        today += f"([Tt ]({_clock_before(minute)}){rest}{east})?"
    west = f"{_dates_before(latest - 1)}[Tt ]{clock}-{hours}:?[0-5][0-9]"
    return {
        "anyOf": [
            {"type": "string", "pattern": f"^({past}|{today}|{west})$"},
            {"type": "number", "minimum": TIME_MIN // 10**9, "maximum": latest_ns // 10**9},
        ],
        "description": "ISO 8601, UTC where it has no zone; or seconds since 1970. Times after this document's may be "
        "later by as much.",
    }


def _clock_before(minute: int) -> str:
    """A pattern for hours and minutes up to and excluding a minute of the day, which is not the first.

    >>> import re
    >>> pattern = _clock_before(13 * 60 + 5)
    >>> [bool(re.fullmatch(pattern, clock)) for clock in ("12:59", "13:04", "13:05", "14:00")]
    [True, True, False, False]
    """
    hour, rest = divmod(minute, 60)
    options = [f"({_numbers(0, hour - 1, 2)}):[0-5][0-9]"] if hour else []
    options += [f"{hour:02d}:({_numbers(0, rest - 1, 2)})"] if rest else []
    return "|".join(options)


def _dates_before(day: int) -> str:
    """A pattern for dates from 1901 up to and excluding a day, given in days since 1970.

    >>> import re
    >>> pattern = _dates_before(20_485)  # 2026-02-01
    >>> [bool(re.fullmatch(pattern, date)) for date in ("1999-12-31", "2026-01-31", "2026-02-01", "2025-02-29")]
    [True, True, False, False]
    """
    limit = str(np.datetime64(day, "D"))
    year, month, of_month = int(limit[:4]), int(limit[5:7]), int(limit[8:10])
    options = [f"({_numbers(1901, year - 1)})-({_days_of_months(range(1, 13))})"]
    if month > 1:
        options.append(f"{year}-({_days_of_months(range(1, month))})")
    if of_month > 1:
        options.append(f"{year}-{month:02d}-({_numbers(1, of_month - 1, 2)})")
    return f"({'|'.join(options)})"


def _days_of_months(months: range) -> str:
    by_length: dict[int, list[int]] = {}
    for month in months:
        by_length.setdefault(_LONGEST[month - 1], []).append(month)
    return "|".join(
        f"({'|'.join(f'{m:02d}' for m in found)})-({_numbers(1, days, 2)})" for days, found in by_length.items()
    )


_LONGEST = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _numbers(first: int, last: int, digits: int = 4) -> str:
    """A pattern for the numbers from first to last, by their last digit."""
    options = []
    for tens in range(first // 10, last // 10 + 1):
        low, high = max(first, tens * 10) % 10, min(last, tens * 10 + 9) % 10
        lead = f"{tens:0{digits - 1}d}"
        options.append(f"{lead}[{low}-{high}]")
    return "|".join(options)


def _field(field: FieldType) -> Json:
    shape: Json = {"type": _TYPES[field.type]}
    if field.min is not None:
        shape["minimum"] = field.min
    if field.max is not None:
        shape["maximum"] = field.max
    if field.type == "integer":
        shape = {"minimum": -(2**53), "maximum": 2**53, **shape}
    if field.type == "boolean":
        return dict(_LABEL)
    if field.type == "category":
        return {"type": "string", "enum": list(field.values)} if field.values is not None else dict(_TEXT)
    return shape


def _optional(shape: Json) -> Json:
    """A value that may be missing: null and an empty text say so too."""
    return {"anyOf": [shape, {"enum": [None, ""]}]}


def _decision(app: App) -> Json:
    actions = {"type": "string", "enum": list(app.actions)}
    return {
        "type": "object",
        "required": [name for name in Decision.__annotations__ if name in Decision.__required_keys__],
        "properties": {
            "event_id": {"type": "string"},
            "time": {"type": "string"},
            "action": actions,
            "action_index": {
                "type": "integer",
                "minimum": 0,
                "maximum": len(app.actions) - 1,
                "description": "the place of the action among the app's actions, the first is 0",
            },
            "proposed": actions,
            "risk": {"type": "number", "minimum": 0, "maximum": 1},
            "reasons": {"type": "array", "items": {"type": "object"}},
            "rule": {"type": "string", "description": "what overrode the policy, if anything did"},
            "fallback": {"type": ["string", "null"], "description": "which parts did not answer"},
            "late": {"type": "boolean"},
            "duplicate": {"type": "boolean", "description": "this event id was decided before; here is that decision"},
            "differs": {"type": "boolean", "description": "that decision was made of another content"},
            "scores": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
            "propensity": {"type": "object", "additionalProperties": {"type": "number"}},
            "features": {"type": "object"},
            "version": {"type": "string"},
            "settings": {
                "type": "integer",
                "minimum": 0,
                "description": "the number of the last change that was in force",
            },
            "took_us": {"type": "number", "description": "of the batch in which it was decided"},
            "explanation": {"type": "object"},
            "shadow": {
                "type": "array", "description": "the decision of each challenger that decided this event in shadow",
                "items": {
                    "type": "object",
                    "required": ["version", "action", "risk", "rule", "fallback", "propensity", "differs"],
                    "properties": {
                        "version": {"type": "string"}, "action": actions, "risk": {"type": ["number", "null"]},
                        "rule": {"type": "string"}, "fallback": {"type": ["string", "null"]},
                        "propensity": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
                        "differs": {"type": "boolean", "description": "another action than the one that was taken"},
                    },
                },
            },
        },
    }  # fmt: skip

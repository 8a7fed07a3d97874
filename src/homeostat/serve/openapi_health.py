"""The part of the OpenAPI document that is about how the app fares: overview, alerts, figures, fusion and audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.serve.openapi_settings import TIME, operation, parameter
from homeostat.serve.routes import audit, feedback_summary, health_figures, overview
from homeostat.serve.stores import Stores

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_MAYBE: Json = {"type": ["string", "null"]}
_NUMBER: Json = {"type": "number"}
_FIGURE: Json = {"type": ["number", "null"]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FLAG: Json = {"type": "boolean"}


def health_paths(problems: Callable[..., Json], kept: Stores) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    kept : the stores that this server has
    """
    span = [
        parameter("from", "query", {"type": "string", "pattern": TIME}, "from here on, ISO 8601"),
        parameter("to", "query", {"type": "string", "pattern": TIME}, "before"),
    ]
    part: Json = {"type": "string", "maxLength": audit.TEXT_MAX}
    searched = [
        parameter("actor", "query", part, "a part of the name of who did it"),
        parameter("action", "query", part, "a part of what was done"),
        parameter("object", "query", part, "a part of what it was done to"),
        *span,
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": audit.PAGE_MAX}, "how many"),
        parameter("cursor", "query", {"type": "integer", "minimum": 0, "maximum": audit.CURSOR_MAX},
                  "`next_cursor` of the page before"),
    ]  # fmt: skip
    paths = {
        overview.PATH: _get("overview", "How the app fares, what waits for a person", [], "Overview", problems(503)),
        overview.ALERTS: _get("alerts", "Alerts, the worst first", [], "Alerts", problems(503)),
        health_figures.SYSTEM: _get("health_system", "Figures of this process over the last day", span, "SystemHealth",
                                    problems(422, 503)),
        health_figures.FEATURES: _get("health_features", "Fields and features, with the signals on each", span,
                                      "FeatureHealth", problems(422, 503)),
        health_figures.FUSION: _get("fusion", "The fusion's weights and changes", [], "Fusion", problems(503)),
        audit.PATH: _get("audit", "The record of changes, the newest first", searched, "AuditPage",
                         problems(422, 431, 503)),
    }  # fmt: skip
    if kept.statements:
        paths[feedback_summary.PATH] = _get(
            "feedback_summary", "Feedback as counts", span, "FeedbackSummary", problems(422, 503)
        )
    return paths


def health_schemas() -> Json:
    """The shapes that they name."""
    counts = {
        "number": _COUNT, "positive": _COUNT, "negative": _COUNT, "satisfaction": _FIGURE, "improvement": _FIGURE,
        "trend": _TEXT,
    }  # fmt: skip
    incident = _object(dict.fromkeys(("id", "severity", "phase", "opened", "since"), _TEXT))
    alert = _object({"kind": _TEXT, "severity": _TEXT, "text": _TEXT, "since": _MAYBE, "id": _MAYBE})
    traffic = _object({
        "to": _TEXT, "decisions_per_s": _NUMBER, "errors_per_s": _NUMBER, "p50_ms": _FIGURE, "p99_ms": _FIGURE,
        "actions": {"type": "object", "additionalProperties": _NUMBER},
    })  # fmt: skip
    plan = _object({"incident": _TEXT, "plan": _TEXT, "until": _MAYBE})
    names: Json = {"type": "array", "items": _TEXT}
    point = {
        "type": "object", "required": ["at", "actions", "parts"], "additionalProperties": _NUMBER,
        "properties": {"at": _TEXT, "actions": {"type": "object", "additionalProperties": _NUMBER},
                       "parts": {"type": "object", "additionalProperties": _FLAG}},
    }  # fmt: skip
    place = _object({"node": _TEXT, "role": _TEXT, "name": _TEXT, "still": _COUNT, "signals": {"type": "array"}})
    scorer = _object({"name": _TEXT, "weight": _FIGURE, "moved": _FIGURE, "out": _FLAG})
    change = _object({"number": _COUNT, **dict.fromkeys(("at", "kind", "scope", "actor", "reason"), _TEXT)})
    record = _object(
        {"number": _COUNT, **dict.fromkeys(("at", "record", "actor", "action", "object", "reason"), _TEXT)}
    )
    chain = _object({"verified_to": _COUNT, "head": _TEXT, "to_end": _FLAG, "fault": _MAYBE})
    return {
        "Overview": _object({
            "app": _TEXT, "as_of": _TEXT, "trouble": _MAYBE, "notes": names, "traffic": _or_null(traffic),
            "deadline_ms": _FIGURE, "champion": _object({"version": _TEXT, "since": _MAYBE}),
            "canary": _or_null(_object({"version": _TEXT})),
            "incidents": _or_null(_object({"open": _COUNT, "newest": _many(incident)})),
            "plans": _or_null(_many(plan)),
            "autonomy": _object({"level": _TEXT, "kinds": {"type": "object"}, "stopped_by_app_file": _FLAG}),
            "kill_switch": {"type": ["object", "null"]}, "unavailable": names,
        }),
        "Alerts": _object({"alerts": _many(alert), "as_of": _TEXT, "unavailable": names}),
        "SystemHealth": _object({"points": _many(point), "as_of": _TEXT}),
        "FeatureHealth": _object({"features": _many(place), "as_of": _TEXT, "watched": _FLAG}),
        "Fusion": _object({
            "kind": _TEXT, "version": _TEXT, "learns": _FLAG, "scorers": _many(scorer), "changes": _many(change),
            "as_of": _TEXT,
        }),
        "AuditPage": _object({
            "items": _many(record), "next_cursor": _MAYBE, "whole": _FLAG, "as_of": _TEXT, "chain": _or_null(chain),
        }),
        "FeedbackSummary": _object({
            **counts, "whole": _FLAG, "as_of": _TEXT, "kinds": _many(_object({"kind": _TEXT, **counts})),
            "sources": _many(_object({"source": _TEXT, **counts})), "days": _many(_object({"day": _TEXT, **counts})),
        }),
    }  # fmt: skip


def _get(name: str, summary: str, asked: list[Json], shape: str, failed: Json) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}}
    found = {"200": {"description": summary, "content": content}}
    return {"get": operation(name, summary, asked, found, failed)}


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _many(item: Json) -> Json:
    return {"type": "array", "items": item}


def _or_null(shape: Json) -> Json:
    return {"anyOf": [shape, {"type": "null"}]}

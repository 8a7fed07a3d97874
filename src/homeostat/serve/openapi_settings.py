"""The part of the OpenAPI document that is about settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.config.change_faults import BODIES
from homeostat.config.job_requests import KEY_PATTERN
from homeostat.config.remedies import SCOPES
from homeostat.records.change_rows import NAME_CHARS_MAX, REASON_CHARS_MAX, shown
from homeostat.records.changes import Change, ChangeKind
from homeostat.serve.routes.resources import NUMBER_MAX
from homeostat.serve.routes.settings import ALL, BELOW, PAGE_MAX, PREVIEW

Json = dict[str, Any]
NUMBER: Json = {"type": "integer", "minimum": 1, "maximum": NUMBER_MAX}
PRINTABLE = "^[ -~]*$"  # Any printable character is taken; these are those that a pattern can name.
TIME = (  # Any ISO 8601 time is taken; these are those that a pattern can name shortly.
    "^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?Z?)?$"
)
ETAG: Json = {"ETag": {"description": "for If-Match", "schema": {"type": "string"}}}


def setting_paths(problems: Callable[..., Json]) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    listing = [
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}, "how many changes"),
        parameter("cursor", "query", NUMBER, "`next` of the page before"),
        parameter("in_force", "query", {"type": "boolean"}, "those in force now, instead of all"),
        parameter("at", "query", {"type": "string", "pattern": TIME}, "those in force at an ISO 8601 time"),
        parameter("If-None-Match", "header", {"type": "string"}, "an ETag: 304 where nothing was changed since"),
    ]
    key = parameter("Idempotency-Key", "header", {"type": "string", "pattern": KEY_PATTERN}, "once for each key")
    match = parameter("If-Match", "header", {"type": "string"}, "the ETag that the author saw; or `confirm`")
    one = {**parameter("number", "path", NUMBER, "of the change"), "required": True}
    unchanged = {"304": {"description": "Nothing was changed since", "headers": ETAG}}
    return {
        ALL: {
            "get": operation("settings", "Changes, the newest first", listing, _ok("Changes", unchanged),
                              problems(404, 422, 503)),
            "post": operation("change_settings", "Make a change", [key, match], _made(),
                               problems(400, 403, 404, 409, 412, 413, 415, 422, 428, 503), "NewChange"),
        },
        PREVIEW: {
            "post": operation("preview_settings", "A change as it would be, and a token that confirms it", [],
                               _ok("ChangePreview"), problems(400, 403, 404, 413, 415, 422, 503), "NewChange"),
        },
        BELOW + "{number}": {
            "get": operation("setting", "One change", [one], _ok("Change"), problems(404, 503)),
        },
        BELOW + "{number}:undo": {
            "post": operation("undo_settings", "Bring back what was in force before the last change of a scope",
                               [one, key], _made(), problems(400, 403, 404, 409, 413, 415, 422, 503), "Undo"),
        },
    }  # fmt: skip


def setting_schemas() -> Json:
    """The shapes that they name."""
    text = {"type": ["string", "null"]}
    body: Json = {"type": ["object", "null"], "description": "the value; null for what the app file says"}
    change: Json = dict.fromkeys(shown(Change(ChangeKind.LIST, "", None, "", "")), text)
    change |= {"body": body, "before": body, "reverts": {"type": ["integer", "null"]}}
    change |= {"number": {"type": ["integer", "null"]}, "kind": {"type": "string", "enum": list(ChangeKind)}}
    one: Json = {"type": "object", "required": list(change), "properties": change}
    actor = {"type": "string", "maxLength": 100, "pattern": PRINTABLE, "description": "the person behind the key"}
    reason = {"type": "string", "minLength": 1, "maxLength": REASON_CHARS_MAX, "pattern": PRINTABLE}
    new = {
        "scope": {"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX}, "reason": reason, "actor": actor,
        "expires": {"type": "string", "description": "undo it by itself after so long, such as 2h"},
        "confirm": {"type": "string", "description": "the token of a preview"},
    }  # fmt: skip
    return {
        "Change": one,
        "NewChange": {"oneOf": [_of_kind(kind, new) for kind in BODIES]},
        "Undo": {"type": "object", "properties": {"reason": reason, "actor": actor}, "additionalProperties": False},
        "Changes": {
            "type": "object", "required": ["last", "changes", "next"],
            "properties": {
                "last": {"type": "integer"}, "changes": {"type": "array", "items": _ref("Change")},
                "next": {"type": ["integer", "null"]},
            },
        },
        "ChangePreview": {
            "type": "object", "required": ["change", "last_of_scope", "confirm"],
            "properties": {
                "change": _ref("Change"), "last_of_scope": {"anyOf": [_ref("Change"), {"type": "null"}]},
                "confirm": {"type": "string"},
            },
        },
    }  # fmt: skip


def _of_kind(kind: ChangeKind, more: Json) -> Json:
    """A change of one kind; a rule's body is that of the app file, whose own schema says more."""
    forms = [{"type": "object"}] if kind == ChangeKind.RULE else [form.model_json_schema() for form in BODIES[kind]]
    if kind in SCOPES:
        more = {**more, "scope": {"type": "string", "pattern": SCOPES[kind]}}
    return {
        "type": "object", "required": ["kind", "scope", "body", "reason"], "additionalProperties": False,
        "properties": {"kind": {"const": str(kind)}, "body": {"anyOf": [*forms, {"type": "null"}]}, **more},
    }  # fmt: skip


def operation(
    name: str, summary: str, parameters: list[Json], responses: Json, failed: Json, body: str = ""
) -> Json:  # fmt: skip
    """An operation.

    body : the shape of what is sent; empty where nothing is
    """
    made: Json = {"operationId": name, "summary": summary, "parameters": parameters}
    if body:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return {**made, "responses": {**responses, **failed}}


def _ok(shape: str, more: Json | None = None) -> Json:
    return {"200": _answer(shape, "The answer"), **(more or {})}


def _made() -> Json:
    return {"201": _answer("Change", "The change"), "200": _answer("Change", "The change that this key made before")}


def _answer(shape: str, text: str) -> Json:
    return {"description": text, "headers": ETAG, "content": {"application/json": {"schema": _ref(shape)}}}


def parameter(name: str, where: str, schema: Json, text: str) -> Json:
    """A parameter that may be left out."""
    return {"name": name, "in": where, "required": False, "schema": schema, "description": text}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}

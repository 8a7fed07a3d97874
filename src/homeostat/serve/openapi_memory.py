"""The part of the OpenAPI document that is about the memory of past incidents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.serve.openapi_settings import operation, parameter
from homeostat.serve.routes.memory import ALL, AT_MAX, BELOW, KINDS, PAGE_MAX, SEARCH, WORDS_MAX

Json = dict[str, Any]


def memory_paths(problems: Callable[..., Json]) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    limit = parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}, "how many")
    cursor = parameter(
        "cursor", "query", {"type": "integer", "minimum": 0, "maximum": AT_MAX}, "`next` of the page before"
    )
    of = parameter("of", "query", {"type": "string", "enum": list(KINDS)}, "cases when absent")
    asked = {"type": "string", "minLength": 1, "maxLength": WORDS_MAX, "pattern": "^[ -~]*[!-~][ -~]*$"}
    words = {**parameter("words", "query", asked, "a passage with more of them comes first"), "required": True}
    text = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[0-9A-Za-z_.-]+$"}
    name = {**parameter("name", "path", text, "of the case or note"), "required": True}
    failed = problems(404, 422, 503)
    return {
        ALL: {"get": operation("memory", "Past incidents, or notes, the newest first", [of, limit, cursor],
                               _answer("MemoryPage"), failed)},
        SEARCH: {"get": operation("search_memory", "Passages of cases and notes by words", [words, limit],
                                  _answer("MemoryFound"), failed)},
        BELOW + "{name}": {"get": operation("one_memory", "One case or note", [name], _answer("OneMemory"),
                                            problems(404, 503))},
    }  # fmt: skip


def memory_schemas() -> Json:
    """The shapes that they name."""
    text, count = {"type": "string"}, {"type": "integer"}
    case = {
        "type": ["object", "null"], "required": ["id", "opened", "closed", "words"],
        "properties": {"id": text, "opened": text, "closed": {"type": ["string", "null"]}, "words": text},
    }  # fmt: skip
    note = {**_object({"name": text, "at": text, "text": text}), "type": ["object", "null"]}
    listed = _object({"name": text, "at": text, "characters": count})
    page = {
        "cases": {"type": "array", "items": case}, "notes": {"type": "array", "items": listed},
        "next": {"type": ["integer", "null"]},
    }  # fmt: skip
    found = _object({"source": text, "id": text, "title": text, "text": text})
    return {
        "MemoryPage": {"type": "object", "required": ["next"], "properties": page},
        "MemoryFound": _object({"found": {"type": "array", "items": found}}),
        "OneMemory": _object({"case": case, "note": note}),
    }


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _answer(shape: str) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}}
    return {"200": {"description": "The answer", "content": content}}

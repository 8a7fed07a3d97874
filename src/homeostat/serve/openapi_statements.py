"""The part of the OpenAPI document that is about questions, answers and feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.config.job_requests import KEY_PATTERN
from homeostat.records.statements import NAME_CHARS_MAX, TEXT_CHARS_MAX, VERDICTS
from homeostat.serve.routes.resources import NUMBER_MAX

Json = dict[str, Any]
# Letters and marks that every Unicode version prints: what fits the pattern is never refused.
_LINE = "^[ -~]*$"
_WORDS = "^[ -~]*[!-~][ -~]*$"
_KEY: Json = {
    "name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "pattern": KEY_PATTERN},
    "description": "the same key with the same words is the same statement",
}  # fmt: skip
_NUMBER: Json = {
    "name": "number", "in": "path", "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": NUMBER_MAX},
}  # fmt: skip


def statement_paths(problems: Callable[..., Json]) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    event = {"name": "event_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    is_open = {"type": "string", "enum": ["true", "false"]}
    pages = [_query("limit", _numbers(1, 500), "how many, the newest first"),
             _query("cursor", _numbers(1, NUMBER_MAX), "`next` of the page before")]  # fmt: skip
    failed = problems(400, 403, 404, 409, 413, 415, 422, 429, 503)
    return {
        "/v1/decisions/{event_id}/question": {
            "post": _post("ask_question", "Question a decision", [event, _KEY], "NewQuestion", "Question", failed)
        },
        "/v1/questions": {
            "get": _get("questions", "Questions, the newest first", "Questions",
                        [_query("open", is_open, "only open ones, or only answered ones"), *pages],
                        problems(404, 422, 503)),
        },
        "/v1/questions/{number}": {"get": _get("question", "One question", "Question", [_NUMBER], problems(404, 503))},
        "/v1/questions/{number}/answer": {
            "post": _post("answer_question", "Answer a question", [_NUMBER, _KEY], "NewAnswer", "Answer", failed)
        },
        "/v1/feedback": {
            "get": _get("feedback", "Feedback, the newest first", "FeedbackPage", pages, problems(404, 422, 503)),
            "post": _post("give_feedback", "Give feedback on a decision or a version", [_KEY], "NewFeedback",
                          "Feedback", failed),
        },
    }  # fmt: skip


def statement_schemas() -> Json:
    """The shapes that they name."""
    words = {"type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX, "pattern": _WORDS}
    line = {"type": "string", "maxLength": NAME_CHARS_MAX, "pattern": _LINE}
    named = {**line, "minLength": 1}
    value = {"anyOf": [{"type": "number"}, {"type": "boolean"}, line, {"type": "null"}]}
    about = {"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": _LINE}
    give: Json = {
        "kind": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"}, "value": value, "source": named,
        "text": {"type": "string", "maxLength": TEXT_CHARS_MAX, "pattern": _LINE},
    }  # fmt: skip
    text, number, maybe = {"type": "string"}, {"type": "integer"}, {"type": ["string", "null"]}
    stored: Json = {"number": number, "at": text, "actor": text, "text": text}
    answer = _object({**stored, "decision": text, "question": number, "verdict": {"enum": list(VERDICTS)}})
    return {
        "NewQuestion": _object({"text": words, "contact": line}, ["text"], closed=True),
        "NewAnswer": _object(
            {"verdict": {"enum": list(VERDICTS)}, "text": words, "actor": {**line, "maxLength": 100},
             "expected": _numbers(0, NUMBER_MAX)},
            ["verdict", "text"], closed=True,
        ),
        "NewFeedback": {
            "oneOf": [_object({subject: about, **give}, [subject, "kind", "source"], closed=True)
                      for subject in ("decision", "version")]
        },
        "Answer": answer,
        "Question": _object({**stored, "decision": text, "contact": maybe,
                             "answer": {"anyOf": [{"$ref": "#/components/schemas/Answer"}, {"type": "null"}]}}),
        "Questions": _page("questions", "Question"),
        "Feedback": _object({**stored, "kind": text, "source": text, "value": {}, "decision": text, "version": text},
                            ["number", "at", "kind", "value", "source", "actor", "text"]),
        "FeedbackPage": _page("feedback", "Feedback"),
    }  # fmt: skip


def _page(name: str, of: str) -> Json:
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{of}"}}
    return _object({name: items, "next": {"type": ["integer", "null"]}})


def _object(properties: Json, required: list[str] | None = None, closed: bool = False) -> Json:
    found: Json = {
        "type": "object", "required": list(properties) if required is None else required, "properties": properties
    }  # fmt: skip
    return {**found, "additionalProperties": False} if closed else found


def _post(name: str, summary: str, parameters: list[Json], takes: str, gives: str, failed: Json) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{takes}"}}}
    return {
        "operationId": name, "summary": summary, "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": _answer("The statement that has this key", gives), "201": _answer("The new statement", gives),
            **failed,
        },
    }  # fmt: skip


def _get(name: str, summary: str, shape: str, parameters: list[Json], failed: Json) -> Json:
    responses = {"200": _answer(summary, shape), **failed}
    return {"operationId": name, "summary": summary, "parameters": parameters, "responses": responses}


def _answer(text: str, shape: str) -> Json:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}}}


def _query(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def _numbers(least: int, most: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most}

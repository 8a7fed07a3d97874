"""The part of the OpenAPI document that is about jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.config.job_kinds import KINDS
from homeostat.config.job_requests import KEY_PATTERN, schema_of
from homeostat.records.job import Job, JobState, facts
from homeostat.serve.routes.resources import NUMBER_MAX

Json = dict[str, Any]
_ID: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": NUMBER_MAX},
}


def job_paths(problems: Callable[..., Json]) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    listing = [
        _query("state", {"type": "string", "enum": list(JobState)}, "only jobs in this state"),
        _query("limit", _numbers(1, 500), "how many, the newest first"),
        _query("cursor", _numbers(1, NUMBER_MAX), "`next` of the page before"),
    ]
    offsets = [
        _query("offset", _numbers(0, NUMBER_MAX), "the first byte"),
        _query("limit", _numbers(1, 1 << 18), "how many bytes"),
    ]  # fmt: skip
    key = {
        "name": "Idempotency-Key", "in": "header", "required": False,
        "schema": {"type": "string", "pattern": KEY_PATTERN},
        "description": "the same key with the same work is the same job",
    }  # fmt: skip
    asked = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewJob"}}}}
    made = {
        "operationId": "submit_job", "summary": "Leave a job for a runner", "parameters": [key], "requestBody": asked,
        "responses": {
            "200": _answer("The job that has this key", "Job"), "201": _answer("The new job", "Job"),
            **problems(400, 403, 404, 409, 413, 415, 422, 429, 503),
        },
    }  # fmt: skip
    failed = problems(404, 422, 503)
    looks = {
        "/v1/jobs": {"get": _get("jobs", "Jobs, the newest first", "Jobs", listing, failed), "post": made},
        "/v1/jobs/{id}": {"get": _get("job", "One job", "Job", [_ID], problems(404, 503))},
        "/v1/jobs/{id}/log": {"get": _get("job_log", "A part of its log", "JobLog", [_ID, *offsets], failed)},
    }
    # Worded as text: a client that sends what it has not seen is refused, whatever it sends.
    match = "With the ETag of the job in If-Match, nothing is done where the job has changed since: 412."
    does = {"cancel": "Cancel it: at once where it waits, within 2 s where it runs", "retry": "Let it wait once more"}
    for name, text in does.items():
        responses = {"200": _answer("The job", "Job"), **problems(403, 404, 409, 412, 422, 503)}
        looks[f"/v1/jobs/{{id}}:{name}"] = {
            "post": {"operationId": f"{name}_job", "summary": text, "description": match, "parameters": [_ID],
                     "responses": responses},
        }  # fmt: skip
    return looks


def job_schemas() -> Json:
    """The shapes that they name."""
    kinds = [
        {
            "type": "object", "required": ["kind", "arguments"], "additionalProperties": False,
            "properties": {"kind": {"const": kind}, "arguments": schema_of(kind)},
        }
        for kind in KINDS
    ]  # fmt: skip
    texts = {"type": ["string", "null"]}
    shown = facts(Job("train", ()))
    job: Json = {name: _type_of(value) if value is not None else texts for name, value in shown.items()}
    job["result"] = {"description": "what the command printed"}
    job["state"] = {"type": "string", "enum": list(JobState)}
    return {
        "NewJob": {"oneOf": kinds},
        "Job": {"type": "object", "required": list(shown), "properties": job},
        "Jobs": {
            "type": "object", "required": ["jobs", "next"],
            "properties": {
                "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
                "next": {"type": ["integer", "null"]},
            },
        },
        "JobLog": {
            "type": "object", "required": ["offset", "next", "end", "state", "text"],
            "properties": {
                **{name: {"type": "integer"} for name in ("offset", "next", "end")},
                "state": {"type": "string"}, "text": {"type": "string"},
            },
        },
    }  # fmt: skip


def _type_of(value: object) -> Json:
    names = {str: "string", int: "integer", float: "number", list: "array"}
    return {"type": names[type(value)]}


def _get(name: str, summary: str, shape: str, parameters: list[Json], failed: Json) -> Json:
    responses = {"200": _answer(summary, shape), **failed}
    return {"operationId": name, "summary": summary, "parameters": parameters, "responses": responses}


def _answer(text: str, shape: str) -> Json:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}}}


def _query(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def _numbers(least: int, most: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most}

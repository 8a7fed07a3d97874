"""The part of the OpenAPI document that is about plans and people's words on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.engine.links import BELOW
from homeostat.records.plans import Remedy, Tier
from homeostat.serve.routes.plans import HASH_CHARS

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_FIGURE: Json = {"type": ["number", "null"]}
_WHOLE: Json = {"type": "integer"}


def response_members() -> Json:
    """The members of an incident that its response fills."""
    figures = _object({"effect": _FIGURE, "low": _FIGURE, "high": _FIGURE, "n": _WHOLE, "how": _TEXT})
    blast = _object(dict.fromkeys(("decisions", "entities", "money_per_hour"), _FIGURE))
    step = _object(
        {"remedy": {"enum": list(Remedy)}, "scope": _TEXT, "alterations": {"type": "array"}, "cost": _FIGURE,
         "reversible": {"type": "boolean"}, "rehearsed": figures, "blast": blast, "why": _TEXT}
    )  # fmt: skip
    plan = _object(
        {"hash": _TEXT, "incident": _TEXT, "at": _TEXT, "by": _TEXT, "confidence": _FIGURE, "settings": _WHOLE,
         "steps": {"type": "array", "items": step}, "rehearsal": {"anyOf": [figures, {"type": "null"}]},
         "cost": _FIGURE, "blast": blast}
    )  # fmt: skip
    rule = _object({"rule": _TEXT, "tier": {"enum": list(Tier)}, "value": _FIGURE, "limit": _FIGURE, "why": _TEXT})
    gate = _object(
        {"ruling": {"enum": list(Tier)}, "plan": _TEXT, "at": _TEXT, "rules": {"type": "array", "items": rule}}
    )  # fmt: skip
    receipt = _object(
        {"plan": _TEXT, "step": _WHOLE, "key": _TEXT, "at": _TEXT, "by": _TEXT,
         "changes": {"type": "array", "items": _WHOLE}, "undone": {"type": ["string", "null"]}}
    )  # fmt: skip
    verdict = _object(
        {"verdict": _TEXT, "at": _TEXT, "predicted": _FIGURE, "seen": _FIGURE, "low": _FIGURE, "high": _FIGURE,
         "why": _TEXT}
    )  # fmt: skip
    response = _object(
        {"revision": _WHOLE, "phase": _TEXT, "waits": {"type": "boolean"}, "until": {"type": ["string", "null"]},
         "answer": {"type": ["object", "null"]}, "edits": {"type": "array"}, "lines": {"type": "array"},
         "reopened": _WHOLE, "rejected": {"type": "array"}}
    )  # fmt: skip
    return {
        "findings": {"type": "array"}, "plan": _or_null(plan), "gate": _or_null(gate),
        "receipts": {"type": "array", "items": receipt}, "verdict": _or_null(verdict), "response": _or_null(response),
    }  # fmt: skip


def answer_schemas(said: Json) -> Json:
    """The shapes of answers and edits.

    said : the members of every change, reason and actor
    """
    hash: Json = {
        "type": "string",
        "pattern": f"^[0-9a-f]{{{HASH_CHARS}}}$",
        "description": "of the plan as you saw it",
    }
    answer = _object({"plan": hash, **said}, ["plan", "reason"])
    edit = _object(
        {
            "plan": hash, **said, "step": {"type": "integer", "minimum": 1, "maximum": 1000},
            "drop": {"type": "boolean"}, "remedy": {"enum": list(Remedy)},
            "body": {"type": "object", "minProperties": 1},
            "for": {"type": "string", "description": "how long the step lasts, such as 12h"},
        },
        ["plan", "reason"],
    )  # fmt: skip
    return {
        "AnswerPlan": {**answer, "additionalProperties": False},
        "EditPlan": {**edit, "additionalProperties": False},
        "PlanAnswered": _object({"id": _TEXT, **response_members()}, ["id", "plan", "gate", "response"]),
    }  # fmt: skip


def link_paths(problems: Callable[..., Json]) -> Json:
    """The page of a signed link. No key is needed: the link is signed."""
    token: Json = {
        "name": "token", "in": "path", "required": True, "description": "as it was announced",
        "schema": {"type": "string", "pattern": "^[0-9a-z_-]{1,400}$"},
    }  # fmt: skip
    page = {"content": {"text/html": {"schema": _TEXT}}}
    pages = {
        "200": {"description": "The page", **page}, "409": {"description": "The plan or state has changed", **page},
        "410": {"description": "The time to answer is over", **page},
    }  # fmt: skip
    name: Json = {"type": "string", "minLength": 1}
    form = {"application/x-www-form-urlencoded": {"schema": _object({"actor": name, "reason": name})}}
    unfilled = {"422": {"description": "The form is not filled in", **page}}
    return {
        BELOW + "{token}": {
            "get": {"operationId": "answer_page", "summary": "The page of a link with which a plan is answered",
                    "parameters": [token], "responses": {**pages, **problems(404, 503)}},
            "post": {"operationId": "answer_by_link", "summary": "Answer the plan", "parameters": [token],
                     "requestBody": {"required": True, "content": form},
                     "responses": {**pages, **unfilled, **problems(404, 413, 415, 429, 503)}},
        },
    }  # fmt: skip


def _object(properties: Json, required: list[str] | None = None) -> Json:
    return {"type": "object", "required": list(properties) if required is None else required, "properties": properties}


def _or_null(shape: Json) -> Json:
    return {"anyOf": [shape, {"type": "null"}]}

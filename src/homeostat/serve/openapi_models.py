"""The part of the OpenAPI document that is about versions of models and their deployments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.config.job_requests import KEY_PATTERN
from homeostat.models.deployments import CHAMPION, ROLES
from homeostat.records.change_rows import REASON_CHARS_MAX
from homeostat.serve.openapi_settings import ETAG, NUMBER, PRINTABLE, TIME, operation, parameter
from homeostat.serve.routes import deployments, models
from homeostat.serve.routes.resources import NUMBER_MAX

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_MAYBE: Json = {"type": ["string", "null"]}
_COUNT: Json = {"type": ["integer", "null"]}


def model_paths(problems: Callable[..., Json]) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    pages = [
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": models.PAGE_MAX}, "how many"),
        parameter("cursor", "query", NUMBER, "`next` of the page before"),
    ]
    seen = parameter("If-None-Match", "header", _TEXT, "an ETag: 304 where nothing was changed since")
    role = parameter("role", "query", {"type": "string", "enum": list(ROLES)}, f"{CHAMPION} when absent")
    at = parameter("at", "query", {"type": "string", "pattern": TIME}, "the one in force at an ISO 8601 time")
    wait: Json = {"type": "integer", "minimum": 0, "maximum": deployments.WAIT_S_MAX}
    changing = [
        parameter("Idempotency-Key", "header", {"type": "string", "pattern": KEY_PATTERN}, "once for each key"),
        parameter("If-Match", "header", _TEXT, "the ETag that the author saw; or `expected` or `confirm`"),
        parameter("wait", "query", wait, "seconds to wait until each process has applied it, 5 when absent"),
    ]
    version = {**parameter("version", "path", _TEXT, "its name, the beginning of it, or its number"), "required": True}
    number = {**parameter("number", "path", NUMBER, "of the change"), "required": True}
    refused = problems(400, 403, 404, 409, 412, 413, 415, 422, 428, 503)
    return {
        models.ALL: {"get": operation("models", "Versions, the newest first", [*pages, seen], _looked("Versions"),
                                      problems(404, 422, 503))},
        models.BELOW + "{version}": {"get": operation("model", "One version", [version, seen], _looked("Version"),
                                                      problems(404, 503))},
        deployments.ALL: {
            "get": operation("deployments", "Deployments of a role, the newest first", [role, *pages, at, seen],
                             _looked("Deployments"), problems(404, 422, 503)),
            "post": operation("promote", "Let a version have a role", changing, _made(), refused, "Promotion"),
        },
        deployments.ROLLBACK: {"post": operation("rollback", "Undo the last promotion that has not been undone",
                                                 changing, _made(), refused, "Rollback")},
        deployments.PREVIEW: {
            "post": operation("preview_deployment", "A deployment as it would be, its effect on the last hours' "
                              "traffic, and a token that confirms it", [], {"200": _answer("DeploymentPreview", "It")},
                              problems(400, 403, 404, 409, 413, 415, 422, 429, 503), "DeploymentWish"),
        },
        deployments.BELOW + "{number}": {
            "get": operation("deployment", "One deployment, and which processes have applied it", [number],
                             {"200": _answer("AppliedDeployment", "It")}, problems(404, 503)),
        },
    }  # fmt: skip


def model_schemas() -> Json:
    """The shapes that they name."""
    actor = {"type": "string", "maxLength": 100, "pattern": PRINTABLE, "description": "the person behind the key"}
    reason = {"type": "string", "minLength": 1, "maxLength": REASON_CHARS_MAX, "pattern": PRINTABLE}
    role = {"type": "string", "enum": list(ROLES), "default": CHAMPION}
    version = {"type": "string", "minLength": 1, "maxLength": 200}
    force = {"type": "boolean", "description": "also where it breaks a bound of fairness that binds"}
    share = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1, "description": "of a canary"}
    seen = {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX, "description": "`last` of GET /v1/deployments"}
    both = {"role": role, "reason": reason, "actor": actor, "expected": seen, "confirm": _TEXT}
    hours = {"type": "number", "minimum": 0, "maximum": deployments.HOURS_MAX, "description": "of traffic; 24"}
    listed = {"version": _TEXT, "number": {"type": "integer"}, "created_at": _TEXT, "roles": _many(_TEXT),
              "size": {"type": "integer"}, "deleted_at": _MAYBE}  # fmt: skip
    deployed = {"version": _MAYBE, "number": _COUNT, "from": _MAYBE, "to": _MAYBE, "why": _TEXT, "role": _TEXT,
                "actor": _TEXT, "change": {"type": "integer"}, "reverts": {"type": "integer"},
                "share": {"type": ["number", "null"]}}  # fmt: skip
    applied = {"everywhere": {"type": "boolean"}, "seconds": {"type": "number"}, "processes": _many(_TEXT),
               "waiting": {"type": "object", "additionalProperties": _TEXT}}  # fmt: skip
    taken_up = _shape(applied, "everywhere", "processes", "waiting")
    return {
        "Version": _shape({**listed, "lineage": {"type": "object"}, "champion": _many(_ref("Deployment"))}),
        "Versions": _shape({"versions": _many(_shape(listed)), "next": _COUNT}),
        "Deployment": _shape(deployed),
        "Deployments": _shape({"role": _TEXT, "deployments": _many(_ref("Deployment")), "last": {"type": "integer"},
                               "next": _COUNT}),
        "AppliedDeployment": _shape({**deployed, "applied": taken_up}),
        "MadeDeployment": _shape({**deployed, "before": _MAYBE, "applied": _shape(applied)}),
        "Promotion": _closed({"version": version, "share": share, **both, "force": force}, "version", "reason"),
        "Rollback": _closed(both, "reason"),
        "DeploymentWish": {"oneOf": [
            _closed({"version": version, "role": role, "share": share, "hours": hours,
                     "rollback": {"const": False}}, "version"),
            _closed({"rollback": {"const": True}, "role": role, "hours": hours}, "rollback"),
        ]},
        "DeploymentPreview": _shape({
            "version": _MAYBE, "role": _TEXT, "before": _MAYBE, "last": {"type": "integer"},
            "effect": {"type": ["object", "null"]}, "no_effect": _MAYBE, "confirm": _TEXT,
        }),
    }  # fmt: skip


def _looked(shape: str) -> Json:
    return {"200": _answer(shape, "The answer"), "304": {"description": "Nothing was changed since", "headers": ETAG}}


def _made() -> Json:
    shape = "MadeDeployment"
    later = _answer(shape, "Stored; a process has not applied it yet. Ask at its location")
    return {
        "201": _answer(shape, "Stored, and applied by each process that runs"), "202": later,
        "200": _answer(shape, "The deployment that this key made before"),
    }  # fmt: skip


def _answer(shape: str, text: str) -> Json:
    return {"description": text, "headers": ETAG, "content": {"application/json": {"schema": _ref(shape)}}}


def _shape(members: Json, *needed: str) -> Json:
    return {"type": "object", "required": list(needed or members), "properties": members}


def _closed(members: Json, *needed: str) -> Json:
    return {**_shape(members), "required": list(needed), "additionalProperties": False}


def _many(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}

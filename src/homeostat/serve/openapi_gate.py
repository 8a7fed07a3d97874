"""The part of the OpenAPI document that is about the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.config.job_requests import KEY_PATTERN
from homeostat.serve.openapi_settings import ETAG, PRINTABLE, operation, parameter
from homeostat.serve.routes.gate import PATH, RESUMING, STOPPING
from homeostat.serve.routes.words import REASON_CHARS_MAX

Json = dict[str, Any]


def gate_paths(problems: Callable[..., Json]) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    key = parameter("Idempotency-Key", "header", {"type": "string", "pattern": KEY_PATTERN}, "once for each key")
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/KillSwitch"}}}
    found = {"200": {"description": "The kill switch", "headers": ETAG, "content": content}}
    refused = problems(400, 403, 404, 409, 413, 415, 422, 503)
    return {
        PATH: {"get": operation("gate", "Whether the kill switch is on", [], found, problems(404, 503))},
        STOPPING: {"post": operation(
            "stop_gate", "Let nothing be done without a person", [key], found, refused, "TurnKillSwitch"
        )},
        RESUMING: {"post": operation(
            "resume_gate", "Turn the kill switch off again", [key], found, refused, "TurnKillSwitch"
        )},
    }  # fmt: skip


def gate_schemas() -> Json:
    """The shapes that they name."""
    maybe = {"type": ["string", "null"]}
    shown = {
        "stopped": {"type": "boolean"},
        "number": {"type": "integer"},
        "at": maybe,
        "actor": maybe,
        "reason": maybe,
    }
    reason = {"type": "string", "maxLength": REASON_CHARS_MAX, "pattern": "^[ -~]*[!-~][ -~]*$"}
    actor = {"type": "string", "maxLength": 100, "pattern": PRINTABLE}
    return {
        "KillSwitch": {"type": "object", "required": list(shown), "properties": shown},
        "TurnKillSwitch": {
            "type": "object", "required": ["reason"], "additionalProperties": False,
            "properties": {"reason": reason, "actor": actor},
        },
    }  # fmt: skip

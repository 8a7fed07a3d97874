"""The part of the OpenAPI document that is about incidents and signals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from homeostat.config.job_requests import KEY_PATTERN
from homeostat.records.causes import Cause
from homeostat.records.incidents import Phase, Severity
from homeostat.records.signals import Kind, Series, Signal
from homeostat.serve.openapi_answers import answer_schemas, link_paths, response_members
from homeostat.serve.openapi_settings import ETAG, NUMBER, PRINTABLE, operation, parameter
from homeostat.serve.routes.incidents import ALL, BELOW, PAGE_MAX, SIGNALS, STATES, TEXTS
from homeostat.serve.routes.silences import ALL as SILENCES
from homeostat.serve.routes.silences import BELOW as ONE_SILENCE
from homeostat.serve.routes.silences import PATTERN_CHARS_MAX
from homeostat.serve.routes.words import REASON_CHARS_MAX

Json = dict[str, Any]
_TEXT, _MAYBE = {"type": "string"}, {"type": ["string", "null"]}
_SHAPES: Json = {
    "str": {"type": "string"}, "float": {"type": ["number", "null"]}, "int": {"type": "integer"},
    "bool": {"type": "boolean"},
}  # fmt: skip
_FIGURE, _COUNT = {"type": ["number", "null"]}, {"type": "integer"}
_SPAN = r"^([1-9][0-9]{0,4}(\.[0-9])? ?(s|m|h)|[1-9][0-9]{0,3} ?d|[1-9][0-9]{0,2} ?w)$"  # Within 36 years.


def incident_paths(problems: Callable[..., Json]) -> Json:
    """The paths, each with its operations.

    problems : responses that are problem documents, by their statuses
    """
    pages = [parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": PAGE_MAX}, "how many"),
             parameter("cursor", "query", NUMBER, "`next` of the page before")]  # fmt: skip
    state = parameter("state", "query", {"type": "string", "enum": list(STATES)}, "open ones when absent")
    id = {
        **parameter("id", "path", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "of the incident or silence"),
        "required": True,
    }
    seen = parameter("If-None-Match", "header", _TEXT, "an ETag: 304 where nothing was changed since")
    tag = {"type": "string", "pattern": '^"[0-9]{1,16}"$'}
    match = {**parameter("If-Match", "header", tag, "the ETag that the author saw"), "required": True}
    form = parameter("format", "query", {"type": "string", "enum": list(TEXTS)}, "html when absent")
    texts = {kind.decode(): {"schema": _TEXT} for kind in TEXTS.values()}
    both = {"type": "string", "pattern": r'^"[0-9]{1,16}\.[0-9]{1,16}"$'}
    seen_plan = {**parameter("If-Match", "header", both, "the ETag that the author saw"), "required": True}
    unchanged = {"304": {"description": "Nothing was changed since", "headers": ETAG}}
    key = parameter("Idempotency-Key", "header", {"type": "string", "pattern": KEY_PATTERN}, "once for each key")
    refused = problems(400, 403, 404, 409, 413, 415, 422, 503)
    failed = problems(400, 403, 404, 409, 412, 413, 415, 422, 428, 503)
    return {
        ALL: {"get": operation("incidents", "Incidents, the newest first", [state, *pages],
                               {"200": _answer("Incidents")}, problems(404, 422, 503))},
        BELOW + "{id}": {"get": operation("incident", "One incident with its signals and history", [id, seen],
                                          {"200": _answer("Incident"), **unchanged}, problems(404, 503))},
        BELOW + "{id}/report": {"get": operation(
            "incident_report", "The post-mortem of an incident", [id, form],
            {"200": {"description": "The document", "content": texts}}, problems(404, 422, 503),
        )},
        BELOW + "{id}:close": {"post": operation("close_incident", "Close an incident", [id, match],
                                                 {"200": _answer("IncidentInShort")}, failed, "Close")},
        BELOW + "{id}:silence": {"post": operation("silence_incident", "Let nobody hear of it for a while", [id, match],
                                                   {"200": _answer("IncidentInShort")}, failed, "SilenceIncident")},
        **{
            BELOW + "{id}:" + act: {"post": operation(
                f"{act}_plan", text, [id, key, seen_plan], {"200": _answer("PlanAnswered")}, failed,
                "EditPlan" if act == "edit" else "AnswerPlan",
            )}
            for act, text in (
                ("approve", "Let the plan of an incident be carried out"), ("reject", "Let its plan not be done"),
                ("edit", "Change a step of the plan, which is then another plan"),
            )
        },
        SILENCES: {
            "get": operation("silences", "Silences that hold, by their ends", [], {"200": _answer("Silences")},
                             problems(404, 503)),
            "post": operation("silence", "Let nobody hear of signals for a while", [key],
                              {"200": _answer("Silence"), "201": _answer("Silence")}, refused, "NewSilence"),
        },
        ONE_SILENCE + "{id}": {"get": operation("one_silence", "One silence", [id, seen],
                                                {"200": _answer("Silence"), **unchanged}, problems(404, 503))},
        ONE_SILENCE + "{id}:end": {"post": operation("end_silence", "End a silence now", [id, key, match],
                                                     {"200": _answer("Silence")}, failed, "Close")},
        **link_paths(problems),
        SIGNALS: {"get": operation("signals", "Signals, the newest first", pages, {"200": _answer("Signals")},
                                   problems(404, 422, 503))},
    }  # fmt: skip


def incident_schemas() -> Json:
    """The shapes that they name."""
    suspect = _object({"node": _TEXT, "kind": {"enum": list(Cause)}, "probability": {"type": "number"}})
    short: Json = {
        "id": _TEXT, "app": _TEXT, "revision": _COUNT, "opened": _MAYBE, "updated": _MAYBE, "since": _MAYBE,
        "closed": _MAYBE, "severity": {"enum": list(Severity)}, "phase": {"enum": list(Phase)}, "reason": _TEXT,
        "signals": {"type": "array", "items": _TEXT}, "inhibited": {"type": "array", "items": _TEXT},
        "suspects": {"type": "array", "items": suspect}, "decisions": _COUNT, "entities": _COUNT, "cost": _FIGURE,
        "cost_per_hour": _FIGURE, "silenced_until": _MAYBE, "reopened": _COUNT, "notes": {"type": "object"},
    }  # fmt: skip
    signal: Json = {}
    for one in (*fields(Series), *fields(Signal)):
        if one.name != "series":
            signal[one.name.removesuffix("_ns")] = (
                _MAYBE if one.name.endswith("_ns") else _SHAPES.get(str(one.type), {})
            )
    signal |= {"kind": {"enum": list(Kind)}, "notes": {"type": "object"}}
    change = _object({
        "number": _COUNT, "revision": _COUNT, "at": _TEXT, "actor": _TEXT, "phase": _TEXT, "severity": _TEXT,
        "reason": _TEXT,
    })  # fmt: skip
    investigated = _object({
        "conclusion": {"type": ["string", "null"]}, "missing": {"type": "array", "items": _TEXT},
        "recalled": {"type": "array", "items": _TEXT},
    })  # fmt: skip
    later = response_members() | {"investigated": investigated}
    whole = {**short, "signals": _array("Signal"), "history": {"type": "array", "items": change}, **later}
    reason = {"type": "string", "maxLength": REASON_CHARS_MAX, "pattern": "^[ -~]*[!-~][ -~]*$"}
    said: Json = {"reason": reason, "actor": {"type": "string", "maxLength": 100, "pattern": PRINTABLE}}
    span = {"type": "string", "pattern": _SPAN, "description": "how long, such as 2h"}
    page = {"next": {"type": ["integer", "null"]}}
    pattern = {"type": "string", "maxLength": PATTERN_CHARS_MAX, "pattern": "^[ -~]*[!-~][ -~]*$"}
    silence: Json = dict.fromkeys(("id", "node", "kind", "from", "until", "actor", "reason"), _TEXT)
    wild = {**pattern, "pattern": r"^[ -~]*[*?\[][ -~]*$"}
    asked = {**said, "for": span, "node": pattern, "kind": {"anyOf": [{"enum": list(Kind)}, wild]}}
    numbered: Json = {**silence, "revision": _COUNT}
    warned = {**numbered, "warnings": {"type": "array", "items": _TEXT}}
    return {
        "Silence": _object(warned, list(numbered)), "Silences": _object({"silences": _array("Silence")}),
        "NewSilence": {**_object(asked, ["reason", "for"]), "additionalProperties": False,
                       "anyOf": [{"required": ["node"]}, {"required": ["kind"]}]},
        "Signal": _object(signal), "IncidentInShort": _object(short), "Incident": _object(whole),
        "Incidents": _object({"incidents": _numbered("IncidentInShort"), **page}),
        "Signals": _object({"signals": _numbered("Signal"), **page}),
        **answer_schemas(said),
        "Close": {**_object(said, ["reason"]), "additionalProperties": False},
        "SilenceIncident": {**_object({**said, "for": span}, ["reason", "for"]), "additionalProperties": False},
    }  # fmt: skip


def _object(properties: Json, required: list[str] | None = None) -> Json:
    return {"type": "object", "required": list(properties) if required is None else required, "properties": properties}


def _array(shape: str) -> Json:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{shape}"}}


def _numbered(shape: str) -> Json:
    """Items of a page: each with its number beside what it is."""
    number = _object({"number": _COUNT})
    return {"type": "array", "items": {"allOf": [number, {"$ref": f"#/components/schemas/{shape}"}]}}


def _answer(shape: str) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}}
    return {"description": "The answer", "headers": ETAG, "content": content}

"""The part of the OpenAPI document about metrics that come in; for apps that declare some.

Remote write is not among them: OpenAPI has no words for a message of protobuf in a block of snappy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.adapters.influx.line_protocol import NANOSECONDS

Json = dict[str, Any]
# Not all that is line protocol: what fits is taken, and the rest is in the reference that the description names.
_BLANK = " *(#[ -~]*)?"
_VALUE = '(-?[0-9]{1,9}(\\.[0-9]{1,6}|i)?|true|false|"[a-z ]*")'
_LINE = f" *[a-z]+(,[a-z]+=[a-z]+)? +[a-z]+={_VALUE}( +[0-9]{{1,6}})?"
_BODY = f"^({_BLANK}|{_LINE})(\\n({_BLANK}|{_LINE}))*$"
_RESOURCE: Json = {"type": "object", "properties": {"scopeMetrics": {"type": ["array", "null"], "maxItems": 0}}}
_PRECISION: Json = {
    "name": "precision", "in": "query", "required": False, "description": "the unit of the timestamps",
    "schema": {"type": "string", "enum": ["", *NANOSECONDS], "default": "ns"},
}  # fmt: skip


def metric_paths(problems: Callable[..., Json]) -> Json:
    """Paths -> operations."""
    return {
        "/write": {"post": _write("write", ("db", "rp", "consistency", "u", "p"), problems)},
        "/api/v2/write": {"post": _write("write_2", ("org", "bucket"), problems)},
        "/ping": {"get": {
            "operationId": "ping", "summary": "Whether the server answers, for clients of InfluxDB",
            "responses": {"204": {"description": "It does"}},
        }},
        "/v1/metrics": {"post": _export(problems)},
    }  # fmt: skip


def metric_schemas() -> Json:
    """The schemas that they name."""
    line: Json = {
        "type": "object", "required": ["line", "text", "why"],
        "properties": {"line": {"type": ["integer", "null"]}, "text": {"type": "string"}, "why": {"type": "string"}},
    }  # fmt: skip
    return {
        "PartialWrite": {
            "type": "object", "required": ["error", "code", "message", "status", "detail", "fix"],
            "properties": {
                "error": {"type": "string", "description": "as InfluxDB 1 answers"},
                "code": {"type": "string"}, "message": {"type": "string", "description": "as InfluxDB 2 answers"},
                "dropped": {"type": "integer"}, "lines": {"type": "array", "items": line},
                "status": {"type": "integer"}, "detail": {"type": "string"}, "fix": {"type": "string"},
            },
        },
    }  # fmt: skip


def _write(name: str, ignored: tuple[str, ...], problems: Callable[..., Json]) -> Json:
    parameters = [
        {"name": one, "in": "query", "required": False, "schema": {"type": "string"}, "description": "not looked at"}
        for one in ignored if one not in ("u", "p")
    ]  # fmt: skip
    if "p" in ignored:
        parameters.append({"name": "u", "in": "query", "required": False, "schema": {"type": "string"},
                           "description": "not looked at"})  # fmt: skip
    bad = {
        "description": "Lines that can't be used, or no line protocol at all; all other lines were taken",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/PartialWrite"}},
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
    return {
        "operationId": name, "summary": "Take metrics in as InfluxDB's line protocol",
        "description": "docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol says what a line is. A key may "
        "be shown as `Authorization: Token KEY`, as the password of Basic, or as the parameter `p`.",
        "parameters": [_PRECISION, *parameters],
        "requestBody": {"required": False, "content": {"text/plain": {"schema": {"type": "string", "pattern": _BODY}}}},
        "responses": {"204": {"description": "All lines are valid"}, "400": bad, **problems(404, 413, 415, 429, 503)},
    }  # fmt: skip


def _export(problems: Callable[..., Json]) -> Json:
    answer: Json = {"description": "Taken; with the number of data points that can't be used, if there are any"}
    status: Json = {"type": "object", "properties": {"message": {"type": "string"}}}
    refused: Json = {"description": "Not OTLP", "content": {"application/json": {"schema": status}}}
    return {
        "operationId": "export_metrics", "summary": "Take metrics in as OTLP, in JSON or protobuf",
        "description": "opentelemetry.io/docs/specs/otlp says what a request holds. Protobuf has the content type "
        "application/x-protobuf.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": {
            "type": "object", "properties": {"resourceMetrics": {"type": ["array", "null"], "items": _RESOURCE}},
        }}}},
        "responses": {
            "200": {**answer, "content": {"application/json": {"schema": {"type": "object"}}}},
            "400": refused, "415": refused, **problems(404, 413, 429, 503),
        },
    }  # fmt: skip

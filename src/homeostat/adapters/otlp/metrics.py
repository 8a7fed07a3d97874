"""OTLP metrics over HTTP, as protobuf or JSON, become the points that line protocol would make.

The measurement is the metric's name. The tags are the attributes of the resource, those of the scope and those of the
data point, of which the last wins. A gauge or a sum has the field `value`, a histogram or a summary the fields `count`
and `sum`, with `min` and `max` where they are given. A data point that says it has no recorded value, NaN and infinite
values are missing values: no point is made of them.
Source: the OTLP 1.x specification, and `metrics.proto` of github.com/open-telemetry/opentelemetry-proto.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from homeostat.adapters.influx.line_protocol import BadLine, FieldValue, Parsed, Point, Series

SIZE_MAX = 8 << 20
"""The most bytes of a message. Collectors send some 8,000 data points at once, 1 to 4 MB."""
COUNT_MAX = 100_000
"""The most groups, metrics and data points of a message together, and the most objects and lists of one in JSON, which
takes 20 us for each. A small body can hold millions of empty ones."""

_ATTRIBUTES_MAX = 1000
_NO_RECORDED_VALUE = 1
_TEXT_MAX = 4096  # Of a tag, so that a nested attribute does not become a book.


class NotMetrics(ValueError):
    """A body that is no export request of metrics; the text says why."""


def points_of(body: bytes, *, is_json: bool, size_max: int = SIZE_MAX) -> Parsed:
    """The points of a request's body, and the data points that are none, numbered from 1.

    body : ExportMetricsServiceRequest, without compression
    is_json : its form is JSON (`application/json`) and not protobuf (`application/x-protobuf`)
    Raises NotMetrics if the body as a whole can't be read.
    """
    if len(body) > size_max:
        raise NotMetrics(f"the message has {len(body):,} bytes, and at most {size_max:,} are read: export less at once")
    request = _from_json(body) if is_json else _from_protobuf(body)
    if _count(request) > COUNT_MAX:
        raise NotMetrics(f"the message has more than {COUNT_MAX:,} metrics or data points: export less at once")
    parsed, number = Parsed([], []), 0
    for in_resource in request.resource_metrics:
        resource = _shared(in_resource.resource.attributes)
        for in_scope in in_resource.scope_metrics:
            shared = {**resource, **_shared(in_scope.scope.attributes)}
            for metric in in_scope.metrics:
                for point in _data_points(metric):
                    number += 1
                    try:
                        made = _point(metric, point, shared)
                    except ValueError as error:
                        parsed.bad.append(BadLine(number, point.SerializeToString(), str(error)))
                    else:
                        parsed.points.extend(made)
    return parsed


def answer_of(bad: list[BadLine], *, is_json: bool) -> bytes:
    """The body of the answer with status 200: which data points were refused, in the form of the request.

    >>> answer_of([], is_json=True)
    b'{}'
    """
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    if is_json:
        partial = {"rejectedDataPoints": str(len(bad)), "errorMessage": _reasons(bad)}
        return json.dumps({"partialSuccess": partial} if bad else {}).encode()
    response = ExportMetricsServiceResponse()
    if bad:
        response.partial_success.rejected_data_points = len(bad)
        response.partial_success.error_message = _reasons(bad)
    return bytes(response.SerializeToString())


def refusal_of(why: str, *, is_json: bool) -> bytes:
    """The body of an answer with a status of 400 or above: a Status message in the form of the request."""
    from homeostat.adapters.protobuf.declared import status_class

    return json.dumps({"message": why}).encode() if is_json else bytes(status_class()(message=why).SerializeToString())


def _reasons(bad: list[BadLine]) -> str:
    reasons = dict.fromkeys(f"data point {one.number}: {one.why}" for one in bad[:10])
    return "; ".join(reasons) + (f"; and {len(bad) - 10:,} more" if len(bad) > 10 else "")


def _from_protobuf(body: bytes) -> Any:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    try:
        return ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        raise NotMetrics("the body is no protobuf message ExportMetricsServiceRequest") from None


def _from_json(body: bytes) -> Any:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    if body.count(b"{") + body.count(b"[") > COUNT_MAX:
        raise NotMetrics(f"the message has more than {COUNT_MAX:,} objects and lists: export less at once, or protobuf")
    try:
        request = json.loads(body.decode())
        _only_objects([request], "resourceMetrics", "scopeMetrics", "metrics")
        return json_format.ParseDict(request, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    except (ValueError, TypeError, AttributeError, RecursionError, json_format.Error) as error:
        first = str(error).partition("\n")[0][:200]
        raise NotMetrics(f"the body is no JSON of an ExportMetricsServiceRequest: {first}") from None


def _only_objects(found: Any, *below: str) -> None:
    """Raise ValueError for what is no object where a message should be, which protobuf's own reader may let pass."""
    for one in found:
        if not isinstance(one, dict):
            raise ValueError("a message is no object")
        if below and one.get(below[0]) is not None:
            _only_objects(one[below[0]], *below[1:])


def _count(request: Any) -> int:
    """How many resources, scopes, metrics and data points there are, as far as they are worth counting."""
    count = len(request.resource_metrics)
    for in_resource in request.resource_metrics:
        count += len(in_resource.scope_metrics)
        for in_scope in in_resource.scope_metrics:
            count += len(in_scope.metrics)
            for metric in in_scope.metrics:
                kind = metric.WhichOneof("data")
                count += 0 if kind is None else len(getattr(metric, kind).data_points)
                if count > COUNT_MAX:
                    return count
        if count > COUNT_MAX:
            return count
    return count


def _data_points(metric: Any) -> Iterator[Any]:
    kind = metric.WhichOneof("data")
    return iter(()) if kind is None else iter(getattr(metric, kind).data_points)


def _point(metric: Any, point: Any, shared: dict[str, str]) -> list[Point]:
    """The point of a data point; none if its value is missing. Raises ValueError if it has no name, value or time."""
    if not metric.name:
        raise ValueError("the metric has no name")
    if point.flags & _NO_RECORDED_VALUE:
        return []
    fields = _fields(metric.WhichOneof("data"), point)
    fields = {name: value for name, value in fields.items() if math.isfinite(float(value))}
    if point.time_unix_nano >= 2**63:
        raise ValueError("timeUnixNano is out of range")
    tags = {**shared, **_attributes(point.attributes)}
    series = Series(metric.name, tuple(sorted(tags.items())))
    return [Point(series, fields, point.time_unix_nano or None)] if fields else []


def _fields(kind: str, point: Any) -> dict[str, FieldValue]:
    if kind in ("gauge", "sum"):
        which = point.WhichOneof("value")
        if which is None:
            raise ValueError("the data point has no value")
        return {"value": getattr(point, which)}
    fields: dict[str, FieldValue] = {"count": float(point.count)}
    for name in ("sum",) if kind == "summary" else ("sum", "min", "max"):
        if kind == "summary" or point.HasField(name):
            fields[name] = getattr(point, name)
    return fields


def _shared(attributes: Any) -> dict[str, str]:
    """The attributes of a group of data points. Raises NotMetrics if there are too many."""
    try:
        return _attributes(attributes)
    except ValueError as error:
        raise NotMetrics(f"a resource or scope has {error}") from None


def _attributes(attributes: Any) -> dict[str, str]:
    """Each attribute that has a name and a value, as text. Raises ValueError if there are too many."""
    if len(attributes) > _ATTRIBUTES_MAX:
        raise ValueError(f"more than {_ATTRIBUTES_MAX:,} attributes")
    found = {one.key: _text(one.value)[:_TEXT_MAX] for one in attributes}
    return {key: text for key, text in found.items() if key and text}


def _text(value: Any) -> str:
    """A value as text; lists and maps as JSON.

    Bytes are shown in base64, as OTLP's JSON does.
    """
    from google.protobuf import json_format

    which = value.WhichOneof("value")
    if which is None:
        return ""
    if which == "bool_value":
        return "true" if value.bool_value else "false"
    if which in ("string_value", "int_value", "double_value"):
        return str(getattr(value, which))
    plain = json_format.MessageToDict(value)
    return plain["bytesValue"] if which == "bytes_value" else json.dumps(_bare(plain), sort_keys=True)


def _bare(value: Any) -> Any:
    """An attribute's value without the names of its types."""
    if not value:
        return None
    ((kind, content),) = value.items()
    if kind == "arrayValue":
        return [_bare(one) for one in content.get("values", ())]
    if kind == "kvlistValue":
        return {one.get("key", ""): _bare(one.get("value", {})) for one in content.get("values", ())}
    return content

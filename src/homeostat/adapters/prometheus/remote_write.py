"""Prometheus remote write 1.0: a snappy block of protobuf becomes the points that line protocol would make.

A sample of `node_load1{instance="a"}` is a point of the measurement `node_load1` with the tag `instance` and the field
`value`, as InfluxDB stores it. A native histogram has the fields `count` and `sum`. NaN, which is also the mark of a
series that has ended, and infinite values are missing values: no point is made of them.
Source: the Prometheus Remote-Write 1.0 specification, and `prompb/types.proto` of github.com/prometheus/prometheus.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import pyarrow as pa

from homeostat.adapters.influx.line_protocol import BadLine, FieldValue, Parsed, Point, Series

SIZE_MAX = 8 << 20
"""The most bytes of a message, once it is unpacked. Prometheus sends at most 2,000 samples at once, some 500 kB."""
COUNT_MAX = 100_000
"""The most series, and the most samples, of a message. A tiny body can hold millions of empty ones."""

_MS_NS = 10**6
_LABELS_MAX = 1000
_NAME = "__name__"
_DECLARED = {
    "WriteRequest": "repeated TimeSeries timeseries = 1",
    "TimeSeries": "repeated Label labels = 1; repeated Sample samples = 2; repeated Histogram histograms = 4",
    "Label": "string name = 1; string value = 2",
    "Sample": "double value = 1; int64 timestamp = 2",
    "Histogram": "uint64 count_int = 1; double count_float = 2; double sum = 3; int64 timestamp = 15",
}


class NotRemoteWrite(ValueError):
    """A body that is no remote write message; the text says why."""


def unsupported(content_type: str, content_encoding: str) -> str | None:
    """Why a request with these headers is answered with status 415; None if it can be read.

    >>> unsupported("application/x-protobuf", "snappy")
    >>> unsupported("application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy")
    'remote write 2.0 is not supported: send 1.0, with the message prometheus.WriteRequest'
    """
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind != "application/x-protobuf":
        return "remote write has the content type application/x-protobuf"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "proto" and value.strip().strip('"') != "prometheus.writerequest":
            return "remote write 2.0 is not supported: send 1.0, with the message prometheus.WriteRequest"
    if content_encoding.strip().lower() != "snappy":
        return "remote write has the content encoding snappy"
    return None


def points_of(body: bytes, size_max: int = SIZE_MAX) -> Parsed:
    """The points of a request's body, and the series that are none, numbered from 1.

    size_max : bytes of the message, once unpacked; a body that would be larger is refused before it is unpacked
    Raises NotRemoteWrite if the body as a whole can't be read.
    """
    from google.protobuf.message import DecodeError

    unpacked = _unpacked(body, size_max)
    try:
        request = write_request_class().FromString(unpacked)
    except DecodeError:
        raise NotRemoteWrite("the body is no protobuf message prometheus.WriteRequest") from None
    samples = 0
    if len(request.timeseries) > COUNT_MAX or any(
        (samples := samples + len(series.samples) + len(series.histograms)) > COUNT_MAX for series in request.timeseries
    ):
        raise NotRemoteWrite(f"the message has more than {COUNT_MAX:,} series or samples: send fewer at once")
    parsed = Parsed([], [])
    for number, series in enumerate(request.timeseries, start=1):
        try:
            parsed.points.extend(_points(series))
        except ValueError as error:
            parsed.bad.append(BadLine(number, series.SerializeToString(), str(error)))
    return parsed


def _unpacked(body: bytes, size_max: int) -> bytes:
    """The content of a snappy block. Its head says the size, so that a bomb is known by its first bytes."""
    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise NotRemoteWrite("the body is no snappy block, though its content-encoding says so")
    if size > size_max:
        raise NotRemoteWrite(f"the message has {size:,} bytes, and at most {size_max:,} are read: send fewer samples")
    try:
        return bytes(pa.Codec("snappy").decompress(body, decompressed_size=size, asbytes=True))
    except (OSError, ValueError):
        raise NotRemoteWrite("the body is no snappy block, though its content-encoding says so") from None


@functools.cache
def write_request_class() -> Any:
    """The message of a request, with the fields that are read here."""
    from homeostat.adapters.protobuf.declared import message_classes

    return message_classes("prometheus", _DECLARED)["WriteRequest"]


def _points(series: Any) -> list[Point]:
    """The points of a series. Raises ValueError if its labels or a time are out of the specification."""
    if len(series.labels) > _LABELS_MAX:
        raise ValueError(f"the series has more than {_LABELS_MAX:,} labels")
    labels = [(label.name, label.value) for label in series.labels]
    tags = {name: value for name, value in labels if value}  # An empty label is one that is not there.
    if len(dict(labels)) < len(labels):
        raise ValueError("a label comes twice")
    if "" in tags:
        raise ValueError("a label has no name")
    name = tags.pop(_NAME, "")
    if not name:
        raise ValueError(f"the series has no label {_NAME}")
    named = Series(name, tuple(sorted(tags.items())))
    points = [
        Point(named, {"value": sample.value}, _nanoseconds(sample.timestamp))
        for sample in series.samples
        if math.isfinite(sample.value)
    ]
    for one in series.histograms:
        fields: dict[str, FieldValue] = {"count": float(one.count_int or one.count_float), "sum": one.sum}
        if math.isfinite(one.sum) and math.isfinite(one.count_float):
            points.append(Point(named, fields, _nanoseconds(one.timestamp)))
    return points


def _nanoseconds(milliseconds: int) -> int:
    if not -(2**63) <= milliseconds * _MS_NS < 2**63:
        raise ValueError("a timestamp is out of range: it counts milliseconds since 1970")
    return milliseconds * _MS_NS

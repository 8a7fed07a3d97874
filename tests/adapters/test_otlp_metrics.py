"""OTLP metrics: each kind of data point in both forms, missing values, faults, and mangled bodies."""

from __future__ import annotations

import json
import math

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from homeostat.adapters.otlp import metrics
from homeostat.adapters.otlp.metrics import NotMetrics, answer_of, points_of, refusal_of

NOW = 1_700_000_000_000_000_000
HOST = [{"key": "host.name", "value": {"stringValue": "a"}}]


def gauge(name="cpu", **point):
    return {"name": name, "gauge": {"dataPoints": [{"timeUnixNano": str(NOW), **point}]}}


def request(*metrics, attributes=HOST):
    scope = {"scope": {"name": "x", "attributes": [{"key": "scope", "value": {"intValue": "3"}}]}, "metrics": metrics}
    return {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [scope]}]}


def read(asked, form):
    """The points of a request in JSON's or in protobuf's form."""
    if form == "json":
        return points_of(json.dumps(asked).encode(), is_json=True)
    body = json_format.ParseDict(asked, ExportMetricsServiceRequest()).SerializeToString()
    return points_of(body, is_json=False)


both = pytest.mark.parametrize("form", ["json", "protobuf"])


@both
def test_a_gauge_is_a_point_with_the_attributes_of_resource_scope_and_data_point(form):
    own = [{"key": "core", "value": {"intValue": "0"}}, {"key": "scope", "value": {"boolValue": True}}]
    (point,) = read(request(gauge(asDouble=0.5, attributes=own)), form).points
    assert point.series == ("cpu", (("core", "0"), ("host.name", "a"), ("scope", "true")))
    assert point.fields == {"value": 0.5} and point.time_ns == NOW


@both
def test_each_kind_of_data_point_has_its_fields(form):
    at = {"timeUnixNano": str(NOW)}
    asked = request(
        {"name": "sum", "sum": {"dataPoints": [{**at, "asInt": "-7"}]}},
        {"name": "histogram", "histogram": {"dataPoints": [{**at, "count": "3", "sum": 4.5, "min": 1.0, "max": 2.5}]}},
        {"name": "bare", "histogram": {"dataPoints": [{**at, "count": "3", "bucketCounts": ["1", "2"]}]}},
        {"name": "exponential", "exponentialHistogram": {"dataPoints": [{**at, "count": "2", "sum": 1.0}]}},
        {"name": "summary", "summary": {"dataPoints": [{**at, "count": "2", "sum": 3.0}]}},
        {"name": "empty"},
    )
    parsed = read(asked, form)
    assert not parsed.bad
    assert {p.series.measurement: p.fields for p in parsed.points} == {
        "sum": {"value": -7}, "histogram": {"count": 3.0, "sum": 4.5, "min": 1.0, "max": 2.5}, "bare": {"count": 3.0},
        "exponential": {"count": 2.0, "sum": 1.0}, "summary": {"count": 2.0, "sum": 3.0},
    }  # fmt: skip


@both
@pytest.mark.parametrize(
    "point", [{"asDouble": "NaN"}, {"asDouble": "Infinity"}, {"flags": 1}, {"flags": 1, "asInt": 3}]
)
def test_a_value_that_was_not_recorded_is_missing(form, point):
    parsed = read(request(gauge(**point), gauge("memory", asInt="1")), form)
    assert [p.series.measurement for p in parsed.points] == ["memory"] and not parsed.bad


@both
def test_a_data_point_without_a_time_has_that_of_its_reception(form):
    (point,) = read(request(gauge(asInt="1", timeUnixNano="0")), form).points
    assert point.time_ns is None


@both
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (gauge(name="", asInt="1"), "no name"),
        (gauge(), "no value"),
        (gauge(asInt="1", timeUnixNano=str(2**63)), "timeUnixNano"),
        (
            gauge(asInt="1", attributes=[{"key": f"k{k}", "value": {"intValue": "1"}} for k in range(1001)]),
            "1,000 attr",
        ),
    ],
)
def test_a_wrong_data_point_costs_only_itself(form, wrong, why):
    parsed = read(request(gauge(asInt="5"), wrong, gauge(asInt="6")), form)
    assert [p.fields["value"] for p in parsed.points] == [5, 6]
    assert [one.number for one in parsed.bad] == [2] and why in parsed.bad[0].why
    response = ExportMetricsServiceResponse.FromString(answer_of(parsed.bad, is_json=False))
    assert response.partial_success.rejected_data_points == 1 and why in response.partial_success.error_message
    said = json_format.Parse(answer_of(parsed.bad, is_json=True), ExportMetricsServiceResponse())
    assert said == response


def test_nested_attributes_are_json_and_bytes_are_base64():
    nested = {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}}]}}
    own = [{"key": "nested", "value": nested}, {"key": "raw", "value": {"bytesValue": "AQI="}}, {"key": "none"}]
    (point,) = read(request(gauge(asInt="1", attributes=own), attributes=[]), "protobuf").points
    assert dict(point.series.tags) == {"nested": '{"a": ["1", null]}', "raw": "AQI=", "scope": "3"}


def test_a_request_without_bad_points_is_answered_by_an_empty_message():
    assert answer_of([], is_json=False) == b"" and answer_of([], is_json=True) == b"{}"
    assert refusal_of("no", is_json=True) == b'{"message": "no"}' and refusal_of("no", is_json=False) == b"\x12\x02no"


@pytest.mark.parametrize(
    ("body", "is_json"),
    [(b"\xff\xff", False), (b"", True), (b"[1]", True), (b'{"resourceMetrics": 3}', True), (b"\xff", True),
     (b'{"resourceMetrics": [{"resource": null, "scopeMetrics": [{"metrics": [7]}]}]}', True),
     (b"[" * 200_000, True), (b'{"resourceMetrics":' * 500 + b"}" * 500, True)],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused(body, is_json):
    with pytest.raises(NotMetrics):
        points_of(body, is_json=is_json)


def test_millions_of_tiny_parts_in_a_small_body_are_refused(monkeypatch):
    monkeypatch.setattr(metrics, "COUNT_MAX", 1000)
    with pytest.raises(NotMetrics, match="more than 1,000 metrics"):
        points_of(b"\x0a\x00" * 1001, is_json=False)
    with pytest.raises(NotMetrics, match="more than 1,000 objects"):
        points_of(b'{"resourceMetrics":[' + b"{}," * 1_000 + b"{}]}", is_json=True)
    with pytest.raises(NotMetrics, match="at most 100 are read"):
        points_of(b"x" * 101, is_json=True, size_max=100)


@settings(max_examples=300)
@given(st.data())
def test_mangled_bytes_are_points_or_refused(data):
    asked, is_json = (
        request(gauge(asDouble=0.5), {"name": "n", "sum": {"dataPoints": [{"asInt": "1"}]}}),
        data.draw(st.booleans()),
    )
    body = bytearray(
        json.dumps(asked).encode()
        if is_json
        else json_format.ParseDict(asked, ExportMetricsServiceRequest()).SerializeToString()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = points_of(bytes(body[: data.draw(st.integers(0, len(body)))]), is_json=is_json)
    except NotMetrics:
        return
    for point in parsed.points:
        assert point.series.measurement and all(math.isfinite(value) for value in point.fields.values())

"""Prometheus remote write and OTLP over HTTP: senders get the answers that they expect, and events are decided."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pyarrow as pa
import pytest
from http_servers import Server
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from tests.support.hosts import SECOND_NS, T0_NS, hosts_file

from homeostat.adapters.protobuf.declared import message_classes

PROTOBUF = "application/x-protobuf"
WRITE_REQUEST = message_classes("tested", {
    "WriteRequest": "repeated TimeSeries timeseries = 1",
    "TimeSeries": "repeated Label labels = 1; repeated Sample samples = 2",
    "Label": "string name = 1; string value = 2",
    "Sample": "double value = 1; int64 timestamp = 2",
})["WriteRequest"]  # fmt: skip
T0_MS = T0_NS // 10**6


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hosts")
    server = Server(hosts_file(folder), "--data", folder / "data")
    yield server
    assert server.stop() == 0


def remote(server: Server, *series: tuple[dict[str, str], list[tuple[float, int]]], **headers: str):
    message = WRITE_REQUEST()
    for labels, samples in series:
        made = message.timeseries.add()
        for name, value in labels.items():
            made.labels.add(name=name, value=value)
        for value, milliseconds in samples:
            made.samples.add(value=value, timestamp=milliseconds)
    body = pa.Codec("snappy").compress(message.SerializeToString(), asbytes=True)
    sent = {"content_type": PROTOBUF, "content_encoding": "snappy", "x_prometheus_remote_write_version": "0.1.0"}
    return server.ask("/api/v1/write", body, **{**sent, **headers})


def exported(host: str, at_ns: int, value: float, **more: object) -> dict:
    point = {"timeUnixNano": str(at_ns), "asDouble": value, **more}
    resource = {"attributes": [{"key": "host", "value": {"stringValue": host}}]}
    metrics = [{"name": "up", "gauge": {"dataPoints": [point]}}]
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}


def decision(server: Server, host: str) -> dict:
    status, _, body = server.ask(f"/v1/decisions/hosts,host={host}@{T0_NS}")
    assert status == 200, body
    return body["features"]


def test_remote_write_becomes_events(hosts: Server) -> None:
    status, headers, body = remote(
        hosts, ({"__name__": "up", "host": "r", "job": "node"}, [(1.0, T0_MS), (0.0, T0_MS + 20_000)]),
        ({"__name__": "go_threads", "host": "r"}, [(7.0, T0_MS)]),
    )  # fmt: skip
    assert (status, body) == (204, b"") and "content-length" not in headers
    assert decision(hosts, "r")["up"]["value"] == 1.0


def test_a_wrong_series_is_refused_and_the_others_are_kept(hosts: Server) -> None:
    status, _, body = remote(
        hosts, ({"host": "s"}, [(1.0, T0_MS)]),
        ({"__name__": "up", "host": "s"}, [(1.0, T0_MS), (1.0, T0_MS + 20_000)]),
    )  # fmt: skip
    assert status == 400 and "__name__" in body["detail"]
    assert decision(hosts, "s")["up"]["value"] == 1.0


def test_what_is_no_remote_write_is_refused(hosts: Server) -> None:
    assert remote(hosts, content_type="application/json")[0] == 415
    assert remote(hosts, content_encoding="gzip")[0] == 415
    assert remote(hosts, content_type=f"{PROTOBUF};proto=io.prometheus.write.v2.Request")[0] == 415
    assert hosts.ask("/api/v1/write", b"no snappy", content_type=PROTOBUF, content_encoding="snappy")[0] == 400


@pytest.mark.parametrize("packed", [False, True])
def test_otlp_in_json_becomes_events(hosts: Server, packed: bool) -> None:
    host = f"j{packed}"
    for at_ns in (T0_NS, T0_NS + 20 * SECOND_NS):
        body = json.dumps(exported(host, at_ns, 1.0)).encode()
        more = {"content_encoding": "gzip"} if packed else {}
        status, headers, answer = hosts.ask("/v1/metrics", gzip.compress(body) if packed else body, **more)
        assert (status, answer) == (200, {}) and headers["content-type"] == "application/json"
    assert decision(hosts, host)["up"]["value"] == 1.0


def test_otlp_in_protobuf_becomes_events_and_says_what_it_rejects(hosts: Server) -> None:
    from google.protobuf import json_format

    for at_ns, value, rejected in ((T0_NS, 1.0, 0), (T0_NS + SECOND_NS, 2.0, 1), (T0_NS + 20 * SECOND_NS, 1.0, 0)):
        message = json_format.ParseDict(exported("o", at_ns, value), ExportMetricsServiceRequest())
        status, headers, body = hosts.ask("/v1/metrics", message.SerializeToString(), content_type=PROTOBUF)
        assert status == 200 and headers["content-type"] == PROTOBUF
        answer = ExportMetricsServiceResponse.FromString(body)
        assert answer.partial_success.rejected_data_points == rejected
    assert decision(hosts, "o")["up"]["value"] == 1.0


def test_what_is_no_otlp_is_refused_in_the_form_of_the_request(hosts: Server) -> None:
    status, headers, body = hosts.ask("/v1/metrics", b"{")
    assert (status, headers["content-type"]) == (400, "application/json") and "no JSON" in body["message"]
    assert hosts.ask("/v1/metrics", b"\xff", content_type=PROTOBUF)[0] == 400
    assert hosts.ask("/v1/metrics", b"x", content_type="text/plain")[0] == 415

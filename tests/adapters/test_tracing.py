"""Trace context, and spans as a real OTLP receiver gets them."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from homeostat.adapters.process.tracing import (
    Sampling,
    Stretch,
    Traced,
    Tracing,
    continued,
    open_tracing,
    sampled,
    traceparent_for,
)
from homeostat.ports import Unavailable

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

INCOMING = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ALL = {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}


class Receiver:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self, url: str) -> None:
        self.url, self.spans, self.resources = url, [], []

    def environ(self, **more: str) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, **more}

    def named(self, name: str) -> list:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str):
        (span,) = self.named(name)
        return span


@contextmanager
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            sent = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
            for group in ExportTraceServiceRequest.FromString(sent).resource_spans:
                found.resources.append({item.key: item.value.string_value for item in group.resource.attributes})
                found.spans.extend(span for scope in group.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Iterator[tuple[Tracing, Receiver]]:
    with receiver() as found:
        for name, value in found.environ(**environ).items():
            monkeypatch.setenv(name, value)  # The exporter reads the process's own environment.
        tracing = open_tracing(instance="worker-1")
        yield tracing, found
        tracing.close()


def ids(span) -> tuple[str, str, str]:
    return span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()


def event(name: str, incoming: str | None = None, **attributes) -> Traced:
    return Traced(name, incoming, 1_000, 2_000, attributes)


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        (INCOMING, INCOMING),
        (INCOMING[:-1] + "0", INCOMING[:-1] + "0"),
        ("cc" + INCOMING[2:] + "-what-the-future-holds", INCOMING),
        ("cc" + INCOMING[2:], INCOMING),
        ("ff" + INCOMING[2:], None),
        (INCOMING + "-more", None),
        ("cc" + INCOMING[2:] + ".more", None),
        (INCOMING.upper(), None),
        (INCOMING.replace(TRACE, "0" * 32), None),
        (INCOMING.replace(SPAN, "0" * 16), None),
        (INCOMING[:-1], None),
        (f" {INCOMING}", None),
        ("", None),
        (None, None),
    ],
)
def test_only_what_w3c_allows_is_continued(text: str | None, usable: str | None) -> None:
    assert continued(text) == usable


@given(st.text(), st.none() | st.text(max_size=60), st.floats(0, 1))
def test_every_event_has_a_valid_context_that_is_its_own(name: str, incoming: str | None, ratio: float) -> None:
    made = traceparent_for(name, incoming, ratio)
    assert continued(made) == made == traceparent_for(name, incoming, ratio)
    if continued(incoming) is None:
        assert made[:52] == traceparent_for(name)[:52]
        assert sampled(made) == (int(made[19:35], 16) < ratio * 2**64)


def test_about_the_declared_share_of_events_is_sampled() -> None:
    share = sum(sampled(traceparent_for(f"event-{k}", None, 0.1)) for k in range(5000)) / 5000
    assert 0.08 < share < 0.12


def test_the_standard_variables_choose_the_sampling() -> None:
    assert Sampling.of({}) == Sampling(0.01, True)
    assert Sampling.of({"OTEL_TRACES_SAMPLER": "always_on"}) == Sampling(1.0, False)
    assert Sampling.of({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}) == Sampling(0.0, True)
    for wrong in ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, {"OTEL_TRACES_SAMPLER_ARG": "2"},
                  {"OTEL_TRACES_SAMPLER_ARG": "many"}):  # fmt: skip
        with pytest.raises(Unavailable, match="OTEL_TRACES_SAMPLER"):
            Sampling.of(wrong)


def test_without_an_endpoint_nothing_is_recorded_and_contexts_pass_through() -> None:
    for environ in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
                    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}):  # fmt: skip
        tracing = open_tracing(environ=environ)
        assert not tracing.enabled and tracing.recorded(["e1"], [INCOMING]) == []
        assert tracing.traceparent("e1", INCOMING) == INCOMING
        assert tracing.traceparent("e1", "nonsense") == traceparent_for("e1")
        tracing.decided([event("e1")])
        tracing.learned([event("e1")])
        tracing.close()


def test_another_protocol_is_refused_in_words() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(Unavailable, match="http/protobuf"):
        open_tracing(environ=environ)


def test_decision_and_outcome_of_an_event_share_the_trace_of_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(monkeypatch, **ALL) as (tracing, found):
        assert tracing.recorded(["e1"], [None]) == [0]
        tracing.decided([event("e1", action="block", risk=0.9, version="v1")])
        tracing.learned([event("e1", label=1.0)])
        sent = tracing.traceparent("e1", None)
    decision, outcome = found.one("decision"), found.one("outcome")
    trace, span, parent = ids(decision)
    assert (trace, span, parent) == (sent[3:35], sent[36:52], "") and sampled(sent)
    assert ids(outcome)[::2] == (trace, span)
    kept = {item.key: item.value for item in decision.attributes}
    assert kept["homeostat.event_id"].string_value == "e1" and kept["homeostat.action"].string_value == "block"
    assert kept["homeostat.risk"].double_value == 0.9 and kept["homeostat.version"].string_value == "v1"
    assert (decision.start_time_unix_nano, decision.end_time_unix_nano) == (1_000, 2_000)
    assert found.resources[0]["service.name"] == "homeostat"
    assert found.resources[0]["service.instance.id"] == "worker-1"


def test_an_incoming_trace_is_continued_and_linked_to_the_events_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(monkeypatch, **ALL) as (tracing, found):
        tracing.decided([event("e1", INCOMING)])
        sent = tracing.traceparent("e1", INCOMING)
        tracing.learned([event("e1", sent)])
    decision, outcome = found.one("decision"), found.one("outcome")
    assert decision.trace_id.hex() == outcome.trace_id.hex() == sent[3:35] == TRACE
    assert decision.parent_span_id.hex() == SPAN
    own = traceparent_for("e1")
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in decision.links] == [(own[3:35], own[36:52])]
    assert outcome.parent_span_id.hex() == sent[36:52]


def test_a_decision_sent_on_is_the_parent_of_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(monkeypatch, **ALL) as (tracing, found):
        sent = tracing.traceparent("e1", INCOMING)
        tracing.decided([event("e1", INCOMING)])
    assert found.one("decision").span_id.hex() == sent[36:52] and sent[:36] == INCOMING[:36] and sampled(sent)


def test_a_batch_has_its_stages_and_links_to_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [Stretch("receive", 0, 1), Stretch("decide", 1, 2), Stretch("journal", 2, 3), Stretch("publish", 3, 9)]
    with recording(monkeypatch, **ALL) as (tracing, found):
        names = [f"e{k}" for k in range(40)]
        tracing.decided([event(name) for name in names], stages)
    whole = found.one("batch")
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (0, 9) and whole.parent_span_id == b""
    for stage in stages:
        span = found.one(stage.name)
        assert span.parent_span_id == whole.span_id and span.trace_id == whole.trace_id
    assert [link.trace_id.hex() for link in whole.links] == [traceparent_for(name)[3:35] for name in names[:32]]


def test_what_was_not_sampled_upstream_is_not_recorded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    unsampled = INCOMING[:-2] + "00"
    with recording(monkeypatch, **ALL) as (tracing, _):
        assert tracing.recorded(["e1", "e2", "e3"], [unsampled, INCOMING, None]) == [1, 2]
        assert tracing.traceparent("e1", unsampled) == unsampled
    with recording(monkeypatch, OTEL_TRACES_SAMPLER="parentbased_always_off") as (tracing, _):
        assert tracing.recorded(["e1", "e2", "e3"], [unsampled, INCOMING, None]) == [1]


def test_a_collector_that_is_away_costs_the_decisions_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    tracing = open_tracing()
    tracing.decided([event("e1")])
    tracing.close()


def test_the_server_continues_traces_and_says_which() -> None:
    with receiver() as found:
        environ = {**os.environ, **found.environ(**ALL)}
        command = [sys.executable, "-c", "from homeostat.cli import main; main()", "serve", "access", "--port", "0"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        url = next(line.split()[-1] for line in server.stderr if "http://" in line)

        def post(path: str, body: object, **headers: str) -> tuple[object, str | None]:
            sent = {"content-type": "application/json", **headers}
            request = urllib.request.Request(url + path, json.dumps(body).encode(), sent)
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer), answer.headers["traceparent"]

        one = {"entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}
        _, alone = post("/v1/decide", {**one, "event_id": "alone"})
        _, came = post("/v1/decide", {**one, "event_id": "came"}, traceparent=INCOMING)
        _, none = post("/v1/decide", [{**one, "event_id": "a"}, {**one, "event_id": "b"}])
        post("/v1/outcomes", {"event_id": "alone", "label": 1})
        post("/v1/outcomes", {"event_id": "came", "label": 1}, traceparent=came)
        server.send_signal(signal.SIGTERM)
        kept = server.communicate(timeout=180)[1]
        assert server.returncode == 0, kept
    assert none is None and came[:36] == INCOMING[:36] and came != INCOMING
    by_event = {}
    for span in found.spans:
        name = next(item.value.string_value for item in span.attributes if item.key == "homeostat.event_id")
        by_event.setdefault(name, []).append(span)
    assert {name: sorted(span.name for span in spans) for name, spans in by_event.items()} == {
        "alone": ["decision", "outcome"], "came": ["decision", "outcome"], "a": ["decision"], "b": ["decision"],
    }  # fmt: skip
    assert {span.trace_id.hex() for span in by_event["alone"]} == {alone[3:35]}
    assert {span.trace_id.hex() for span in by_event["came"]} == {TRACE}
    assert by_event["a"][0].trace_id != by_event["b"][0].trace_id

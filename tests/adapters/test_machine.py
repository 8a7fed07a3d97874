"""Readings of this machine and of a page of metrics, and a service whose load can be set."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from homeostat.adapters.machine.page import PageError, PageSampler
from homeostat.adapters.machine.sampler import MachineSampler
from homeostat.adapters.machine.service import LiveService
from homeostat.adapters.machine.stress import BadLoad, load_of


@pytest.fixture(scope="module")
def service() -> Iterator[LiveService]:
    with LiveService() as running:
        yield running


def ask(service: LiveService, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}{path}", data)
    for name, value in ({"content-type": "application/json"} | headers).items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_this_machine_has_metrics_within_their_ranges_and_a_busy_process_is_named() -> None:
    sampler = MachineSampler()
    sampler.culprit("cpu")
    sum(range(3_000_000))
    found = sampler.sample()
    assert set(found) <= set(sampler.metrics) and {"cpu", "memory"} <= set(found)
    assert all(0 <= found[name] <= 100 for name in ("cpu", "memory"))
    assert all(value >= 0 for value in found.values())
    named = sampler.culprit("memory")
    assert named is not None and named.endswith(")")
    assert sampler.culprit("network") is None


def test_the_live_service_measures_its_own_process(service: LiveService) -> None:
    status, page = ask(service, "/metrics")
    assert status == 200 and b"process_cpu_seconds_total" in page and b"live_request_duration_seconds_count" in page
    sampler = PageSampler(f"http://127.0.0.1:{service.port}/metrics")
    assert ask(service, "/work")[0] == 200
    found = sampler.sample()
    assert found["requests"] > 0 and found["memory"] > 1 and found["cpu"] >= 0 and found["latency"] > 0


def test_a_load_of_memory_is_held_and_given_back(service: LiveService) -> None:
    assert ask(service, "/stress", {"kind": "memory", "amount": 40, "seconds": 0.2})[0] == 202
    ended = threading.Event()
    while service.stress.amount("memory"):
        ended.wait(0.02)
    assert b'live_stress{kind="memory"} 0.0' in ask(service, "/metrics")[1]


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        ({"kind": "disk"}, {}, 400, "kind is one of"),
        ({"kind": "cpu", "amount": 5}, {}, 400, "amount is a number above 0, 4 at most"),
        ({"kind": "cpu", "seconds": True}, {}, 400, "seconds is a number"),
        ({"kind": "cpu", "much": 1}, {}, 400, "send an object"),
        (b"{", {}, 400, "no JSON"),
        (b"x" * 20_000, {}, 400, "bytes at most"),
        ({"kind": "cpu"}, {"content_type": "text/plain"}, 400, "application/json"),
        ({"kind": "cpu"}, {"origin": "http://evil.example"}, 403, "programs on this machine"),
        ({"kind": "cpu"}, {"host": "evil.example"}, 403, "programs on this machine"),
    ],
)
def test_a_load_that_is_asked_for_wrongly_is_refused(service, body, headers, status, said) -> None:
    answered, text = ask(service, "/stress", body, **headers)
    assert answered == status and said in text.decode()
    assert service.stress.amount("cpu") == 0


def test_other_paths_are_named(service: LiveService) -> None:
    for path, body in (("/", None), ("/work", {"kind": "cpu"})):
        status, text = ask(service, path, body)
        assert status == 404 and b"POST /stress" in text


def test_a_load_has_bounds() -> None:
    assert load_of({"kind": "latency"}).seconds == 10.0
    with pytest.raises(BadLoad):
        load_of([])


@pytest.fixture
def page() -> Iterator[HTTPServer]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.body)  # type: ignore[attr-defined]

        def log_message(self, *ignored: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_page_sums_its_series_and_leaves_out_what_it_lacks(page: HTTPServer) -> None:
    url = f"http://127.0.0.1:{page.server_address[1]}/metrics"
    page.body = (
        b'a_requests_total{p="x"} 1\na_requests_total{p="y"} 1\nb_duration_seconds_sum 1\nb_duration_seconds_count 4\n'
    )
    sampler = PageSampler(url)
    page.body = (
        b'a_requests_total{p="x"} 5\na_requests_total{p="y"} 2\nb_duration_seconds_sum 3\nb_duration_seconds_count 8\n'
    )
    found = sampler.sample()
    assert set(found) == {"requests", "latency"} and found["latency"] == pytest.approx(500.0) and found["requests"] > 0
    assert "latency" not in sampler.sample(), "nothing was answered since"


@pytest.mark.parametrize("body", [b"\xff\xfe", b"<html>{</html>", b"a b c d\n"])
def test_a_page_that_is_none_is_refused_in_a_sentence(page: HTTPServer, body: bytes) -> None:
    page.body = body
    with pytest.raises(PageError, match="no page in Prometheus' text format"):
        PageSampler(f"http://127.0.0.1:{page.server_address[1]}/metrics")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "http://", "http://127.0.0.1:9/metrics"])
def test_an_address_without_a_page_is_refused(url: str) -> None:
    with pytest.raises(PageError):
        PageSampler(url)

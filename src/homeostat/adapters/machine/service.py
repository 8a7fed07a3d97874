"""A small HTTP service on this machine alone: live metrics at /metrics, and /stress, which really loads its process."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from homeostat.adapters.machine.stress import KINDS, BadLoad, Stress, load_of

_BODY_MAX = 10_000
_WORK = b"homeostat" * 2_000
_EVERY_S = 0.02
"""Between two requests that the service sends itself, so that there is something to measure."""


class LiveService:
    """The service and its threads. A context manager.

    port : 0 takes a free one
    """

    def __init__(self, port: int = 0) -> None:
        self.registry, self.stress = CollectorRegistry(), Stress()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("live_requests", "Requests that were answered.", registry=self.registry)
        self._took = Histogram("live_request_duration_seconds", "Time of a request.", registry=self.registry)
        loads = Gauge("live_stress", "Loads that are on: threads, MB, ms.", ["kind"], registry=self.registry)
        for kind in KINDS:
            loads.labels(kind).set_function(partial(self.stress.amount, kind))
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        self._server.daemon_threads = True
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """Where it listens, at 127.0.0.1."""
        return int(self._server.server_address[1])

    def work(self) -> None:
        """Answer a request: a little work, and the wait that a load of latency adds."""
        begun = time.perf_counter()
        sha256(_WORK).hexdigest()
        self.stress.wait()
        self._took.observe(time.perf_counter() - begun)
        self._requests.inc()

    def __enter__(self) -> LiveService:
        for name, run in (("live server", self._server.serve_forever), ("live requests", self._ask)):
            threading.Thread(target=run, name=name, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self.stress.end()
        self._server.shutdown()
        self._server.server_close()

    def _ask(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            self.work()


def _handler_of(service: LiveService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "homeostat-live", ""
        timeout = 10

        def do_GET(self) -> None:
            if not self._ours():
                return
            if self.path == "/metrics":
                self._answer(200, generate_latest(service.registry), "text/plain; version=0.0.4; charset=utf-8")
            elif self.path == "/work":
                service.work()
                self._answer(200, b'{"ok": true}\n')
            else:
                self._answer(404, b'{"error": "there are GET /metrics, GET /work and POST /stress"}\n')

        def do_POST(self) -> None:
            if not self._ours():
                return
            if self.path != "/stress":
                self._answer(404, b'{"error": "there are GET /metrics, GET /work and POST /stress"}\n')
                return
            try:
                load = load_of(self._object())
            except BadLoad as error:
                self._answer(400, json.dumps({"error": str(error)}).encode() + b"\n")
                return
            service.stress.begin(load)
            body = {"kind": load.kind, "amount": load.amount, "seconds": load.seconds}
            self._answer(202, json.dumps(body).encode() + b"\n")

        def _object(self) -> object:
            size = self.headers.get("content-length", "")
            if not size.isdecimal() or int(size) > _BODY_MAX:
                raise BadLoad(f"send content-length, {_BODY_MAX} bytes at most")
            if self.headers.get_content_type() != "application/json":  # A page of another site can't send this type.
                raise BadLoad("send content-type: application/json")
            try:
                return json.loads(self.rfile.read(int(size)))
            except ValueError as error:
                raise BadLoad(f"the body is no JSON: {error}") from error

        def _ours(self) -> bool:
            """Whether a program of this machine asks, and no page of another site; if not, it is refused."""
            host = self.headers.get("host", "").rpartition(":")[0] or self.headers.get("host", "")
            if host in ("127.0.0.1", "localhost") and "origin" not in self.headers:
                return True
            self._answer(403, b'{"error": "this service answers programs on this machine only"}\n')
            return False

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: each scrape would be a line."""

    return Handler

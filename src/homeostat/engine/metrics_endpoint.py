"""A small HTTP endpoint for processes that serve nothing else: /metrics, /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from threading import Thread
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from homeostat.config.hosts import Hosts

SLOW_S_MAX = 10.0  # A client that sends nothing for so long is left.
_TEXT = "text/plain; charset=utf-8"


class MetricsEndpoint:
    """Answers in threads of its own until closed. A context manager.

    ready : an empty text when the process does its work, else what keeps it from doing so
    notes : sentences about what it does its work without
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        host: str = "127.0.0.1",
        port: int = 0,
        ready: Callable[[], str] | None = None,
        notes: Callable[[], list[str]] | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        """Listen at once; port 0 takes a free one. Raises OSError."""
        self.hosts = hosts or Hosts()
        self.ready, self.notes = ready or _ready, notes or _no_notes
        self._server = _server(host)((host, port), _handler(registry, self))
        self._thread = Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is reached."""
        host, port = self._server.server_address[:2]
        shown = host.decode() if isinstance(host, bytes) else host
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> MetricsEndpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def serve_metrics(
    registry: CollectorRegistry, host: str = "127.0.0.1", port: int = 0, ready: Callable[[], str] | None = None,
    notes: Callable[[], list[str]] | None = None, hosts: Hosts | None = None,
) -> MetricsEndpoint:  # fmt: skip
    """Show a registry at http://host:port/metrics; /healthz says that the process lives, /readyz what `ready` says,
    and below it what `notes` say.

    hosts : the names by which it may be called; this machine's own when absent
    """
    return MetricsEndpoint(registry, host, port, ready, notes, hosts)


def _ready() -> str:
    return ""


def _no_notes() -> list[str]:
    return []


def _server(host: str) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False  # A client that reads slowly must not hold up the process's end.
        address_family = AF_INET6 if ":" in host else ThreadingHTTPServer.address_family

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients come and go: no traceback for one that went."""

    return Server


def _handler(registry: CollectorRegistry, endpoint: MetricsEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = SLOW_S_MAX
        server_version, sys_version = "homeostat", ""

        def do_GET(self) -> None:
            """Answer one of the three paths."""
            path, host = urlsplit(self.path).path, self.headers.get("host")
            if host is not None and not endpoint.hosts.holds(host, str(self.connection.getsockname()[0])):
                self._send(421, b"call this by its address, or allow the name: HOMEOSTAT_ALLOW_HOSTS\n", _TEXT)
            elif path == "/metrics":
                encode, kind = choose_encoder(self.headers.get("accept") or "")
                self._send(200, encode(registry), kind)
            elif path == "/healthz":
                self._send(200, b"ok\n", _TEXT)
            elif path == "/readyz":
                trouble = endpoint.ready()
                lines = [trouble or "ready", *(" ".join(note.split()) for note in endpoint.notes())]
                self._send(503 if trouble else 200, "".join(f"{line}\n" for line in lines).encode(), _TEXT)
            else:
                self._send(404, b"there are /metrics, /healthz and /readyz\n", _TEXT)

        do_HEAD = do_GET  # noqa: N815

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            for name, value in (
                ("content-type", kind), ("content-length", str(len(body))), ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
            ):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Scrapes are no news."""

    return Handler

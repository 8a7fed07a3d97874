"""The exchange between the mirror and an MLflow server: recorded from a real server, and played back without one.

python -m tests.support.mlflow_exchange http://127.0.0.1:5000 tests/adapters/mlflow_exchange.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.mlflow.mirror import Mirrored, MlflowMirror
from homeostat.checks.registry import APP, bundle_in
from homeostat.models.deployments import promote, roles, roll_back
from homeostat.ports.registry import Lineage


class Steps:
    """A clock that goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * 10**9

    def now_ns(self) -> int:
        self.now += 10**9
        return self.now

    def monotonic_ns(self) -> int:
        return self.now


def story(url: str, folder: Path, app: str = APP) -> list[Mirrored]:
    """Versions come, are deployed, rolled back and deleted, with passes of the mirror in between; a look at the end."""
    registry, settings = SqliteRegistry(folder / "data", clock=Steps()), MemorySettings(Steps())

    def put(number: int, *parents: str) -> str:
        metrics = {"rows": 100 * number, "fused": {"roc_auc": 0.9, "by scorer (%)": {"a": 0.5}}, "none": float("nan")}
        lineage = Lineage(
            app, "1f2e", "sha256:00", "2026-01-01", "2026-02-01", 7, "0.2.0", parents, metrics, "ann", f"try {number}"
        )
        return registry.put(bundle_in(folder, number, app), lineage).version

    def passed(mirror: MlflowMirror) -> Mirrored:
        return mirror.catch_up(list(registry.versions())[::-1], roles(settings), registry.fetch)

    mirror = MlflowMirror(url, app)
    first = put(1)
    found = [passed(mirror), passed(mirror)]
    second = put(2, first)
    promote(settings, registry, first, "ann", "the first")
    promote(settings, registry, second, "ann", "better")
    put(3, second)
    promote(settings, registry, "3", "ann", "to compare", "challenger")
    found += [passed(mirror)]
    roll_back(settings, registry, "bob", "worse")
    roll_back(settings, registry, "bob", "not wanted", "challenger")
    registry.delete("3", "bob", "not wanted")
    found += [passed(mirror), passed(MlflowMirror(url, app))]
    client = mirror._client
    for one in client.search_model_versions(f"name = '{app}'"):
        client.get_run(one.run_id)
        client.list_artifacts(one.run_id, "bundle")
    return found


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Asked(BaseHTTPRequestHandler):
    """A request in a form that is the same each time."""

    def asked(self) -> tuple[str, bytes]:
        """The request, and its body."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        try:
            shown: Any = json.loads(body) if body else None
        except ValueError:
            shown = sha256(body).hexdigest()
        if "artifacts/" in parts.path and body:
            shown = sha256(body).hexdigest()
        return json.dumps([self.command, parts.path, sorted(parse_qsl(parts.query)), shown], sort_keys=True), body

    def reply(self, status: int, body: bytes) -> None:
        """Answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def answer(self) -> None:
        raise NotImplementedError


@contextmanager
def playing(exchanges: list[list[Any]]) -> Iterator[tuple[str, dict[str, list[Any]], list[str]]]:
    """A server that answers as was recorded, what it has not been asked yet, and what it could not answer."""
    left: dict[str, list[Any]] = defaultdict(list)
    for asked, status, body in exchanges:
        left[asked].append((status, body))
    strange: list[str] = []
    lock = threading.Lock()

    class Player(Asked):
        def answer(self) -> None:
            asked, _ = self.asked()
            with lock:
                status, body = left[asked].pop(0) if left.get(asked) else (599, "")
                if status == 599:
                    strange.append(asked)
            self.reply(status, body.encode())

    with serving(Player) as url:
        yield url, left, strange


@contextmanager
def recording(upstream: str, exchanges: list[list[Any]]) -> Iterator[str]:
    """A server that passes everything on to another, and notes it down."""
    lock = threading.Lock()

    class Recorder(Asked):
        def answer(self) -> None:
            asked, body = self.asked()
            request = urllib.request.Request(upstream + self.path, data=body or None, method=self.command)
            if self.headers.get("Content-Type"):
                request.add_header("Content-Type", self.headers["Content-Type"])
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    status, text = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, text = error.code, error.read()
            with lock:
                exchanges.append([asked, status, text.decode()])
            self.reply(status, text)

    with serving(Recorder) as url:
        yield url


def main() -> None:
    """Record the story."""
    exchanges: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder, recording(sys.argv[1], exchanges) as url:
        print(story(url, Path(folder)))
    Path(sys.argv[2]).write_text(json.dumps(exchanges, indent=0) + "\n")


if __name__ == "__main__":
    main()

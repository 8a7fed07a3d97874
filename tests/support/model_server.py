"""A real local server of the OpenAI protocol whose answers a test scripts: honest, lying, hanging, huge, broken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[dict[str, Any]], Any]
"""The request's body -> a text or JSON value to answer with; bytes are sent raw; an int is a status; HANG waits."""


class Odd(Enum):
    """Answers that never end."""

    HANG = "waits"
    HUGE = "is endless"
    DRIP = "comes byte by byte"


HANG, HUGE, DRIP = Odd


@dataclass
class ModelServer:
    """requests : the bodies that came; keys : their authorization headers"""

    script: Script
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def facts(self, at: int = -1) -> dict[str, Any]:
        """The facts in a request."""
        text = self.requests[at]["messages"][-1]["content"]
        return json.loads(text.removeprefix("<facts>\n").removesuffix("\n</facts>"))


def asked_for(body: dict[str, Any]) -> str:
    """Which form of answer a request asks for: Words, Ideas or Order."""
    text = json.dumps(body["messages"])
    return next(name for name in ("look_at", "order_remedies", "text") if name in text.replace("order_causes", ""))


@contextmanager
def model_server(script: Script) -> Iterator[ModelServer]:
    """The server, until the end."""
    state = ModelServer(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.requests.append(body)
            state.keys.append(self.headers.get("authorization", ""))
            try:
                self._answer(state.script(body))
            except OSError:
                self.close_connection = True  # The client has gone.

        def _answer(self, answer: Any) -> None:
            if answer is HANG:
                state.over.wait(30)
                self.close_connection = True
                return
            if answer is HUGE or answer is DRIP:
                self._endless(answer is DRIP)
                return
            if isinstance(answer, int):
                self._send(answer, b'{"error": {"message": "no"}}')
                return
            self._send(200, answer if isinstance(answer, bytes) else completion(answer))

        def _endless(self, slow: bool) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            part = b" " * (1 if slow else 65_536)
            for _ in range(100_000):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
                if slow and state.over.wait(0.05):
                    return

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def completion(content: Any) -> bytes:
    """A chat completion as a server sends it; a value that is no text is sent as its JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    return json.dumps({
        "id": "1", "object": "chat.completion", "created": 1, "model": "made-up",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }).encode()  # fmt: skip

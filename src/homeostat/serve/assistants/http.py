"""The same server over HTTP: on this machine's own address alone, and to API keys alone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock, Unavailable
from homeostat.ports.keys import ApiKeys

HOST = "127.0.0.1"
_BODY = b'{"error": "send a live API key of the scope that this server needs: Authorization: Bearer hs_..."}'


class Keyed:
    """An ASGI application that lets only requests with a live key of a scope through.

    keys : are read again for each request, so that one that was revoked holds no longer
    """

    def __init__(self, app: Callable[..., Any], keys: ApiKeys, scope: str, clock: Clock) -> None:
        self._app, self._keys, self._needed, self._clock = app, keys, scope, clock

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "http" and not self._allowed(scope["headers"]):
            headers = [(b"content-type", b"application/json"), (b"www-authenticate", b'Bearer realm="homeostat"')]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _BODY})
            return
        await self._app(scope, receive, send)

    def _allowed(self, headers: list[tuple[bytes, bytes]]) -> bool:
        shown = [value for name, value in headers if name == b"authorization"]
        scheme, _, secret = (shown[0] if len(shown) == 1 else b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return False
        self._keys.refresh()
        key = self._keys.check(secret.strip().decode("latin-1"), self._clock.now_ns())
        return key is not None and key.allows(self._needed)


def application(server: Any, keys: ApiKeys, scope: str, clock: Clock) -> Keyed:
    """The application of a server. scope : of the keys that it is open to"""
    return Keyed(server.streamable_http_app(host=HOST, stateless_http=True, json_response=True), keys, scope, clock)


def serve_http(server: Any, data: Path, port: int, scope: str, ready: Callable[[], None]) -> None:
    """Serve until a signal ends it.

    ready : is called once the port is had
    Raises Unavailable where the keys can't be read, or the port is taken.
    """
    import uvicorn

    keys = FileApiKeys(data)
    keys.refresh()
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise Unavailable(f"port {port} of {HOST} can't be had ({error.strerror}): name another --port") from error
    ready()
    config = uvicorn.Config(application(server, keys, scope, SystemClock()), host=HOST, port=port, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])

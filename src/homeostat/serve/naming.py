"""Requests that pages of other sites make a browser send are refused, on every route and before keys are looked at."""

from __future__ import annotations

from typing import Any

from homeostat.config.hosts import Hosts
from homeostat.serve.access import Refusal

_KNOWN_MAX = 1000
_FIX = "allow the name with `homeostat serve --allow-host NAME` or HOMEOSTAT_ALLOW_HOSTS"


class Naming:
    """Looks at `Host` and `Origin`. The hosts that were let through are remembered, since clients send few."""

    def __init__(self, hosts: Hosts | None = None) -> None:
        self._hosts = hosts or Hosts()
        self._known: set[tuple[bytes, str]] = set()

    def refusal(self, scope: dict[str, Any]) -> Refusal | None:
        """Why a request is not let in; None where it is. One without `Host` is from no browser."""
        host, origins, fetched = b"", list[bytes](), b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origins.append(value)
            elif name == b"sec-fetch-site":
                fetched = value
        server = scope.get("server")
        bound = str(server[0]) if server else ""
        if host and (host, bound) not in self._known:
            shown = host[:256].decode("latin-1")
            if not self._hosts.holds(shown, bound):
                detail = f"this server is not called {shown!r}"
                return Refusal(421, "Foreign host", detail, f"Call it by its address, or {_FIX}.")
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known.add((host, bound))
        for origin in origins:
            shown = origin[:256].decode("latin-1")
            if not self._hosts.may_send(shown, host.decode("latin-1"), bound, fetched == b"same-origin"):
                detail = f"a page of {shown!r} sent this"
                return Refusal(
                    403, "Foreign origin", detail, f"Send it from a program; to let pages of a site in, {_FIX}."
                )
        return None

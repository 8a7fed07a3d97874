"""Access rights: API keys, their scopes and rates, looked at before a request is read."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from homeostat.adapters.process.standing import Standing
from homeostat.ports import Clock, Unavailable
from homeostat.ports.keys import ApiKeys, Key
from homeostat.serve.limits import Bucket

REFRESH_S = 0.5  # A revoked key is refused within a second, so the keys are looked at twice in one.
STALE_S_MAX = 300.0  # Keys that can't be looked at again for so long are no longer believed.
OPEN, OPEN_BELOW = frozenset({"/healthz", "/ping"}), "/v1/answers/"  # Below it, a signature stands in for a key.
LINES = ("/write", "/api/v2/write")
"""Paths of InfluxDB, whose clients show a key as they show a token or a password."""
_SCOPES = dict.fromkeys(("/v1/decide", "/v1/outcomes", *LINES, "/api/v1/write", "/v1/metrics"), "decide")
# The words of people, and who did what, are for those who run the app.
_WRITTEN = ("/v1/questions", "/v1/feedback", "/v1/audit")
_REST, _CHANGES = "read", "operate"
_CHANGED = (
    "/v1/jobs",
    "/v1/settings",
    "/v1/models",
    "/v1/deployments",
    "/v1/incidents",
    "/v1/silences",
    "/v1/gate",
)  # Below these, what is no look changes how the app runs.
_LOOKS = ("GET", "HEAD")
_ANSWERS = (":approve", ":reject", ":edit")  # Of incidents: those who run the app need not be those who let it act.
_RESUMES = "/v1/gate:resume"
Headers = tuple[tuple[bytes, bytes], ...]


class Refusal(NamedTuple):
    """A problem and its headers, in the order in which `replies.refuse` takes them."""

    status: int
    title: str
    detail: str
    fix: str
    headers: Headers = ()


class Access:
    """Lets requests in.

    keys : None where there is no place for keys
    required : ask for a key even while there is none; else keys are asked for from the first one made
    rate : requests a second of all clients together
    """

    def __init__(self, clock: Clock, keys: ApiKeys | None, required: bool = False, rate: float | None = None) -> None:
        """Read the keys. Raises Unavailable."""
        self._clock, self._keys = clock, keys
        self.required = required
        self._all = None if rate is None else Bucket(rate)
        self._buckets: dict[str, Bucket] = {}
        self._read_ns = clock.monotonic_ns()
        self.trouble = ""
        self._standing = Standing(logging.getLogger("homeostat").warning, clock, "the API keys are read again")
        if keys is not None:
            self._found(keys.refresh())

    def refusal(self, scope: dict[str, Any]) -> Refusal | None:
        """Why a request is not let in; None where it is."""
        path = scope["path"]
        if path in OPEN:
            return None
        if self.required and not path.startswith(OPEN_BELOW):
            shown = lines_secret(scope) if path in LINES else _secret(scope["headers"])
            refused = self._unkeyed(shown, scope_for(path, scope["method"]))
            if refused is not None:
                return refused
        if self._all is not None:
            return _limited(self._all, "all", self._now_s(), "all clients together send", "Come back a little later.")
        return None

    def holds(self, scope: dict[str, Any]) -> bool:
        """Whether the key that let a request in still would; nothing is taken of its rate."""
        if not self.required or scope["path"].startswith(OPEN_BELOW):
            return True
        secret = _secret(scope["headers"])
        known = None if secret is None or self._keys is None else self._keys.check(secret, self._clock.now_ns())
        return known is not None and known.allows(scope_for(scope["path"], scope["method"]))

    async def watch(self) -> None:
        """Take in, again and again, what became of the keys; what takes its time waits in a thread."""
        if self._keys is None:
            return
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                self._found(await loop.run_in_executor(None, self._keys.refresh))
                self.trouble = ""
            except Unavailable as error:
                self.trouble = str(error)
            except Exception as error:  # A fault of ours: the keys read last go on to hold, for a while.
                self.trouble = f"the API keys can't be read: {type(error).__name__}: {error}"
            self._standing.now(self.trouble)

    def close(self) -> None:
        """Let go of the keys."""
        if self._keys is not None:
            self._keys.close()

    def _found(self, count: int) -> None:
        self.required = self.required or count > 0  # Once asked for, always: a file that vanishes opens no door.
        self._read_ns = self._clock.monotonic_ns()

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _unkeyed(self, secret: str | None, scope: str) -> Refusal | None:
        """Why the key that is shown does not let in."""
        if secret is None:
            return _UNNAMED
        if self._clock.monotonic_ns() - self._read_ns > STALE_S_MAX * 1e9:
            return _UNREADABLE
        key = None if self._keys is None else self._keys.check(secret, self._clock.now_ns())
        if key is None:
            return _UNKNOWN
        if not key.allows(scope):
            return _beyond(key, scope)
        if key.rate is None:
            return None
        bucket = self._buckets.get(key.id)
        if bucket is None:
            bucket = self._buckets[key.id] = Bucket(key.rate)
        return _limited(bucket, "key", self._now_s(), f"the key {key.id} is good for", "Send fewer requests, each with "
                        "more events; or have a key made with a higher rate.")  # fmt: skip


def scope_for(path: str, method: str) -> str:
    """The scope that a key needs for a request.

    >>> scope_for("/v1/decide", "POST"), scope_for("/v1/jobs", "GET"), scope_for("/v1/jobs", "POST")
    ('decide', 'read', 'operate')
    >>> scope_for("/v1/decisions/e1/question", "POST"), scope_for("/v1/questions", "GET")
    ('decide', 'operate')
    >>> scope_for("/v1/incidents/0a1b:approve", "POST"), scope_for("/v1/incidents/0a1b:close", "POST")
    ('approve', 'operate')
    >>> scope_for("/v1/gate:resume", "POST"), scope_for("/v1/gate:stop", "POST")
    ('approve', 'operate')
    """
    if path == _RESUMES:
        return "approve"
    if method == "POST" and path.startswith("/v1/incidents/") and path.endswith(_ANSWERS):
        return "approve"
    if method == "POST" and (path == "/v1/feedback" or path.startswith("/v1/decisions/")):
        return "decide"
    if path.startswith(_WRITTEN):
        return _CHANGES
    return _SCOPES.get(path) or (_CHANGES if path.startswith(_CHANGED) and method not in _LOOKS else _REST)


def actor_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The key that a request shows, by the part of it that may be shown.

    >>> actor_of([(b"x-api-key", b"hs_0a1b_secret")])
    'key 0a1b'
    """
    parts = (_secret(headers) or "").split("_")
    return f"key {parts[1]}" if len(parts) == 3 else "a request"


def _secret(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The secret that a request shows; empty where it shows something else, or several."""
    found: list[str] = []
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            found.append(rest.strip().decode("latin-1") if scheme.lower() == b"bearer" else "")
        elif name == b"x-api-key":
            found.append(value.decode("latin-1"))
    if not found:
        return None
    return found[0] if len(found) == 1 else ""


def lines_secret(scope: Mapping[str, Any]) -> str | None:
    """The secret that a client of InfluxDB shows: as a token, as the password of Basic, or in the query as `p`.

    >>> lines_secret({"headers": [(b"authorization", b"Token hs_1_2")], "query_string": b"db=metrics"})
    'hs_1_2'
    >>> lines_secret({"headers": [], "query_string": b"db=metrics&u=telegraf&p=hs_1_2"})
    'hs_1_2'
    >>> lines_secret({"headers": [(b"authorization", b"Basic dGVsZWdyYWY6aHNfMV8y")], "query_string": b""})
    'hs_1_2'
    """
    found = [value for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name == "p"]
    rest: list[tuple[bytes, bytes]] = []
    for name, value in scope["headers"]:
        scheme, _, shown = value.partition(b" ")
        if name == b"authorization" and scheme.lower() == b"token":
            found.append(shown.strip().decode("latin-1"))
        elif name == b"authorization" and scheme.lower() == b"basic":
            found.append(_password(shown.strip()))
        else:
            rest.append((name, value))
    secret = _secret(rest)
    found += [] if secret is None else [secret]
    if not found:
        return None
    return found[0] if len(set(found)) == 1 else ""


def _password(encoded: bytes) -> str:
    """The password of Basic authentication; empty where there is none."""
    try:
        return b64decode(encoded, validate=True).partition(b":")[2].decode()
    except ValueError:
        return ""


def _challenge(more: str = "") -> Headers:
    return ((b"www-authenticate", f'Bearer realm="homeostat"{more}'.encode()),)


_UNNAMED = Refusal(
    401, "No API key", "this server answers to API keys",
    "Send a key: `Authorization: Bearer hs_...`; `homeostat keys create` makes one.", _challenge(),
)  # fmt: skip
_UNKNOWN = Refusal(
    401, "API key refused", "the key is not known here, has expired or was revoked, or more than one was sent",
    "Send one live key: `homeostat keys list` shows which there are.", _challenge(', error="invalid_token"'),
)  # fmt: skip
_UNREADABLE = Refusal(
    503, "Keys unavailable", "the API keys could not be read for too long", "Send it again later; the log says why.",
    ((b"retry-after", b"5"),),
)  # fmt: skip


def _beyond(key: Key, scope: str) -> Refusal:
    detail = f"the key {key.id} has no scope {scope}, only {', '.join(key.scopes)}"
    more = f', error="insufficient_scope", scope="{scope}"'
    return Refusal(403, "Scope missing", detail, f"Use a key with the scope {scope}.", _challenge(more))


def _limited(bucket: Bucket, name: str, now_s: float, who: str, fix: str) -> Refusal | None:
    wait_s = bucket.take(now_s)
    if not wait_s:
        return None
    detail = f"{who} {bucket.rate:g} requests a second"
    return Refusal(429, "Too many requests", detail, fix, bucket.headers(name, wait_s))


def documented(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document that says which keys its operations need, and what happens without."""
    from homeostat.serve.openapi import problems

    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key: hs_..."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "an API key: hs_..."},
    }
    if not document["paths"].keys().isdisjoint(LINES):
        basic = {"type": "http", "scheme": "basic", "description": "any name, and an API key as the password"}
        document["components"]["securitySchemes"]["basic"] = basic
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in OPEN or path.startswith(OPEN_BELOW):
                operation["security"] = []
                continue
            scope = scope_for(path, method.upper())
            operation["security"] = [{"bearer": [scope]}, {"header": [scope]}]
            if path in LINES:
                operation["security"].append({"basic": [scope]})
            operation["responses"] |= problems(401, 403, 429, 503)
    return document

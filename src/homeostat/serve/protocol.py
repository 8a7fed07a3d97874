"""HTTP/1.1 on a connection, within limits: what is malformed, too large or too slow is refused and cut off.

uvicorn's protocol with httptools reads and answers; this adds what it leaves open. A request that comes whole, as
nearly all do, costs one look at its headers; clocks are read only where something is missing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sized
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from homeostat.engine.problems import problem
from homeostat.serve.limits import Limits
from homeostat.serve.replies import PROBLEM, encode
from homeostat.serve.sharing import Counts

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_LINGER_S = 2.0  # For the refusal to be read, before what else was sent makes the system drop it.
_MALFORMED = (
    400,
    "Malformed",
    "this is no HTTP request",
    "Send HTTP/1.1, with one host and one way to say the length.",
)
_NO_PROXY = (
    501,
    "Not implemented",
    "this server connects to no others",
    "Send requests for its own paths: see /openapi.json.",
)
_SLICE_BYTES = 16 << 10  # A client may send thousands of requests at once: each slice adds a few hundred at the most.
_WAITING_MAX = 16  # Requests of one connection that wait for their turn before no more of it is read.
_OFFERS = frozenset({b"upgrade", b"http2-settings"})  # Headers, and options of `connection`.


class _Refused(Exception):
    """The headers say something that is not taken; `LimitedProtocol._fault` says what."""


class _Flow(FlowControl):
    """Reads no further while many requests of the connection wait: each takes a hundred times the bytes it came in."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Called after each answer; the request that is being answered is whole while others wait behind it."""
        if len(self._waiting) <= _WAITING_MAX:
            super().resume_reading()


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    limits = Limits()
    counts: Counts | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it, and let other processes know."""
        # uvicorn marks the newest request only. One that is being answered, or waits for its turn, has lost its client
        # as well, and must not write to a transport that is closed.
        for cycle in [self._answering, *(waiting for waiting, _ in self.pipeline)]:
            if cycle is not None and not cycle.response_complete:
                _give_up(cycle)
        self.pipeline.clear()
        self._held.clear()
        super().connection_lost(exc)
        if self.counts is not None:
            self.counts.put(len(self.connections))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and refuse it where there are too many."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._held: deque[memoryview] = deque()
        self._since: float | None = self.loop.time()  # Since when the client has owed us bytes; None while it doesn't.
        self._stuck: float | None = None  # Since when it has left answers unread.
        self._reading = self._headed = self._ended = self._offered = False
        self._answering: RequestResponseCycle | None = None
        self._head_bytes = self._bytes = 0
        self._fault = _MALFORMED
        if len(self.connections) > self.limits.connections_max:
            self._refuse(503, "Too many connections", "no more connections are taken", "Come back a little later, or "
                         "send several requests on one connection.", b"retry-after: 1\r\n")  # fmt: skip

    def data_received(self, data: bytes) -> None:
        """Read on, as far as there is room for further requests; the rest waits for answers."""
        if self._ended:
            return  # All that follows a refusal is dropped.
        if self._held:
            self._held.append(memoryview(data))
        elif len(data) <= _SLICE_BYTES:
            self._unset_keepalive_if_required()
            self._read(data)
        else:
            self._held.append(memoryview(data))
            self._go_on()

    def _go_on(self) -> None:
        """Read what was held back, in slices, until too many requests wait again."""
        while self._held and not self._ended and len(self.pipeline) <= _WAITING_MAX and self.parser is not None:
            self._unset_keepalive_if_required()
            first = self._held[0]
            self._held[0] = first[_SLICE_BYTES:]
            if not self._held[0]:
                self._held.popleft()
            self._read(first[:_SLICE_BYTES])

    def _read(self, data: bytes | memoryview) -> None:
        """Let the parser read on, and note whether anything is still missing."""
        in_head = self._reading and not self._headed
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(*self._fault)
            return
        if self._reading:
            self._incomplete(len(data), in_head)
        elif self.cycle is None or self.cycle.response_complete:
            self._since = self._since or self.loop.time()  # Empty lines between requests.
        else:
            self._since = None

    def _feed(self, data: bytes | memoryview) -> None:
        """Let the parser read on. Raises HttpParserError.

        A client may offer to go on in another protocol (`Upgrade: h2c`, say). The offer is ignored, as RFC 9110 section
        7.8 allows. The parser would take everything behind such headers for that protocol, the body too, so another
        parser reads the same headers without the offer, and goes on from there.
        """
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as offer:
                rest = rest[offer.args[0] :]
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # As uvicorn has it.
            self._offered = False
            self.parser.feed_data(head)

    def _head_without_offer(self) -> bytes:
        """The request's line and headers as they came, but for what offers another protocol."""
        version = self.parser.get_http_version().encode("ascii")
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token.strip() for token in value.split(b",") if token.strip().lower() not in _OFFERS]
                value = b", ".join(kept)
            if name not in _OFFERS and (value or name != b"connection"):
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Answer the next request, and read on."""
        super().on_response_complete()
        if self._held:
            self.loop.call_soon(self._go_on)

    def _incomplete(self, count: int, in_head: bool) -> None:
        """Hold what has come of a request against the limits."""
        if self._since is None:
            self._since = self.loop.time()
        self._bytes += count
        if self._bytes > self.limits.request_bytes_max:
            self._refuse(413, "Too large", f"the request has more than {self.limits.request_bytes_max} bytes",
                         "Send smaller batches.")  # fmt: skip
        elif in_head and not self._headed:
            self._head_bytes += count
            if self._head_bytes > self.limits.head_bytes_max:
                self._refuse(*self._too_long())

    def _too_long(self) -> tuple[int, str, str, str]:
        most = self.limits
        detail = (
            f"the request's line and headers have more than {most.head_bytes_max} bytes, or {most.headers_max} fields"
        )
        return 431, "Headers too large", detail, "Send fewer and shorter headers."

    # Events of the parser.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._reading, self._headed, self._head_bytes, self._bytes = True, False, 0, 0

    def on_headers_complete(self) -> None:
        """Look at the headers as a whole. Ambiguous ones are refused, since a proxy may read them otherwise."""
        size, hosts, strange = len(self.url), 0, False
        version = self.parser.get_http_version()
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                strange = value.lower() != b"chunked" or version != "1.1"
        if size > self.limits.head_bytes_max or len(self.headers) > self.limits.headers_max:
            self._fault = self._too_long()
            raise _Refused
        if strange or hosts > 1 or (hosts == 0 and version != "1.0") or version not in ("1.0", "1.1"):
            raise _Refused
        if self.parser.get_method() == b"CONNECT":
            self._fault = _NO_PROXY
            raise _Refused
        if self.parser.should_upgrade():
            self._offered = True  # `_feed` reads these headers once more.
            return
        super().on_headers_complete()  # It raises for an address that is none.
        self._headed = True

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._offered:
            return
        super().on_message_complete()
        self._reading = self._headed = False

    # Refusals.

    def sweep(self, now: float) -> None:
        """Cut off a client that keeps the server waiting. Called now and then, with the event loop's time."""
        if self.flow.write_paused or self.transport.is_closing():
            self._stuck = self._stuck or now
            if now - self._stuck > self.limits.answer_s_max:
                self.transport.abort()
            return
        self._stuck = None
        if self._since is None or self._ended:
            return
        if self.flow.read_paused:
            self._since = now  # It is the server that reads no further.
        elif now - self._since > self.limits.request_s_max:
            if self._reading:
                self._refuse(408, "Too slow", f"the request was not whole after {self.limits.request_s_max:g} s",
                             "Send it again, faster or in smaller batches.")  # fmt: skip
            else:
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what uvicorn can't read."""
        self._refuse(*_MALFORMED)

    def _refuse(self, status: int, title: str, detail: str, fix: str, more: bytes = b"") -> None:
        """Answer with a problem, and end the connection. Earlier requests on it are answered first, if that can be."""
        self._ended = True
        self._held.clear()
        cycle = self.cycle
        if self._headed:
            if cycle.response_started or self.pipeline:  # It has its answer, or others have to have theirs first.
                self.transport.close()
                return
            _give_up(cycle)
        elif cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False  # The request before is under way, and nothing may be written into its answer.
            return
        body = encode(problem(status, title, detail, fix))
        head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode(), more]
        head += [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
        head.append(b"content-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (PROBLEM, len(body)))
        self.transport.write(b"".join(head) + body)
        most = self.limits.connections_max
        if len(self.connections) > most + most // 10 + 1:
            self.transport.close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)


def _give_up(cycle: RequestResponseCycle) -> None:
    """Let a request find that its client is gone, without being asked to go on (`100 Continue`) first."""
    cycle.disconnected, cycle.waiting_for_100_continue = True, False
    cycle.message_event.set()


def within(limits: Limits, counts: Counts | None = None) -> type[LimitedProtocol]:
    """The protocol, with limits.

    counts : where connections are counted, if others want to know
    """
    members: dict[str, Any] = {"limits": limits, "counts": counts, "__doc__": LimitedProtocol.__doc__}
    return type("LimitedProtocol", (LimitedProtocol,), members)

"""Requests as ASGI messages: their path, type and encoding, and their body, bounded."""

from __future__ import annotations

from typing import Any

from homeostat.serve.replies import Message, Receive

BODY_BYTES_MAX = 8 << 20
_DROPPED_BYTES_MAX = 64 << 20
Scope = dict[str, Any]


class BodyTooLarge(Exception):
    """A body has more bytes than are read."""


class Gone(Exception):
    """The client closed the connection before its request was whole."""


def is_bare(scope: Scope) -> bool:
    """Whether the reply goes without its body, as for HEAD."""
    return bool(scope["method"] == "HEAD")


def content(scope: Scope) -> tuple[bytes, bytes]:
    """The type of a body, and how it is encoded: several encodings, however they are written, with commas between."""
    kind, coding = b"", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = kind or value.partition(b";")[0].strip().lower()
        elif name == b"content-encoding":
            coding = coding + b"," * bool(coding) + value.strip().lower()
    return kind, {b"x-gzip": b"gzip"}.get(coding, coding)


async def body_of(receive: Receive) -> bytes:
    """The request's body. Raises BodyTooLarge, without having kept more than may be; Gone."""
    message: Message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole = bytes(message.get("body", b""))
        if len(whole) > BODY_BYTES_MAX:
            raise BodyTooLarge
        return whole
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise Gone
        size += len(message.get("body", b""))
        if size <= BODY_BYTES_MAX:
            parts.append(message.get("body", b""))
        else:
            parts.clear()  # The rest is read and dropped: most clients look for an answer only when all is sent.
        if size > _DROPPED_BYTES_MAX:
            raise BodyTooLarge
        if not message.get("more_body"):
            if size > BODY_BYTES_MAX:
                raise BodyTooLarge
            return b"".join(parts)
        message = await receive()

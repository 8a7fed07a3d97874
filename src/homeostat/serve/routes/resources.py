"""Parts of requests about stored resources: the query, the JSON object, the idempotency key, and who sends it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from homeostat.config.job_requests import KEY_PATTERN
from homeostat.serve.access import actor_of
from homeostat.serve.bodies import decoded
from homeostat.serve.replies import Headers, Receive
from homeostat.serve.requests import Scope, body_of, content
from homeostat.serve.routes.route import Service

NUMBER_MAX = 10**15
"""The largest number of a page, an entry or a byte that a request may name, as the document says."""
_TAG = re.compile(r'"([0-9]{1,16})"')


class Refused(Exception):
    """A request that can't be done.

    reply : status, title, detail, fix and headers, as `replies.refuse` takes them
    members : of the problem, beside these
    """

    def __init__(
        self, status: int, title: str, detail: str, fix: str, more: Headers = (), members: Mapping[str, Any] = {}
    ) -> None:
        super().__init__(detail)
        self.reply = (status, title, detail, fix, more)
        self.members = members


def query_of(scope: Scope, *known: str) -> dict[str, str]:
    """Those of the known parameters that the query has."""
    asked = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return {name: value for name, value in asked.items() if name in known}


def number_of(asked: Mapping[str, str], name: str, least: int, most: int, usual: int) -> int:
    """A whole number of the query. Raises Refused."""
    text = asked.get(name)
    if text is None:
        return usual
    if not re.fullmatch("[0-9]{1,17}", text) or not least <= int(text) <= most:
        raise unusable(name, text, f"a whole number from {least} to {most}")
    return int(text)


def key_of(scope: Scope) -> str:
    """The idempotency key; empty without one. Raises Refused."""
    found: list[str] = [value.decode("latin-1") for name, value in scope["headers"] if name == b"idempotency-key"]
    if not found:
        return ""
    if len(found) > 1 or not re.fullmatch(KEY_PATTERN, found[0]):
        raise unusable("idempotency-key", found[0], "1 to 100 letters, digits and any of _.:-")
    return found[0]


def take_only(scope: Scope, *methods: str) -> None:
    """Raises Refused where the request has none of these methods."""
    if scope["method"] not in methods:
        allowed = ", ".join(methods)
        more = ((b"allow", allowed.encode()),)
        detail = f"{scope['path'][:256]} takes {allowed}"
        raise Refused(405, "Method not allowed", detail, f"Use {methods[0]}.", more)


def unusable(name: str, value: str, wanted: str) -> Refused:
    """A parameter or header that can't be read."""
    return Refused(422, "Unusable request", f"{name} is {value[:100]!r}", f"It may be: {wanted}.")


def changer(service: Service, scope: Scope) -> str:
    """The key that asks for a change, which takes one in any case. Raises Refused."""
    if service.access is None or not service.access.required:
        place = service.stores.place
        fix = f"Make a key: homeostat keys create NAME --scopes operate {place}; then the server asks for keys."
        if not place:
            fix = (
                "Start the server with --data FOLDER, or on servers with a journal, which keep keys; then make one: "
                "homeostat keys create NAME --scopes operate, with the same option."
            )
        raise Refused(403, "No key", "the app is changed over HTTP only with an API key", fix)
    return actor_of(scope["headers"])


def declared_as_json(scope: Scope) -> None:
    """Raise Refused for what a page of another site could make a browser send."""
    kind, coding = content(scope)
    if kind != b"application/json":
        raise Refused(415, "Not JSON", "the content type is not application/json", "Send application/json.")
    if coding not in (b"", b"identity"):
        raise Refused(415, "Unknown encoding", "the body is encoded", "Send it as it is.")


async def json_object(scope: Scope, receive: Receive, known: Sequence[str]) -> dict[str, Any]:
    """The body, which is one JSON object with these members and no others. Raises Refused, NotJson."""
    declared_as_json(scope)
    body = decoded(await body_of(receive))
    if not isinstance(body, dict):
        raise Refused(422, "Unusable request", "the body is no object", f"Send an object with {', '.join(known)}.")
    unknown = sorted(body.keys() - set(known))
    if unknown:
        detail = f"the body has an unknown member {unknown[0][:100]!r}"
        raise Refused(422, "Unusable request", detail, f"It may have: {', '.join(known)}.")
    return body


def tagged(number: int) -> Headers:
    """The ETag of what has this number."""
    return ((b"etag", f'"{number}"'.encode()),)


def header_of(scope: Scope, wanted: bytes) -> str | None:
    """A header's values, with commas between; None without one."""
    found = [value.decode("latin-1").strip() for name, value in scope["headers"] if name == wanted]
    return ", ".join(found) if found else None


def if_match(scope: Scope) -> int | None:
    """The number that the author had seen; None where the request does not say. Raises Refused."""
    text = header_of(scope, b"if-match")
    if text is None:
        return None
    found = _TAG.fullmatch(text)
    if found is None:
        fix = 'Send the ETag that a GET gave, such as "7".'
        raise Refused(422, "Unusable request", f"if-match is {text[:100]!r}", fix)
    return int(found[1])

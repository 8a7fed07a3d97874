"""`/openapi.json`: the interface as an OpenAPI document."""

from __future__ import annotations

from homeostat.serve.access import documented
from homeostat.serve.openapi import document
from homeostat.serve.replies import JSON, Receive, Send, encode, reply
from homeostat.serve.requests import Scope, is_bare
from homeostat.serve.routes.route import Service


async def get(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The document of the app, as of now."""
    described = document(service.engine.app, service.engine.parts.clock.now_ns(), service.stores)
    keyed = service.access is not None and service.access.required
    text = encode(documented(described) if keyed else described)
    await reply(send, 200, text, JSON, bare=is_bare(scope))

"""`/metrics`: counts for Prometheus."""

from __future__ import annotations

from prometheus_client.exposition import generate_latest

from homeostat.serve.replies import TEXT, Receive, Send, reply
from homeostat.serve.requests import Scope, is_bare
from homeostat.serve.routes.route import Service


async def get(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """All metrics of the engine, as text."""
    await reply(send, 200, generate_latest(service.registry), TEXT, bare=is_bare(scope))

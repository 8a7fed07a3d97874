"""`/v1/decide`: events in, decisions out."""

from __future__ import annotations

from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.batches import answer_all
from homeostat.serve.routes.route import Service


async def post(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Decide one event, or several."""
    await answer_all(service, scope, receive, send, service.engine.answer)

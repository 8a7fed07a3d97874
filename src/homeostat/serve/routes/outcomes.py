"""`/v1/outcomes`: what later turned out, in."""

from __future__ import annotations

from homeostat.engine.turns import OUTCOME_ROWS, SHARED_OUTCOME_ROWS
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.batches import answer_all
from homeostat.serve.routes.route import Service


async def post(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Take in one outcome, or several."""
    rows = SHARED_OUTCOME_ROWS if service.engine.waits_for_servers else OUTCOME_ROWS
    await answer_all(service, scope, receive, send, service.engine.receive, rows)

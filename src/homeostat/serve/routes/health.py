"""`/healthz`: whether the server decides."""

from __future__ import annotations

from homeostat.serve.replies import Receive, Send, encode, refuse, reply
from homeostat.serve.requests import Scope, is_bare
from homeostat.serve.routes.route import AGAIN, Service


async def get(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """ok, or why nothing can be decided."""
    bare = is_bare(scope)
    if service.engine.refused:
        fix = "Its log says why; it goes on by itself once it can."
        await refuse(send, 503, "Unavailable", "nothing can be decided at present", fix, AGAIN, bare=bare)
        return
    state = {"status": "ok", "app": service.engine.app.app, "version": service.engine.parts.loop.stages.version}
    await reply(send, 200, encode(state), bare=bare)

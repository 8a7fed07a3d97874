"""`/v1/decisions/ID`: a decision as it was recorded, with its features, and explained where asked for."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from homeostat.engine.answer_types import InShadow
from homeostat.engine.in_shadow import in_shadow
from homeostat.serve.replies import Receive, Send, encode, refuse, reply
from homeostat.serve.requests import Scope, is_bare
from homeostat.serve.routes.route import Service

BELOW = "/v1/decisions/"
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}


async def get(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The decision of an event id."""
    bare = is_bare(scope)
    event_id = scope["path"][len(BELOW) :]
    asked = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    wishes = {name: _BOOLEAN.get(asked.get(name, "false")) for name in ("explain", "shadow")}
    for name, wish in wishes.items():
        if wish is None:
            detail = f"{name} is {asked[name][:100]!r}"
            await refuse(send, 422, "Unusable request", detail, f"Say {name}=true or {name}=false.", bare=bare)
            return
    explain = bool(wishes["explain"])
    found = await service.turns.call(lambda: service.engine.decision(event_id, features=True, explain=explain))
    if found is None:
        detail = f"no event {event_id[:256]!r} was decided here"
        await refuse(send, 404, "No such decision", detail, "Check the event id.", bare=bare)
        return
    if wishes["shadow"]:
        found["shadow"] = await _in_shadow(service, event_id)
    await reply(send, 200, encode(found), bare=bare)


async def _in_shadow(service: Service, event_id: str) -> list[InShadow]:
    """Challengers' decisions, which are read beside the thread that decides."""
    opens, engine = service.stores.shadow, service.engine
    placed = None if opens is None else await service.turns.call(lambda: engine.placed(event_id))
    if opens is None or placed is None:
        return []
    decisions, row, sequence = placed
    return await asyncio.get_running_loop().run_in_executor(
        None, lambda: in_shadow(opens(), engine.app.actions, decisions, row, sequence)
    )

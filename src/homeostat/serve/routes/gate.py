"""`/v1/gate`: the kill switch of loop 2. It holds at once, for all processes of the app.

Anybody who runs the app may stop loop 2. To let it act again takes a key that may approve plans.
"""

from __future__ import annotations

from typing import Any

from homeostat.engine.gate_record import GateRecord, shown_switch
from homeostat.errors import Unavailable
from homeostat.ports.statements import AlreadyAnswered, NoRoom, Statements, StatementsError
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.resources import changer, json_object, key_of, tagged
from homeostat.serve.routes.route import AGAIN, Service
from homeostat.serve.routes.words import said, unusable_body

PATH, STOPPING, RESUMING = "/v1/gate", "/v1/gate:stop", "/v1/gate:resume"
MEMBERS = ("reason", "actor")
_PROBLEMS: Problems = {
    AlreadyAnswered: problem(409, "Conflict"),
    NoRoom: problem(503, "Store full"),
    StatementsError: problem(503, "Store unusable", more=AGAIN),
    Unavailable: problem(503, "Unavailable", "Send the same request again later, with an Idempotency-Key.", AGAIN),
}


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The state of the kill switch."""
    await answer(service, scope, receive, send, _look, _PROBLEMS)


async def turn(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A word that turns it on, or off."""
    await answer(service, scope, receive, send, _turn, _PROBLEMS)


async def _look(service: Service, scope: Scope, receive: Receive) -> Answer:
    shown = await done(service.stores.statements, _shown, "No gate here", "nothing is done without a person")
    return 200, shown, tagged(shown["number"])


async def _turn(service: Service, scope: Scope, receive: Receive) -> Answer:
    actor, key = changer(service, scope), key_of(scope)
    reason, who = said(await json_object(scope, receive, MEMBERS), actor)
    stop = scope["path"] == STOPPING

    def store_it(store: Statements) -> dict[str, Any]:
        return shown_switch(GateRecord(store).turn(stop, who, reason, key))

    try:
        shown = await done(service.stores.statements, store_it, "No gate here", "nothing is done without a person")
    except ValueError as error:
        raise unusable_body(str(error)) from error
    return 200, shown, tagged(shown["number"])


def _shown(store: Statements) -> dict[str, Any]:
    return shown_switch(GateRecord(store).switch())

"""`/v1/silences`: signals of which nobody wants to hear for a while, by their nodes and kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from homeostat.config.causal import causal_graph
from homeostat.errors import Unavailable
from homeostat.maintain.incident.patterns import doubts, unknown_kind
from homeostat.ports.incidents import Incidents, IncidentsError, SilenceMoved
from homeostat.records.incident_shown import shown_silence
from homeostat.records.incidents import Silence
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.resources import (
    Refused,
    changer,
    header_of,
    if_match,
    json_object,
    key_of,
    tagged,
    take_only,
)
from homeostat.serve.routes.route import AGAIN, Service
from homeostat.serve.routes.words import SPAN, faults_of, said, span_of, unusable_body

ALL, BELOW = "/v1/silences", "/v1/silences/"
NEW_MEMBERS, END_MEMBERS = ("node", "kind", "for", "reason", "actor"), ("reason", "actor")
PATTERN_CHARS_MAX = 200
_ONE = re.compile(r"([0-9a-f]{16})(:end|)")
_LOOKS = (
    'Send a silence such as {"node": "field:*", "kind": "unit", "for": "6h", "reason": "a migration"}: '
    "node or kind or both, and for and reason."
)
_SEE = "See GET /v1/silences for those that hold."
_Found = TypeVar("_Found")


def _moved(error: SilenceMoved) -> Refused:
    found = None if error.found is None else shown_silence(error.found)
    return Refused(412, "Changed meanwhile", str(error), f"{error.remedy}.", members={"found": found})


_PROBLEMS: Problems = {
    SilenceMoved: _moved,
    IncidentsError: problem(503, "Store unusable", more=AGAIN),
    Unavailable: problem(503, "Unavailable", "Send the same request again later, with an Idempotency-Key.", AGAIN),
}


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of silences; a new one."""
    await answer(service, scope, receive, send, _make if scope["method"] == "POST" else _list, _PROBLEMS)


async def handle_one(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One silence, and its end."""
    await answer(service, scope, receive, send, _one, _PROBLEMS)


async def _list(service: Service, scope: Scope, receive: Receive) -> Answer:
    now_ns = service.engine.parts.clock.now_ns()
    found = await _done(service, lambda store: store.silences(now_ns))
    return 200, {"silences": [shown_silence(one) for one in found]}, ()


async def _make(service: Service, scope: Scope, receive: Receive) -> Answer:
    """Let nobody hear of signals for a while. The same node and kind again is the same silence, with another end."""
    actor, key = changer(service, scope), key_of(scope)
    try:
        one = _wished(await json_object(scope, receive, NEW_MEMBERS), actor, key, service.engine.parts.clock.now_ns())
    except Refused as error:
        status, title, detail, fix, more = error.reply
        raise Refused(status, title, detail, _LOOKS if status == 422 else fix, more) from None

    def change(store: Incidents) -> tuple[Silence, bool]:
        kept = store.silences()
        if key and any(other.key == key and other.id != one.id for other in kept):
            raise _other_work(key)
        made = store.silence(one)
        if key and _work(made) != _work(one):
            raise _other_work(key)
        return made, all(other.id != one.id for other in kept)

    made, new = await _done(service, change)
    place = (*tagged(made.revision), (b"location", f"{BELOW}{made.id}".encode()))
    warnings = doubts(made.node, made.kind, causal_graph(service.engine.parts.app).nodes)
    shown = shown_silence(made) | ({"warnings": warnings} if warnings else {})
    return (201 if new else 200), shown, place


def _wished(given: dict[str, Any], actor: str, key: str, now_ns: int) -> Silence:
    """The silence that a body asks for, from now on. Raises Refused."""
    faults = []
    if "node" not in given and "kind" not in given:
        faults.append("a silence is of signals at a node, of a kind, or both: give one of them")
    for name in ("node", "kind"):
        pattern = given.get(name, "*")
        if not isinstance(pattern, str) or not pattern.strip() or len(pattern) > PATTERN_CHARS_MAX:
            faults.append(f"{name} is a pattern of at most {PATTERN_CHARS_MAX} characters, as in field:*")
        elif name == "kind" and (why := unknown_kind(pattern)):
            faults.append(why)
    faults += faults_of(given, SPAN)
    if faults:
        raise unusable_body("; ".join(faults))
    reason, who = said(given, actor)
    silence = Silence.of(given.get("node", "*"), given.get("kind", "*"), now_ns, now_ns + span_of(given), who, reason)
    return replace(silence, key=key)


def _work(one: Silence) -> tuple[str, int, str, str]:
    """The change that a request asks for, at whatever time it comes."""
    return one.id, one.until_ns - one.from_ns, one.actor, one.reason


def _other_work(key: str) -> Refused:
    detail = f"the idempotency key {key} stands for another change of silences already"
    return Refused(409, "Conflict", detail, "Send this change with a new Idempotency-Key.")


async def _one(service: Service, scope: Scope, receive: Receive) -> Answer:
    found = _ONE.fullmatch(scope["path"][len(BELOW) :])
    if found is None:
        raise Refused(404, "Not found", f"there is no {scope['path'][:256]}", _SEE)
    id, ends = found[1], bool(found[2])
    take_only(scope, *(("POST",) if ends else ("GET", "HEAD")))
    if ends:
        return await _end(service, scope, receive, id)
    one = await _done(service, lambda store: _get(store, id))
    same = header_of(scope, b"if-none-match") == f'"{one.revision}"'
    return (304 if same else 200), shown_silence(one), tagged(one.revision)


async def _end(service: Service, scope: Scope, receive: Receive, id: str) -> Answer:
    """End a silence now, on the revision that the author saw."""
    actor, seen, key = changer(service, scope), if_match(scope), key_of(scope)
    reason, who = said(await json_object(scope, receive, END_MEMBERS), actor)
    if seen is None:
        fix = "GET the silence, look at it, and send its ETag as If-Match."
        raise Refused(428, "Precondition missing", "the request does not say which revision it was made on", fix)
    now_ns = service.engine.parts.clock.now_ns()

    def change(store: Incidents) -> Silence:
        one = _get(store, id)
        again = key and one.key == key
        if again and (one.until_ns > now_ns or one.reason != reason):
            raise _other_work(key)
        if one.until_ns <= now_ns and not again:
            raise Refused(409, "Over already", f"the silence {id} is over", "Nothing is left to do.")
        return store.silence(replace(one, until_ns=now_ns, actor=who, reason=reason, key=key), seen)

    made = await _done(service, change)
    return 200, shown_silence(made), tagged(made.revision)


def _get(store: Incidents, id: str) -> Silence:
    found = next((one for one in store.silences() if one.id == id), None)
    if found is None:
        raise Refused(404, "No such silence", f"there is no silence {id}", _SEE)
    return found


async def _done(service: Service, act: Callable[[Incidents], _Found]) -> _Found:
    return await done(service.stores.incidents, act, "No silences here", "it has no silences")

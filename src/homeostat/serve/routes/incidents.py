"""`/v1/incidents` and `/v1/signals`: what was noticed, and people's words on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from homeostat.config.scalars import duration_ns
from homeostat.errors import Unavailable
from homeostat.ports.incidents import IncidentMoved, Incidents, IncidentsError, UnknownIncident
from homeostat.records.incident_shown import shown_change, shown_incident, shown_signal, whole_incident
from homeostat.records.incidents import Incident, Phase
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.resources import (
    NUMBER_MAX,
    Refused,
    changer,
    header_of,
    if_match,
    json_object,
    number_of,
    query_of,
    tagged,
    take_only,
)
from homeostat.serve.routes.route import AGAIN, Service

ALL, BELOW, SIGNALS = "/v1/incidents", "/v1/incidents/", "/v1/signals"
PAGE_MAX = 500
REASON_CHARS_MAX, ACTOR_CHARS_MAX = 1000, 100
CLOSE_MEMBERS, SILENCE_MEMBERS = ("reason", "actor"), ("reason", "actor", "for")
SPAN = "for"
STATES = ("open", "closed", "all")
_THERE = "See GET /v1/incidents for those there are."
_ONE = re.compile(r"([0-9a-f]{4,64})(:close|:silence|)")
_SEE = "See /openapi.json for what there is."
_Found = TypeVar("_Found")


def _moved(error: IncidentMoved) -> Refused:
    found = shown_incident(error.found)
    return Refused(412, "Changed meanwhile", str(error), f"{error.remedy}.", members={"found": found})


_PROBLEMS: Problems = {
    UnknownIncident: problem(404, "Not found", _THERE),
    IncidentMoved: _moved,
    IncidentsError: problem(503, "Store unusable", more=AGAIN),
    Unavailable: problem(503, "Unavailable", "Send the same request again later.", AGAIN),
}


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of incidents."""
    await answer(service, scope, receive, send, _list, _PROBLEMS)


async def handle_one(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One incident; its close, and its silence."""
    await answer(service, scope, receive, send, _one, _PROBLEMS)


async def signals(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of signals."""
    await answer(service, scope, receive, send, _signals, _PROBLEMS)


async def _list(service: Service, scope: Scope, receive: Receive) -> Answer:
    asked = query_of(scope, "state", "limit", "cursor")
    state = asked.get("state", "open")
    if state not in STATES:
        raise Refused(422, "Unusable request", f"state is {state[:100]!r}", f"It may be: {', '.join(STATES)}.")
    wanted = [phase for phase in Phase if state == "all" or (phase == Phase.CLOSED) == (state == "closed")]
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)
    found = await _done(service, lambda store: store.list(wanted, limit, below or None))
    page = [{"number": kept.number, **shown_incident(kept.incident)} for kept in found]
    return 200, {"incidents": page, "next": found[-1].number if len(found) == limit else None}, ()


async def _signals(service: Service, scope: Scope, receive: Receive) -> Answer:
    asked = query_of(scope, "limit", "cursor")
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)
    found = await _done(service, lambda store: store.signals(limit, below or None))
    page = [{"number": kept.number, **shown_signal(kept.signal)} for kept in found]
    return 200, {"signals": page, "next": found[-1].number if len(found) == limit else None}, ()


async def _one(service: Service, scope: Scope, receive: Receive) -> Answer:
    found = _ONE.fullmatch(scope["path"][len(BELOW) :])
    if found is None:
        raise Refused(404, "Not found", f"there is no {scope['path'][:256]}", _THERE)
    id, act = found[1], found[2]
    take_only(scope, *(("POST",) if act else ("GET", "HEAD")))
    if act:
        return await _changed(service, scope, receive, id, act == ":close")

    def look(store: Incidents) -> tuple[Incident, dict[str, Any]]:
        one = store.get(id)
        history = [shown_change(each.number, each.actor, each.incident) for each in store.history(id)]
        return one, whole_incident(one, store.signals_of(one.signals), history)

    one, whole = await _done(service, look)
    tag = tagged(one.revision)
    return (304, None, tag) if header_of(scope, b"if-none-match") == f'"{one.revision}"' else (200, whole, tag)


async def _changed(service: Service, scope: Scope, receive: Receive, id: str, closes: bool) -> Answer:
    """Close or silence an incident, on the revision that the author saw."""
    actor, seen = changer(service, scope), if_match(scope)
    given = await json_object(scope, receive, CLOSE_MEMBERS if closes else SILENCE_MEMBERS)
    faults = faults_of(given, *(() if closes else (SPAN,)))
    if faults:
        raise unusable_body("; ".join(faults))
    reason, who = said(given, actor)
    if seen is None:
        fix = "GET the incident, look at it, and send its ETag as If-Match."
        raise Refused(428, "Precondition missing", "the request does not say which revision it was made on", fix)
    now_ns = service.engine.parts.clock.now_ns()
    until_ns = 0 if closes else now_ns + span_of(given)

    def change(store: Incidents) -> Incident:
        one = store.get(id)
        if one.revision != seen:
            raise IncidentMoved(one)
        if closes and one.phase == Phase.CLOSED:
            raise Refused(409, "Closed already", f"incident {id} is closed: {one.reason}", "Nothing is left to do.")
        made = one.closed(reason, now_ns) if closes else one.silenced(until_ns, reason, now_ns)
        store.write([], [made], who)
        return made

    made = await _done(service, change)
    return 200, shown_incident(made), tagged(made.revision)


def said(given: Mapping[str, Any], key: str) -> tuple[str, str]:
    """The reason of a change, and who it is of: the person that the request names, and its key. Raises Refused."""
    faults = faults_of(given)
    if faults:
        raise unusable_body("; ".join(faults))
    who = given.get("actor", "")
    return given["reason"], f"{who} ({key})" if who else key


def faults_of(given: Mapping[str, Any], *more: str) -> list[str]:
    """All that is wrong with the words of a change.

    more : SPAN where it has an end
    """
    faults, reason, who = [], given.get("reason", ""), given.get("actor", "")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_CHARS_MAX:
        faults.append(f"reason is a sentence of at most {REASON_CHARS_MAX} characters, for those who look later")
    if not isinstance(who, str) or len(who) > ACTOR_CHARS_MAX:
        faults.append(f"actor is a name of at most {ACTOR_CHARS_MAX} characters")
    if SPAN in more:
        try:
            duration_ns(given.get(SPAN))
        except ValueError as error:
            faults.append(f"{SPAN}: {error}")
    return faults


def span_of(given: Mapping[str, Any]) -> int:
    """How long `for` says, in nanoseconds. Raises Refused."""
    try:
        return duration_ns(given.get(SPAN))
    except ValueError as error:
        raise unusable_body(f"{SPAN}: {error}") from None


def unusable_body(detail: str) -> Refused:
    """A body that can't be taken."""
    return Refused(422, "Unusable request", detail[:1000], _SEE)


async def _done(service: Service, act: Callable[[Incidents], _Found]) -> _Found:
    return await done(service.stores.incidents, act, "No incidents here", "it has no incidents")

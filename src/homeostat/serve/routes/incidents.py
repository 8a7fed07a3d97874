"""`/v1/incidents` and `/v1/signals`: what was noticed, and people's words on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from homeostat.engine.post_mortems import FORMS, blocks_of
from homeostat.errors import Unavailable
from homeostat.ports.incidents import IncidentMoved, Incidents, IncidentsError, UnknownIncident
from homeostat.records.incident_shown import shown_change, shown_incident, shown_signal, whole_incident
from homeostat.records.incidents import Incident, Phase
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, Text, answer, done, problem
from homeostat.serve.routes.plans import PLAN_PROBLEMS, changed_plan, response_to, seen_of, tag_of
from homeostat.serve.routes.resources import (
    NUMBER_MAX,
    Refused,
    changer,
    header_of,
    json_object,
    number_of,
    query_of,
    tagged,
    take_only,
)
from homeostat.serve.routes.route import AGAIN, Service
from homeostat.serve.routes.words import SPAN, faults_of, said, span_of, unusable_body

ALL, BELOW, SIGNALS = "/v1/incidents", "/v1/incidents/", "/v1/signals"
PAGE_MAX = 500
CLOSE_MEMBERS, SILENCE_MEMBERS = ("reason", "actor"), ("reason", "actor", "for")
STATES = ("open", "closed", "all")
TEXTS = {"md": b"text/markdown; charset=utf-8", "html": b"text/html; charset=utf-8"}
_THERE = "See GET /v1/incidents for those there are."
_ONE = re.compile(r"([0-9a-f]{4,64})(:close|:silence|:approve|:reject|:edit|/report|)")
_Found = TypeVar("_Found")


def _moved(error: IncidentMoved) -> Refused:
    found = shown_incident(error.found)
    return Refused(412, "Changed meanwhile", str(error), f"{error.remedy}.", members={"found": found})


_PROBLEMS: Problems = {
    UnknownIncident: problem(404, "Not found", _THERE),
    IncidentMoved: _moved,
    IncidentsError: problem(503, "Store unusable", more=AGAIN),
    **PLAN_PROBLEMS,
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
    take_only(scope, *(("POST",) if act.startswith(":") else ("GET", "HEAD")))
    if act == "/report":
        return await _report(service, scope, id)
    if act in (":close", ":silence"):
        return await _changed(service, scope, receive, id, act == ":close")
    if act:
        await _done(service, lambda store: store.get(id))
        return await changed_plan(service, scope, receive, id, act[1:])
    answer_ns = service.engine.parts.app.maintain.gate.answer

    def look(store: Incidents) -> tuple[str, dict[str, Any]]:
        one, response = store.get(id), response_to(service, id)
        history = [shown_change(each.number, each.actor, each.incident) for each in store.history(id)]
        whole = whole_incident(one, store.signals_of(one.signals), history, response, answer_ns)
        return tag_of(one.revision, response), whole

    tag, whole = await _done(service, look)
    more = ((b"etag", tag.encode()),)
    return (304, None, more) if header_of(scope, b"if-none-match") == tag else (200, whole, more)


async def _report(service: Service, scope: Scope, id: str) -> Answer:
    """The post-mortem of an incident, as it is now."""
    form = query_of(scope, "format").get("format", "html")
    if form not in FORMS:
        raise Refused(422, "Unusable request", f"format is {form[:100]!r}", f"It may be: {', '.join(FORMS)}.")
    plans, currency = service.stores.plans, service.engine.parts.app.currency
    blocks = await _done(service, lambda store: blocks_of(store, None if plans is None else plans(), id, currency))
    return 200, Text(TEXTS[form], FORMS[form](blocks).encode("utf-8", "replace")), ()


async def _changed(service: Service, scope: Scope, receive: Receive, id: str, closes: bool) -> Answer:
    """Close or silence an incident, on the revision that the author saw."""
    actor, seen = changer(service, scope), seen_of(scope)[0]
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


async def _done(service: Service, act: Callable[[Incidents], _Found]) -> _Found:
    return await done(service.stores.incidents, act, "No incidents here", "it has no incidents")

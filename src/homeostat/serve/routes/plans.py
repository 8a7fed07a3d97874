"""`/v1/incidents/ID:approve`, `:reject` and `:edit`: a person's word on the plan of an incident.

The word counts for the plan that it names by its hash, and for the revision of the response that its author saw.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from homeostat.config.change_faults import ChangeError
from homeostat.engine.answering import Answering
from homeostat.errors import Conflict
from homeostat.ports.plans import NoResponse, PlansError, ResponseMoved
from homeostat.ports.settings import SettingsError
from homeostat.ports.statements import NoRoom, StatementsError
from homeostat.records.edits import Edit
from homeostat.records.plans import Remedy
from homeostat.records.response_shown import shown_response
from homeostat.records.responses import Answer as Word
from homeostat.records.responses import Approval, Response
from homeostat.serve.replies import Receive
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, problem
from homeostat.serve.routes.resources import Refused, changer, header_of, json_object, key_of
from homeostat.serve.routes.route import AGAIN, Service
from homeostat.serve.routes.words import SPAN, faults_of, said, span_of, unusable_body

ANSWER_MEMBERS = ("plan", "reason", "actor")
EDIT_MEMBERS = ("plan", "step", "drop", "remedy", "body", SPAN, "reason", "actor")
HASH_CHARS = 16
_STEPS_MAX = 1000
_HASH = re.compile(r"[0-9a-f]{16}")
_TAG = re.compile(r'"([0-9]{1,16})(?:\.([0-9]{1,16}))?"')


def _moved(error: ResponseMoved) -> Refused:
    found = shown_response(error.found)
    return Refused(412, "Changed meanwhile", str(error), f"{error.remedy}.", members={"found": found})


PLAN_PROBLEMS: Problems = {
    NoResponse: problem(409, "No plan"),
    ResponseMoved: _moved,
    ChangeError: problem(422, "Unusable request"),
    NoRoom: problem(503, "Store full"),
    Conflict: problem(409, "Void"),
    PlansError: problem(503, "Store unusable", more=AGAIN),
    SettingsError: problem(503, "Store unusable", more=AGAIN),
    StatementsError: problem(503, "Store unusable", more=AGAIN),
}


def response_to(service: Service, id: str) -> Response | None:
    """The response to an incident; None where there is none. To be called in a thread."""
    if service.stores.plans is None:
        return None
    try:
        return service.stores.plans().get(id)
    except NoResponse:
        return None


def tag_of(revision: int, response: Response | None) -> str:
    """The ETag of an incident and of the response to it.

    >>> tag_of(4, None), tag_of(4, Response("i1", 7))
    ('"4"', '"4.7"')
    """
    return f'"{revision}"' if response is None else f'"{revision}.{response.revision}"'


def seen_of(scope: Scope) -> tuple[int | None, int | None]:
    """The revisions of incident and response that the author saw; None each where it is not there. Raises Refused."""
    text = header_of(scope, b"if-match")
    if text is None:
        return None, None
    found = _TAG.fullmatch(text)
    if found is None:
        fix = 'Send the ETag that a GET gave, such as "7" or "7.2".'
        raise Refused(422, "Unusable request", f"if-match is {text[:100]!r}", fix)
    return int(found[1]), None if found[2] is None else int(found[2])


def answering_of(service: Service) -> Answering:
    """Takes the words of people on plans. To be called in a thread. Raises Refused where nothing is kept."""
    stores, app = service.stores, service.engine.parts.app
    if stores.plans is None or stores.settings is None or stores.statements is None:
        fix = "Start the server with --data FOLDER, or on servers with a journal."
        raise Refused(404, "No plans here", "this server keeps nothing, so it has no plans", fix)
    return Answering(stores.plans(), stores.settings(), stores.statements(), app.maintain.gate, app)


async def changed_plan(service: Service, scope: Scope, receive: Receive, id: str, act: str) -> Answer:
    """Approve, reject or edit the plan of an incident."""
    actor, key, (first, seen) = changer(service, scope), key_of(scope), seen_of(scope)
    given = await json_object(scope, receive, EDIT_MEMBERS if act == "edit" else ANSWER_MEMBERS)
    faults = [*_faults(given), *(_edit_faults(given) if act == "edit" else ())]
    if faults:
        raise unusable_body("; ".join(faults))
    reason, who = said(given, actor)
    if first is None:
        fix = "GET the incident, look at its plan, and send its ETag as If-Match."
        raise Refused(428, "Precondition missing", "the request does not say which revision it was made on", fix)
    now_ns = service.engine.parts.clock.now_ns()
    revision = -1 if seen is None else seen

    def store_it() -> tuple[Response, bool]:
        answering = answering_of(service)
        try:
            if act == "edit":
                return answering.edit(id, _edit(given, who, reason, now_ns, key), revision)
            return answering.answer(id, Approval(given["plan"], Word(act), who, reason, now_ns, key), revision)
        except ValueError as error:
            if isinstance(error, ChangeError):
                raise
            raise unusable_body(str(error)) from error

    made, new = await asyncio.get_running_loop().run_in_executor(None, store_it)
    more = ((b"etag", tag_of(first, made).encode()),)
    again = () if new else ((b"idempotency-replayed", b"true"),)
    answer_ns = service.engine.parts.app.maintain.gate.answer
    return 200, {"id": id, **shown_response(made, answer_ns)}, (*more, *again)


def _faults(given: dict[str, Any]) -> list[str]:
    found = faults_of(given)
    plan = given.get("plan")
    if not isinstance(plan, str) or not _HASH.fullmatch(plan):
        found.append(f"plan is the hash of the plan that you saw: {HASH_CHARS} digits from 0 to f")
    return found


def _edit_faults(given: dict[str, Any]) -> list[str]:
    """All that is wrong with the form of an edit."""
    found, step = [], given.get("step", 1)
    if not isinstance(step, int) or isinstance(step, bool) or not 1 <= step <= _STEPS_MAX:
        found.append("step is a number, 1 for the first")
    if not isinstance(given.get("drop", False), bool):
        found.append("drop is true or false")
    if "remedy" in given and given["remedy"] not in list(Remedy):
        found.append(f"remedy is one of {', '.join(Remedy)}")
    if "body" in given and not (isinstance(given["body"], dict) and given["body"]):
        found.append("body is an object with other values of the step")
    if SPAN in given:
        found += faults_of({"reason": "x", SPAN: given[SPAN]}, SPAN)
    return found


def _edit(given: dict[str, Any], who: str, reason: str, now_ns: int, key: str) -> Edit:
    return Edit(
        given["plan"], given.get("step", 1) - 1, who, reason, now_ns, given.get("drop", False),
        Remedy(given["remedy"]) if "remedy" in given else None, given.get("body"),
        span_of(given) if SPAN in given else None, key,
    )  # fmt: skip

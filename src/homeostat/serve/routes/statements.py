"""Questions about decisions and the answers to them, and feedback: `/v1/questions`, `/v1/feedback`.

The words of people are personal: none of them goes into a log or an error.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from homeostat.errors import Unavailable
from homeostat.ports.registry import UnknownVersion
from homeostat.ports.statements import AlreadyAnswered, NoRoom, Statements, StatementsError, UnknownStatement, unknown
from homeostat.records.statements import DECISION, VERSION, Statement, StatementKind, shown
from homeostat.serve.access import actor_of
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.resources import (
    NUMBER_MAX,
    Refused,
    changer,
    json_object,
    key_of,
    number_of,
    query_of,
    tagged,
    take_only,
)
from homeostat.serve.routes.route import AGAIN, Service

QUESTIONS, BELOW, FEEDBACK = "/v1/questions", "/v1/questions/", "/v1/feedback"
DECISIONS, ASKING = "/v1/decisions/", "/question"
ASK_MEMBERS, ANSWER_MEMBERS = ("text", "contact"), ("verdict", "text", "actor", "expected")
FEEDBACK_MEMBERS = ("decision", "version", "kind", "value", "text", "source")
PAGE_MAX = 500
_ONE = re.compile(r"([1-9][0-9]{0,15})(/answer|)")
_SEE = "See /openapi.json for what there is."
_Found = TypeVar("_Found")
_PROBLEMS: Problems = {
    UnknownStatement: problem(404, "Not found"),
    AlreadyAnswered: problem(409, "Conflict"),
    NoRoom: problem(429, "No room", more=((b"retry-after", b"3600"),)),
    StatementsError: problem(503, "Store unusable", more=AGAIN),
    Unavailable: problem(
        503, "Unavailable", "Send the same request again later, with an Idempotency-Key, so that it counts once.", AGAIN
    ),
}


async def ask(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A question about a decision."""
    await answer(service, scope, receive, send, _ask, _PROBLEMS)


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of questions."""
    await answer(service, scope, receive, send, _list, _PROBLEMS)


async def handle_one(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One question, and its answer."""
    await answer(service, scope, receive, send, _one, _PROBLEMS)


async def feedback(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Feedback on a decision or a version, and the list of it."""
    await answer(service, scope, receive, send, _give if scope["method"] == "POST" else _list_feedback, _PROBLEMS)


async def _ask(service: Service, scope: Scope, receive: Receive) -> Answer:
    event_id = scope["path"][len(DECISIONS) : -len(ASKING)]
    _limit(service)
    given = await json_object(scope, receive, ASK_MEMBERS)
    await _decided(service, event_id)
    one = Statement(
        StatementKind.QUESTION, DECISION, event_id, actor=actor_of(scope["headers"]), text=_text(given, "text"),
        contact=_text(given, "contact", ""), key=key_of(scope),
    )  # fmt: skip
    made, new = await _stored(service, one)
    answers = await _done(service, lambda store: store.answers([made.number]))
    place = ((b"location", f"{BELOW}{made.number}".encode()), *tagged(made.number))
    return (201 if new else 200), _with_answer(made, answers), place


async def _give(service: Service, scope: Scope, receive: Receive) -> Answer:
    _limit(service)
    given = await json_object(scope, receive, FEEDBACK_MEMBERS)
    if (DECISION in given) == (VERSION in given):
        raise _unusable("feedback is about either a decision or a version")
    subject = DECISION if DECISION in given else VERSION
    about = _text(given, subject)
    if subject == DECISION:
        await _decided(service, about)
    else:
        about = await _version(service, about)
    value = given.get("value")
    if isinstance(value, list | dict):
        raise _unusable("value is a finite number, a text, true, false or null")
    one = Statement(
        StatementKind.FEEDBACK, subject, about, _text(given, "kind"), value, _text(given, "source"),
        actor_of(scope["headers"]), _text(given, "text", ""), key=key_of(scope),
    )  # fmt: skip
    made, new = await _stored(service, one)
    return (201 if new else 200), shown(made), tagged(made.number)


async def _list(service: Service, scope: Scope, receive: Receive) -> Answer:
    asked = query_of(scope, "open", "limit", "cursor")
    if asked.get("open", "true") not in ("true", "false"):
        raise _unusable("open is true or false")
    is_open = None if "open" not in asked else asked["open"] == "true"
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)

    def look(store: Statements) -> list[dict[str, Any]]:
        found = store.list(StatementKind.QUESTION, limit=limit, below=below or None, is_open=is_open)
        answers = store.answers([one.number for one in found])
        return [_with_answer(one, answers) for one in found]

    found = await _done(service, look)
    return 200, {"questions": found, "next": found[-1]["number"] if len(found) == limit else None}, ()


async def _list_feedback(service: Service, scope: Scope, receive: Receive) -> Answer:
    asked = query_of(scope, "limit", "cursor")
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)
    found = await _done(service, lambda store: store.list(StatementKind.FEEDBACK, limit=limit, below=below or None))
    page = {"feedback": [shown(one) for one in found], "next": found[-1].number if len(found) == limit else None}
    return 200, page, ()


async def _one(service: Service, scope: Scope, receive: Receive) -> Answer:
    found = _ONE.fullmatch(scope["path"][len(BELOW) :])
    if found is None:
        raise Refused(404, "Not found", f"there is no {scope['path'][:256]}", _SEE)
    number, answers = int(found[1]), bool(found[2])
    take_only(scope, *(("POST",) if answers else ("GET", "HEAD")))
    if answers:
        return await _give_answer(service, scope, receive, number)

    def look(store: Statements) -> dict[str, Any]:
        one = store.get(number)
        if one.kind != StatementKind.QUESTION:
            raise unknown(number, "question")
        return _with_answer(one, store.answers([number]))

    return 200, await _done(service, look), tagged(number)


async def _give_answer(service: Service, scope: Scope, receive: Receive, number: int) -> Answer:
    actor = changer(service, scope)
    given = await json_object(scope, receive, ANSWER_MEMBERS)
    expected, who = given.get("expected", 0), _text(given, "actor", "")
    if isinstance(expected, float) and expected.is_integer():
        expected = int(expected)  # JSON does not tell 7.0 from 7.
    if not isinstance(expected, int) or isinstance(expected, bool) or not 0 <= expected < 1 << 62:
        raise _unusable("expected is the number of the answer that is there, 0 for none")
    one = Statement(
        StatementKind.ANSWER, DECISION, "-", _text(given, "verdict"), actor=f"{who} ({actor})" if who else actor,
        text=_text(given, "text"), key=key_of(scope), refers=number,
    )  # fmt: skip
    made, new = await _stored(service, one, expected)
    return (201 if new else 200), shown(made), tagged(made.number)


def _with_answer(one: Statement, answers: Mapping[int, Statement]) -> dict[str, Any]:
    given = answers.get(one.number)
    return {**shown(one), "answer": None if given is None else shown(given)}


async def _decided(service: Service, event_id: str) -> None:
    """Raise Refused where no such event was decided here."""
    if await service.turns.call(lambda: service.engine.find(event_id)) is None:
        detail = f"no event {event_id[:256]!r} was decided here"
        raise Refused(404, "No such decision", detail, "Check the event id.")


async def _version(service: Service, name: str) -> str:
    """A version's full name, where there is a registry that knows; the name as it is, where there is none."""
    registry = service.stores.registry
    if registry is None:
        return name
    try:
        found = await asyncio.get_running_loop().run_in_executor(None, lambda: registry().get(name))
    except UnknownVersion as error:
        raise Refused(404, "No such version", str(error)[:300], error.remedy + ".") from None
    return found.version


async def _stored(service: Service, one: Statement, expected: int | None = None) -> tuple[Statement, bool]:
    """A statement once it is stored, and whether it is new."""

    def store_it(store: Statements) -> tuple[Statement, bool]:
        before, _ = store.head()
        made = store.append(one, expected)
        return made, made.number > before

    try:
        return await _done(service, store_it)
    except ValueError as error:
        raise _unusable(str(error)) from None


async def _done(service: Service, act: Callable[[Statements], _Found]) -> _Found:
    return await done(service.stores.statements, act, "No questions here", "nothing can be asked")


def _limit(service: Service) -> None:
    """Raise Refused where more is written than anybody could read."""
    bucket = service.written
    wait_s = bucket.take(service.engine.parts.clock.monotonic_ns() / 1e9)
    if wait_s:
        detail = f"this server takes {bucket.rate:g} questions and feedback a second"
        raise Refused(429, "Too many", detail, "Come back a little later.", bucket.headers("statements", wait_s))


def _text(given: Mapping[str, Any], name: str, usual: str | None = None) -> str:
    text = given.get(name, usual)
    if text is None and usual is not None:
        return usual
    if not isinstance(text, str):
        raise _unusable(f"{name} is missing" if text is None else f"{name} is a text")
    return text


def _unusable(detail: str) -> Refused:
    return Refused(422, "Unusable request", detail, _SEE)

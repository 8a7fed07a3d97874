"""`/v1/memory`: past incidents as cases, and the notes of people, to list, to show and to search."""

from __future__ import annotations

from typing import Any

from homeostat.errors import Unavailable
from homeostat.ports.memory import Memory, MemoryFault, NoSuchMemory
from homeostat.records.past_text import shown_case, shown_found, shown_note
from homeostat.records.times import time_text
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.resources import Refused, number_of, query_of, unusable
from homeostat.serve.routes.route import AGAIN, Service

ALL, BELOW, SEARCH = "/v1/memory", "/v1/memory/", "/v1/memory:search"
KINDS = ("cases", "notes")
PAGE_MAX, WORDS_MAX = 500, 1000
AT_MAX = 1_000_000
_WITHOUT = ("No memory here", "nothing is remembered")
_PROBLEMS: Problems = {
    NoSuchMemory: problem(404, "Not found", f"See GET {ALL} for what there is."),
    MemoryFault: problem(503, "Store unusable", more=AGAIN),
    Unavailable: problem(503, "Unavailable", "Send the same request again later.", AGAIN),
}


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of cases, or of notes."""
    await answer(service, scope, receive, send, _list, _PROBLEMS)


async def handle_one(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One case or note."""
    await answer(service, scope, receive, send, _one, _PROBLEMS)


async def search(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The passages with most of some words."""
    await answer(service, scope, receive, send, _search, _PROBLEMS)


async def _list(service: Service, scope: Scope, receive: Receive) -> Answer:
    asked = query_of(scope, "of", "limit", "cursor")
    kind = asked.get("of", "cases")
    if kind not in KINDS:
        raise unusable("of", kind, ", ".join(KINDS))
    limit, at = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 0, AT_MAX, 0)

    def look(store: Memory) -> list[dict[str, Any]]:
        """One more than asked for, so that it is known whether there are more."""
        if kind == "cases":
            return [shown_case(one) for one in store.cases(at + limit + 1)[at:]]
        notes = store.notes(at + limit + 1)[at:]
        return [{"name": one.name, "at": time_text(one.at_ns), "characters": len(one.text)} for one in notes]

    found = await done(service.stores.memory, look, *_WITHOUT)
    return 200, {kind: found[:limit], "next": at + limit if len(found) > limit else None}, ()


async def _one(service: Service, scope: Scope, receive: Receive) -> Answer:
    name = scope["path"][len(BELOW) :]

    def look(store: Memory) -> dict[str, Any]:
        try:
            return {"case": shown_case(store.case(name)), "note": None}
        except NoSuchMemory:
            return {"case": None, "note": shown_note(store.note(name))}

    return 200, await done(service.stores.memory, look, *_WITHOUT), ()


async def _search(service: Service, scope: Scope, receive: Receive) -> Answer:
    asked = query_of(scope, "words", "limit")
    words, limit = asked.get("words", ""), number_of(asked, "limit", 1, PAGE_MAX, 10)
    if not words.strip() or len(words) > WORDS_MAX:
        fix = f"Send words of at most {WORDS_MAX} characters, as in ?words=unit+amount."
        raise Refused(422, "Unusable request", "there are no words to look for, or too many", fix)
    found = await done(service.stores.memory, lambda store: store.search(words, limit), *_WITHOUT)
    return 200, {"found": [shown_found(one) for one in found]}, ()

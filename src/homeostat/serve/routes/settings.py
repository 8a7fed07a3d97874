"""`/v1/settings`: the changes to what decides, looked at, previewed, made and undone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.config.change_faults import ChangeError
from homeostat.config.faults import Fault, nearest
from homeostat.config.instants import instant_ns
from homeostat.config.tree import duration_ns
from homeostat.models.deployments import deployable
from homeostat.ports.settings import Settings
from homeostat.records.change_rows import checked, placed, shown
from homeostat.records.changes import Change, ChangeKind
from homeostat.serve import requests
from homeostat.serve.replies import Receive, Send
from homeostat.serve.routes.changes import (
    ALWAYS_NS,
    Answer,
    answer,
    by_key,
    check,
    done,
    expected_of,
    last_number,
    not_as_previewed,
    registry,
    signed,
    store_change,
    text_of,
    unconfirmed,
    unseen,
)
from homeostat.serve.routes.resources import (
    NUMBER_MAX,
    Refused,
    changer,
    header_of,
    if_match,
    json_object,
    key_of,
    number_of,
    query_of,
    tagged,
    take_only,
)
from homeostat.serve.routes.route import Service

ALL, BELOW, PREVIEW = "/v1/settings", "/v1/settings/", "/v1/settings:preview"
PAGE_MAX = 500
MEMBERS = ("kind", "scope", "body", "reason", "actor", "expires", "confirm")
UNDO_MEMBERS = ("reason", "actor")
_ONE = re.compile(r"([1-9][0-9]{0,15})(:undo|)")


@dataclass(frozen=True, slots=True)
class _Wish:
    """A change that a request asks for.

    confirm : the token of a preview; empty without one
    described : the parts of the request that the token covers
    """

    change: Change
    confirm: str
    described: tuple[Any, ...]


async def handle(service: Service, scope: requests.Scope, receive: Receive, send: Send) -> None:
    """The list of changes, and new ones."""
    await answer(service, scope, receive, send, _apply if scope["method"] == "POST" else _list)


async def preview(service: Service, scope: requests.Scope, receive: Receive, send: Send) -> None:
    """A change as it would be, and a token that confirms it."""
    await answer(service, scope, receive, send, _preview)


async def handle_one(service: Service, scope: requests.Scope, receive: Receive, send: Send) -> None:
    """One change, and its undo."""
    await answer(service, scope, receive, send, _one)


async def _list(service: Service, scope: requests.Scope, receive: Receive) -> Answer:
    """A page of changes, newest first; or those in force, now or at a time."""
    asked = query_of(scope, "limit", "cursor", "in_force", "at")
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)
    time_ns = _time_of(asked)

    def look(store: Settings) -> tuple[int, list[Change]]:
        last = last_number(store)
        if time_ns is not None:
            return last, sorted(store.at(time_ns).values(), key=lambda change: change.number)
        end = min(below or last + 1, last + 1)
        first = max(0, end - 1 - limit)
        return last, store.since(first, max(0, end - 1 - first))[::-1]

    last, found = await done(service, look)
    more = tagged(last)
    if header_of(scope, b"if-none-match") == f'"{last}"':
        return 304, None, more
    cursor = found[-1].number if time_ns is None and found and found[-1].number > 1 else None
    return 200, {"last": last, "changes": [shown(change) for change in found], "next": cursor}, more


async def _apply(service: Service, scope: requests.Scope, receive: Receive) -> Answer:
    wish = await _wish(service, scope, receive)
    seen = if_match(scope)
    if seen is None and not wish.confirm:
        raise unseen(
            "Send If-Match with the ETag that GET /v1/settings gave, or `confirm` with the token of a preview."
        )
    deploys = wish.change.kind == ChangeKind.DEPLOY and wish.change.body is not None
    if deploys and not wish.confirm:
        unconfirmed(service)

    def store_it(store: Settings) -> tuple[Change, bool]:
        last = store.last_of(wish.change.where)
        check(service, store, wish.change)
        if wish.confirm and by_key(store, wish.change.where, wish.change.key) is None:
            not_as_previewed(service, wish.confirm, wish.described, last)
        return store_change(service, store, wish.change, expected_of(store, last, seen))

    return await _made(service, store_it)


async def _preview(service: Service, scope: requests.Scope, receive: Receive) -> Answer:
    wish = await _wish(service, scope, receive)

    def look(store: Settings) -> dict[str, Any]:
        last = store.last_of(wish.change.where)
        check(service, store, wish.change)
        planned = deployable(registry(service), wish.change)
        change = placed(checked(planned), 0, service.engine.parts.clock.now_ns(), last)
        return {
            "change": {**shown(change), "number": None}, "last_of_scope": None if last is None else shown(last),
            "confirm": service.confirming.token(wish.described, last, service.engine.parts.clock.now_ns()),
        }  # fmt: skip

    return 200, await done(service, look), ()


async def _one(service: Service, scope: requests.Scope, receive: Receive) -> Answer:
    found = _ONE.fullmatch(scope["path"][len(BELOW) :])
    if found is None:
        raise Refused(404, "Not found", f"there is no {scope['path'][:256]}", "See /openapi.json for what there is.")
    number, undo = int(found[1]), bool(found[2])
    take_only(scope, *(("POST",) if undo else ("GET", "HEAD")))
    if undo:
        return await _undo(service, scope, receive, number)
    change, last = await done(service, lambda store: _with_last(store, number))
    return 200, {**shown(change), "last_of_scope": last}, tagged(last)


async def _undo(service: Service, scope: requests.Scope, receive: Receive, number: int) -> Answer:
    actor = changer(service, scope)
    given = await json_object(scope, receive, UNDO_MEMBERS)
    reason, who = text_of(given, "reason", f"undoes change {number}"), text_of(given, "actor", "")
    key, now_ns = key_of(scope), service.engine.parts.clock.now_ns()

    def store_it(store: Settings) -> tuple[Change, bool]:
        change, _ = _with_last(store, number)
        wish = change.undo(signed(who, actor), reason, key)
        if wish.expires_ns is not None and wish.expires_ns <= now_ns and wish.body is not None:
            detail = f"the time of what was in force before change {number} is over"
            raise Refused(409, "Over", detail, "Make the change that you want instead.")
        return store_change(service, store, wish, number)

    return await _made(service, store_it)


async def _made(service: Service, store_it: Callable[[Settings], tuple[Change, bool]]) -> Answer:
    """The answer that a change was stored: 201, or 200 where its key had stored it before."""
    change, new = await done(service, store_it)
    place = ((b"location", f"{BELOW}{change.number}".encode()), *tagged(change.number))
    return (201 if new else 200), {**shown(change), "last_of_scope": change.number}, place


async def _wish(service: Service, scope: requests.Scope, receive: Receive) -> _Wish:
    """The change of a request. Raises Refused, ChangeError."""
    actor = changer(service, scope)
    given = await json_object(scope, receive, MEMBERS)
    faults = [Fault("change", 1, 1, name, "is missing here") for name in MEMBERS[:4] if name not in given]
    kind, body, now_ns = given.get("kind"), given.get("body"), service.engine.parts.clock.now_ns()
    if "kind" in given and kind not in list(ChangeKind):
        meant = nearest(str(kind), list(ChangeKind))
        faults.append(Fault("change", 1, 1, "kind", f"there is no such kind; known: {', '.join(ChangeKind)}", meant))
    if body is not None and not isinstance(body, dict):
        faults.append(Fault("change", 1, 1, "body", "should be an object, or null for what the app file says"))
    texts = {}
    for name in ("scope", "reason", "actor", "expires", "confirm"):
        texts[name] = given.get(name, "")
        if not isinstance(texts[name], str):
            faults.append(Fault("change", 1, 1, name, "should be text"))
    expires_ns = None
    if texts["expires"] and isinstance(texts["expires"], str):
        try:
            expires_ns = now_ns + duration_ns(texts["expires"])
        except ValueError as error:
            faults.append(Fault("change", 1, 1, "expires", str(error)))
    if faults:
        raise ChangeError(faults)
    who = signed(texts["actor"], actor)
    change = Change(ChangeKind(str(kind)), texts["scope"], body, who, texts["reason"], key_of(scope), expires_ns)
    return _Wish(change, texts["confirm"], (str(kind), texts["scope"], body, texts["expires"]))


def _with_last(store: Settings, number: int) -> tuple[Change, int]:
    found = store.since(number - 1, 1)
    if not found:
        raise Refused(
            404, "No such change", f"there is no change {number}", "See GET /v1/settings for those there are."
        )
    last = store.last_of(found[0].where)
    return found[0], number if last is None else last.number


def _time_of(asked: Mapping[str, str]) -> int | None:
    """The time at which what was in force is asked for; None where the list of changes is."""
    if asked.get("in_force", "false") not in ("true", "false"):
        raise Refused(422, "Unusable request", f"in_force is {asked['in_force'][:100]!r}", "Say true or false.")
    if "at" in asked:
        try:
            return instant_ns(asked["at"])
        except ValueError as error:
            raise Refused(422, "Unusable request", str(error)[:300], "Send an ISO 8601 time.") from None
    return ALWAYS_NS if asked.get("in_force") == "true" else None

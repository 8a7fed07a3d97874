"""`/v1/deployments`: which version had which role from when to when; promoted, rolled back, and previewed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.config.change_faults import ChangeError
from homeostat.config.faults import Fault, nearest
from homeostat.config.instants import instant_ns
from homeostat.engine.applying import Waited, taken_up
from homeostat.errors import Conflict
from homeostat.models.deployments import (
    CHAMPION,
    OVERRIDDEN,
    ROLES,
    binds_fairness,
    deployable,
    deployed_at,
    deployment_of,
    deployments,
    rollback_of,
    scope_of,
    usable,
    version_in,
)
from homeostat.models.judgement import Evidence
from homeostat.models.shown import period
from homeostat.ports.settings import Settings
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.verdicts import Verdict
from homeostat.serve.effects import Busy
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.changes import (
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
    unusable,
)
from homeostat.serve.routes.route import AGAIN, Service

ALL, BELOW = "/v1/deployments", "/v1/deployments/"
PREVIEW, ROLLBACK = "/v1/deployments:preview", "/v1/deployments:rollback"
PAGE_MAX, WAIT_S_MAX, HOURS_MAX = 500, 60, 24 * 7
MEMBERS = ("version", "role", "share", "reason", "actor", "expected", "confirm", "force")
ROLLBACK_MEMBERS = ("role", "reason", "actor", "expected", "confirm")
PREVIEW_MEMBERS = ("version", "rollback", "role", "share", "hours")
_LOOK_S = 0.02
_WAYS = "Send If-Match with the ETag of GET /v1/deployments, `expected` with its `last`, or `confirm` of a preview."


@dataclass(frozen=True, slots=True)
class _Wish:
    """A deployment that a request asks for.

    version, share : None for a rollback
    expected : the last change of the role as its author saw it; None where the body does not say
    force : whether it overrides a bound of fairness
    """

    rollback: bool
    role: str
    version: str | None
    share: float | None
    reason: str
    actor: str
    expected: int | None
    confirm: str
    key: str
    force: bool = False


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The deployments of a role, and a new one."""
    await answer(service, scope, receive, send, _promote if scope["method"] == "POST" else _list)


async def handle_one(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One deployment, and which processes have applied it."""
    await answer(service, scope, receive, send, _one)


async def preview(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A deployment as it would be, its effect, and a token that confirms it."""
    await answer(service, scope, receive, send, _preview)


async def rollback(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Undo the last promotion of a role that has not been undone."""
    await answer(service, scope, receive, send, _rollback)


async def _list(service: Service, scope: Scope, receive: Receive) -> Answer:
    """A page of a role's deployments, newest first; or the one that was in force at a time."""
    asked = query_of(scope, "role", "limit", "cursor", "at")
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)
    role, time_ns = _role(asked.get("role", CHAMPION)), None
    if "at" in asked:
        try:
            time_ns = instant_ns(asked["at"])
        except ValueError as error:
            raise Refused(422, "Unusable request", str(error)[:300], "Send an ISO 8601 time.") from None

    def look(store: Settings) -> tuple[int, dict[str, Any]]:
        last, newest = last_number(store), store.last_of(scope_of(role))
        found = deployments(store, role, limit, below) if time_ns is None else [deployed_at(store, time_ns, role)]
        following = found[-1].number if time_ns is None and len(found) == limit else None
        shown = [period(registry(service), one) for one in found]
        return last, {"role": role, "deployments": shown, "last": 0 if newest is None else newest.number,
                      "next": following}  # fmt: skip

    last, value = await done(service, look)
    more = tagged(last)
    return (304, None, more) if header_of(scope, b"if-none-match") == f'"{last}"' else (200, value, more)


async def _one(service: Service, scope: Scope, receive: Receive) -> Answer:
    text = scope["path"][len(BELOW) :]
    if not re.fullmatch("[1-9][0-9]{0,15}", text):
        raise Refused(404, "Not found", f"there is no {scope['path'][:256]}", "See /openapi.json for what there is.")
    now_ns = service.engine.parts.clock.now_ns()

    def look(store: Settings) -> tuple[dict[str, Any], int]:
        found = deployment_of(store, int(text))
        if found is None:
            fix = "See GET /v1/deployments for those there are."
            raise Refused(404, "No such deployment", f"change {text} is no deployment", fix)
        change = store.since(int(text) - 1, 1)[0]
        waited, _ = taken_up(change, store.processes(), now_ns)
        last = store.last_of(change.where)
        facts = {"everywhere": not waited.waiting, "processes": list(waited.applied), "waiting": waited.waiting}
        return {**period(registry(service), found), "applied": facts}, found.number if last is None else last.number

    value, last = await done(service, look)
    return 200, value, tagged(last)


async def _promote(service: Service, scope: Scope, receive: Receive) -> Answer:
    return await _deploy(service, scope, receive, MEMBERS)


async def _rollback(service: Service, scope: Scope, receive: Receive) -> Answer:
    return await _deploy(service, scope, receive, ROLLBACK_MEMBERS)


async def _deploy(service: Service, scope: Scope, receive: Receive, members: tuple[str, ...]) -> Answer:
    """Store a promotion or a rollback, wait until each process has applied it, and say how far they are."""
    actor = changer(service, scope)
    wait_s = number_of(query_of(scope, "wait"), "wait", 0, WAIT_S_MAX, 5)
    given = await json_object(scope, receive, members)
    wish, seen = _wish(given, actor, key_of(scope), "version" in members), if_match(scope)
    if seen is None and wish.expected is None and not wish.confirm:
        raise unseen(_WAYS)
    if not wish.rollback and not wish.confirm:
        unconfirmed(service)
    fairness = await _fairness(service, wish)

    def store_it(store: Settings) -> tuple[Change, bool]:
        before = by_key(store, scope_of(wish.role), wish.key)
        if before is not None and wish.rollback:
            return _same_rollback(before), False
        if before is not None and before.reason.startswith(f"{wish.reason}{OVERRIDDEN}"):
            return before, False  # The same wish; its reason has got longer.
        change, last = _planned(service, store, wish)
        if before is None:
            _refuse_idle(change, last)
            if wish.confirm:
                not_as_previewed(service, wish.confirm, _described(wish, change), last)
        expected = expected_of(store, last, seen)
        expected = expected if wish.expected is None else min(expected, wish.expected)
        if wish.expected is not None and last is not None and wish.expected > last.number:
            expected = wish.expected  # The store says that there is no such change.
        return store_change(service, store, change, expected, fairness, wish.force)

    change, new = await done(service, store_it)
    waited = await _waited(service, change, wait_s)
    facts = await done(service, lambda store: _shown(service, store, change))
    applied = {"everywhere": not waited.waiting, **waited.as_json()}
    place = ((b"location", f"{BELOW}{change.number}".encode()), *tagged(change.number))
    status = 202 if waited.waiting else 201 if new else 200
    return status, {**facts, "before": version_in(change.before), "applied": applied}, place


async def _preview(service: Service, scope: Scope, receive: Receive) -> Answer:
    changer(service, scope)
    given = await json_object(scope, receive, PREVIEW_MEMBERS)
    back, hours = given.get("rollback", False), given.get("hours", 24)
    if not isinstance(back, bool):
        raise _fault("rollback", "should be true or false")
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 <= hours <= HOURS_MAX:
        raise _fault("hours", f"should be a number from 0 to {HOURS_MAX}; 0 looks at no traffic")
    if back and given.keys() & {"version", "share"}:
        raise _fault("version", "a rollback goes to the version before, so it names none")
    wish = _wish({"reason": "preview", **{k: v for k, v in given.items() if k not in ("rollback", "hours")}}, "preview",
                 "", not back)  # fmt: skip

    def look(store: Settings) -> tuple[Change, Change | None]:
        change, last = _planned(service, store, wish)
        _refuse_idle(change, last)
        return change, last

    change, last = await done(service, look)
    effect, why = await _effect(service, wish, change, float(hours))
    now_ns = service.engine.parts.clock.now_ns()
    return 200, {
        "version": version_in(change.body), "role": change.scope, "before": version_in(None if last is None else
        last.body), "last": 0 if last is None else last.number, "effect": effect, "no_effect": why,
        "confirm": service.confirming.token(_described(wish, change), last, now_ns),
    }, ()  # fmt: skip


async def _effect(
    service: Service, wish: _Wish, change: Change, hours: float
) -> tuple[dict[str, Any] | None, str | None]:
    """The effect on the last hours' traffic, or why there is none. Raises Refused."""
    if not hours or service.stores.effects is None:
        return (
            None,
            "no traffic was asked for" if not hours else "this server keeps no decisions that it could be tried on",
        )
    version = version_in(change.body)
    asked = ("rollback", f"--role={wish.role}") if wish.rollback or version is None else ("promote", version)
    return await _looked(service, asked, hours)


async def _looked(service: Service, asked: tuple[str, ...], hours: float) -> tuple[dict[str, Any] | None, str | None]:
    """The answer of a look at the traffic, or why there is none. Raises Refused."""
    assert service.stores.effects is not None
    try:
        return await service.stores.effects.of(asked, hours)
    except Busy:
        detail = "another preview is looking at the traffic"
        raise Refused(429, "Too busy", detail, "Come back in some seconds, or send hours: 0.", AGAIN) from None


async def _fairness(service: Service, wish: _Wish) -> Evidence | None:
    """The evidence on a version that is to be champion, where bounds of fairness bind; None where none do.

    Raises Refused where nobody can look, and the wish does not override the bounds.
    """
    if wish.rollback or wish.role != CHAMPION:
        return None
    fair = service.engine.app.fairness

    def asked(store: Settings) -> str:
        there = registry(service)
        if there is None or wish.version is None or by_key(store, scope_of(wish.role), wish.key) is not None:
            return ""
        found = usable(there, wish.version)
        return found.version if binds_fairness(found) or (fair is not None and fair.binds) else ""

    version = await done(service, asked)
    if not version:
        return None
    if service.stores.effects is None:
        found: dict[str, Any] | None = None
        trouble: str | None = "this server keeps no decisions that it could be looked at on"
    else:
        found, trouble = await _looked(service, ("promote", version), 0.0)
    why = trouble or str((found or {}).get("no_fairness") or "")
    facts = (found or {}).get("fairness")
    if facts is None and not wish.force:
        fix = "Promote with homeostat models promote, or send force: true with the reason."
        raise Refused(409, "Fairness unknown", f"the fairness of {version} can't be looked at: {why}", fix)
    if facts is None:
        return None
    return Evidence(**{**facts, "verdict": Verdict(facts["verdict"]), "warnings": tuple(facts["warnings"])})


def _planned(service: Service, store: Settings, wish: _Wish) -> tuple[Change, Change | None]:
    """The change that a wish means now, checked, and the last change of its role. Raises what stands against it."""
    if service.stores.registry is None:
        fix = "Start the server with --data FOLDER, or on servers with servers.models and a journal."
        raise Refused(404, "No versions here", "this server keeps no versions of models", fix)
    last = store.last_of(scope_of(wish.role))
    if wish.rollback:
        change, _ = rollback_of(store, wish.actor, wish.reason, wish.role, wish.key)
    else:
        body = {"version": wish.version, **({} if wish.share is None else {"share": wish.share})}
        change = Change(ChangeKind.DEPLOY, wish.role, body, wish.actor, wish.reason, wish.key)
    check(service, store, change)
    return deployable(registry(service), change), last


def _refuse_idle(change: Change, last: Change | None) -> None:
    """Raise Conflict where the role is the version's already."""
    if last is not None and last.body is not None and last.body == change.body and not change.reverts:
        raise Conflict(
            f"{version_in(last.body)} is the {change.scope} already, since change {last.number} by {last.actor}",
            remedy="Nothing has to be done",
        )


def _same_rollback(before: Change) -> Change:
    """The rollback that was stored under a key. Raises Conflict where that is something else."""
    if not before.reverts:
        raise Conflict(
            f"the key {before.key!r} was used for change {before.number}, which is no rollback",
            remedy="Give each request a key of its own",
        )
    return before


def _described(wish: _Wish, change: Change) -> tuple[Any, ...]:
    """The parts of a wish that a token covers."""
    return "rollback" if wish.rollback else "promote", change.scope, change.body


def _shown(service: Service, store: Settings, change: Change) -> dict[str, Any]:
    found = deployment_of(store, change.number)
    assert found is not None
    return period(registry(service), found)


async def _waited(service: Service, change: Change, wait_s: float) -> Waited:
    """How a change was taken up, as soon as every process has applied it, says that it can't, or the time is over."""
    clock = service.engine.parts.clock
    until_ns = clock.monotonic_ns() + int(wait_s * 1e9)
    while True:
        waited, over = await done(service, lambda store: taken_up(change, store.processes(), clock.now_ns()))
        if over or clock.monotonic_ns() >= until_ns:
            return waited
        await asyncio.sleep(_LOOK_S)


def _wish(given: Mapping[str, Any], actor: str, key: str, promotes: bool) -> _Wish:
    """The deployment of a body. Raises ChangeError with every fault."""
    faults = [_at(name, "is missing here") for name in (("version",) if promotes else ()) + ("reason",)
              if name not in given]  # fmt: skip
    texts = {name: given.get(name, "") for name in ("version", "reason", "actor", "confirm")}
    texts["role"] = given.get("role", CHAMPION)
    faults += [_at(name, "should be text") for name, text in texts.items() if not isinstance(text, str)]
    if isinstance(texts["role"], str) and texts["role"] not in ROLES:
        meant = nearest(texts["role"], ROLES)
        faults.append(Fault("change", 1, 1, "role", f"there is no such role; known: {', '.join(ROLES)}", meant))
    share, expected, force = given.get("share"), given.get("expected"), given.get("force", False)
    if not isinstance(force, bool):
        faults.append(_at("force", "should be true or false"))
    if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1):
        faults.append(_at("share", "should be a number above 0 and at most 1"))
    if isinstance(expected, float) and expected.is_integer():
        expected = int(expected)  # JSON does not tell 7.0 from 7.
    if expected is not None and (type(expected) is not int or not 0 <= expected <= NUMBER_MAX):
        faults.append(_at("expected", "should be the number of a change, or 0 for none"))
    if faults:
        raise ChangeError(faults)
    version = texts["version"] if promotes else None
    who = signed(text_of(given, "actor", ""), actor)
    return _Wish(not promotes, texts["role"], version, None if share is None else float(share), texts["reason"], who,
                 expected, texts["confirm"], key, bool(force))  # fmt: skip


def _role(text: str) -> str:
    if text not in ROLES:
        raise unusable("role", text, ", ".join(ROLES))
    return text


def _at(name: str, message: str) -> Fault:
    return Fault("change", 1, 1, name, message)


def _fault(name: str, message: str) -> ChangeError:
    return ChangeError([_at(name, message)])

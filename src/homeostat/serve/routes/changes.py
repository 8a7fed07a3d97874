"""The parts of all resources that make changes of the settings: checked, confirmed, stored once, and answered for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from homeostat.app import NotTrained
from homeostat.config.change_faults import ChangeError, check_change
from homeostat.config.faults import Fault
from homeostat.engine.fusion_changes import check_fusion
from homeostat.errors import Conflict, Unavailable
from homeostat.models.deployments import stored
from homeostat.models.judgement import Evidence
from homeostat.ports.registry import Registry, RegistryError, UnknownVersion
from homeostat.ports.settings import Changed, Settings, SettingsError
from homeostat.records.change_rows import checked, shown
from homeostat.records.changes import Change, Scope
from homeostat.serve import requests
from homeostat.serve.replies import JSON, Headers, Receive, Send, encode, refuse, reply
from homeostat.serve.requests import is_bare
from homeostat.serve.routes.resources import Refused, if_match
from homeostat.serve.routes.route import AGAIN, Service

ALWAYS_NS = (1 << 63) - 1
_LATELY = 1000  # Changes of a scope among which a repeated key is looked for.
_Found = TypeVar("_Found")
Answer = tuple[int, Any, Headers]


async def answer(
    service: Service, scope: requests.Scope, receive: Receive, send: Send, act: Any, unknown: int = 422
) -> None:
    """Reply with what `act` returns: status, value and headers. Errors become problems.

    unknown : the status where there is no such version
    """
    bare = is_bare(scope)
    try:
        status, value, more = await act(service, scope, receive)
    except Refused as error:
        await refuse(send, *error.reply, bare=bare)
    except ChangeError as error:
        await refuse(
            send, 422, "Unusable change", str(error), error.remedy + ".", bare=bare,
            errors=[_as_error(fault) for fault in error.faults],
        )  # fmt: skip
    except UnknownVersion as error:
        title = "No such version" if unknown == 404 else "Unusable change"
        await refuse(send, unknown, title, str(error), error.remedy + ".", bare=bare)
    except NotTrained as error:
        await refuse(send, 422, "Unusable change", str(error), error.remedy + ".", bare=bare)
    except Changed as error:
        status = 412 if if_match(scope) is not None else 409
        await refuse(
            send, status, "Changed meanwhile", str(error), error.remedy + ".", bare=bare, found=shown(error.found)
        )
    except Conflict as error:
        await refuse(send, 409, "Conflict", str(error), error.remedy + ".", bare=bare)
    except (SettingsError, RegistryError) as error:
        await refuse(send, 503, "Store unusable", str(error), error.remedy + ".", AGAIN, bare)
    except Unavailable as error:
        fix = "Send the same request again later, with an Idempotency-Key, so that it counts once."
        await refuse(send, 503, "Unavailable", str(error), fix, AGAIN, bare)
    else:
        await reply(send, status, encode(value) if status != 304 else b"", JSON, more, bare)


async def done(service: Service, act: Callable[[Settings], _Found]) -> _Found:
    """The store's answer, asked for in a thread, since the store waits for a disk or a server. Raises Refused."""
    opened = service.stores.settings
    if opened is None:
        fix = "Start the server with --data FOLDER, or on servers with a journal."
        raise Refused(404, "No settings here", "this server keeps nothing, so it has no settings", fix)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: act(opened()))


def registry(service: Service) -> Registry | None:
    """The registry that versions come from; None where there is none."""
    opened = service.stores.registry
    return None if opened is None else opened()


def check(service: Service, store: Settings, change: Change) -> None:
    """Raise ChangeError where a change does not fit the app, or can't be stored; NotTrained for an unknown fusion."""
    check_change(change, service.engine.app, store.at(ALWAYS_NS).values())
    check_fusion(change, store, registry(service))
    try:
        checked(change)
    except ValueError as error:
        raise ChangeError([Fault("change", 1, 1, "change", str(error))]) from error


def store_change(
    service: Service, store: Settings, change: Change, expected: int, fairness: Evidence | None = None,
    force: bool = False,
) -> tuple[Change, bool]:  # fmt: skip
    """A change once it is stored, and whether it is new.

    fairness, force : see `models.deployments.promote`
    """
    last = store.last_of(change.where)
    try:
        made = stored(store, registry(service), change, expected, fairness=fairness, force=force)
    except ValueError as error:
        raise ChangeError([Fault("change", 1, 1, "change", str(error))]) from error
    return made, last is None or made.number > last.number


def expected_of(store: Settings, last: Change | None, seen: int | None) -> int:
    """The number of the last change of a scope as its author saw it, by the ETag that they sent. Raises Refused.

    last : of the scope; seen : the ETag, None without one. A key that was used before still finds its change.
    """
    expected = 0 if last is None else last.number
    if seen is None:
        return expected
    if seen > last_number(store):  # Nobody was given it here: the settings may have been lost since.
        fix = "GET it again, look at it, and send the ETag of that."
        raise Refused(412, "Changed meanwhile", f"there is no change {seen} that this could follow", fix)
    return min(expected, seen)


def by_key(store: Settings, where: Scope, key: str) -> Change | None:
    """The change of a scope that was stored lately under an idempotency key; None where there is none."""
    if not key:
        return None
    return next((one for one in store.history(where, limit=_LATELY) if one.key == key), None)


def last_number(store: Settings) -> int:
    """The number of the last change. A store may know it a moment later than it is stored."""
    last = store.last
    newer = store.since(last)
    return newer[-1].number if newer else last


def text_of(given: Mapping[str, Any], name: str, usual: str) -> str:
    """A member that is a text. Raises ChangeError where it is something else."""
    text = given.get(name, usual)
    if not isinstance(text, str):
        raise ChangeError([Fault("change", 1, 1, name, "should be text")])
    return text


def signed(who: str, actor: str) -> str:
    """The actor on record: the key alone, or the person that it says is behind it."""
    return f"{who} ({actor})" if who else actor


def not_as_previewed(service: Service, token: str, wish: tuple[Any, ...], last: Change | None) -> None:
    """Raise Refused where a token does not confirm a wish in this state."""
    if not service.confirming.confirms(token, wish, last, service.engine.parts.clock.now_ns()):
        fix = "Ask for a preview again, and look at it."
        detail = "the change or its scope is another than in the preview, or the preview is older than 15 minutes"
        raise Refused(409, "Not as previewed", detail, fix)


def unseen(ways: str) -> Refused:
    """The problem of a change that does not say which state it was made on."""
    return Refused(428, "Precondition missing", "the request does not say which state it was made on", ways)


def unconfirmed(service: Service) -> None:
    """Raise Refused for a deployment without a preview's token, where the app asks for one."""
    if service.engine.app.deployments.confirm:
        fix = "POST /v1/deployments:preview, look at it, and send its `confirm`."
        raise Refused(428, "Preview missing", "this app asks for a preview before each promotion", fix)


def _as_error(fault: Fault) -> dict[str, str]:
    return {"field": fault.path, "value": fault.nearest or "", "reason": fault.message}

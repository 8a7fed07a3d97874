"""`/v1/models`: the versions of the app's models, with where each comes from and when it decided. To look at only.

A bundle is a folder of files that decide, so it comes in where files come in: `homeostat models import`, not here.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar

from homeostat.models.deployments import deployments, roles
from homeostat.models.shown import period, summary
from homeostat.ports.registry import Registry
from homeostat.ports.settings import Settings
from homeostat.serve.replies import Headers, Receive, Send, encode
from homeostat.serve.requests import Scope
from homeostat.serve.routes.changes import Answer, answer, done
from homeostat.serve.routes.resources import NUMBER_MAX, Refused, header_of, number_of, query_of
from homeostat.serve.routes.route import Service

ALL, BELOW = "/v1/models", "/v1/models/"
PAGE_MAX = 500
_PERIODS_MAX = 100  # In which a version was champion, of those that are shown with it.
_Found = TypeVar("_Found")


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of versions."""
    await answer(service, scope, receive, send, _list)


async def handle_one(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One version."""
    await answer(service, scope, receive, send, _one, unknown=404)


async def _list(service: Service, scope: Scope, receive: Receive) -> Answer:
    """A page of versions, newest first."""
    asked = query_of(scope, "limit", "cursor")
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)

    def look(registry: Registry, settings: Settings) -> dict[str, Any]:
        has = roles(settings)
        found = registry.versions(limit, below or None)
        following = found[-1].number if len(found) == limit and found[-1].number > 1 else None
        return {"versions": [summary(one, has.get(one.version, [])) for one in found], "next": following}

    return _unless_seen(scope, await _looked(service, look))


async def _one(service: Service, scope: Scope, receive: Receive) -> Answer:
    """A version by its name, the beginning of it, or its number."""
    name = scope["path"][len(BELOW) :]

    def look(registry: Registry, settings: Settings) -> dict[str, Any]:
        one = registry.get(name)
        was = [it for it in deployments(settings) if it.version == one.version][:_PERIODS_MAX]
        return {
            **summary(one, roles(settings).get(one.version, [])), "lineage": one.lineage.as_json(),
            "champion": [period(registry, it) for it in was],
        }  # fmt: skip

    return _unless_seen(scope, await _looked(service, look))


async def _looked(service: Service, look: Callable[[Registry, Settings], _Found]) -> _Found:
    """The finding of a look at versions and settings, in a thread. Raises Refused where there are no versions."""
    opened = service.stores.registry
    if opened is None:
        fix = "Start the server with --data FOLDER, or on servers with servers.models and a journal."
        raise Refused(404, "No versions here", "this server keeps no versions of models", fix)
    return await done(service, lambda store: look(opened(), store))


def _unless_seen(scope: Scope, value: Any) -> Answer:
    """The answer, with an ETag of its content; 304 without it where the client has seen just that."""
    tag = f'"{sha256(encode(value)).hexdigest()[:32]}"'
    more: Headers = ((b"etag", tag.encode()),)
    return (304, None, more) if header_of(scope, b"if-none-match") == tag else (200, value, more)

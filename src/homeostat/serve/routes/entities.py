"""`/v1/entities/KIND/ID`: an entity as its decisions, the limits on its kind, and the lists that it is on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.config.instants import since_ns, until_ns
from homeostat.config.tree import ListEntry
from homeostat.ports.decision_lists import EntityCounts
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.times import time_text
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, answer
from homeostat.serve.routes.decision_lists import PATIENCE_S, PROBLEMS, TEXT_MAX, looked
from homeostat.serve.routes.resources import Refused
from homeostat.serve.routes.route import Service

BELOW = "/v1/entities/"


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One entity. An entity that nobody has seen yet has no decisions, and is no fault."""
    await answer(service, scope, receive, send, _one, PROBLEMS)


async def _one(service: Service, scope: Scope, receive: Receive) -> Answer:
    kind, slash, key = scope["path"][len(BELOW) :].partition("/")
    known = service.engine.app.events.entities
    if not slash or not key or kind not in known:
        fix = f"Ask for {BELOW}KIND/ID, with a kind of {', '.join(sorted(known))}."
        raise Refused(404, "Not found", f"there is no {scope['path'][:256]}", fix)
    if len(key) > TEXT_MAX:
        raise Refused(422, "Unusable request", f"the id has more than {TEXT_MAX} characters", "Check the id.")
    now_ns = service.engine.parts.clock.now_ns()
    counts = await looked(service, lambda lists: lists.counts((kind, key), PATIENCE_S))
    in_force = service.engine.parts.loop.stages.in_force
    return 200, {
        "kind": kind, "id": key, **_decided(counts), "as_of": time_text(now_ns),
        "limits": [_limit(one) for one in in_force if one.where == (ChangeKind.RATE, kind) and one.body is not None],
        "lists": list(_lists(service, in_force, kind, key, now_ns)),
    }, ()  # fmt: skip


def _decided(counts: EntityCounts) -> dict[str, Any]:
    found: dict[str, Any] = {
        "decisions": sum(counts.actions.values()), "actions": dict(counts.actions), "degraded": counts.degraded,
        "first": None if counts.first_ns is None else time_text(counts.first_ns),
        "last": None if counts.last_ns is None else time_text(counts.last_ns),
    }  # fmt: skip
    for name, at_ns in (("scanned_to", counts.scanned_ns), ("kept_since", counts.kept_since_ns)):
        if at_ns is not None:
            found[name] = time_text(at_ns)
    return found


def _limit(change: Change) -> dict[str, Any]:
    body = change.body or {}
    return {
        "number": change.number, "count": body["count"], "per": str(body["per"]), "action": body["action"],
        "until": None if change.expires_ns is None else time_text(change.expires_ns),
        "reason": change.reason, "actor": change.actor,
    }  # fmt: skip


def _lists(
    service: Service, in_force: Iterable[Change], kind: str, key: str, now_ns: int
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """The lists that hold an id now, with the entries of the settings in place of those of the app file."""
    changed = {one.where.name: one for one in in_force if one.where.kind is ChangeKind.LIST and one.body is not None}
    for name, declared in service.engine.app.guards.lists.items():
        if declared.of != kind:
            continue
        change = changed.get(name)
        entries: Iterable[Any] = declared.entries
        source = "the app file"
        if change is not None and change.body is not None:
            entries, source = change.body["entries"], f"change {change.number} by {change.actor}"
        for entry in entries:
            own, since, until = _parts(entry)
            if own == key and since_ns(since) <= now_ns < until_ns(until):
                yield {"list": name, "until": None if until is None else time_text(until_ns(until)), "source": source}
                break


def _parts(entry: str | int | ListEntry | Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Key, since and until of an entry, however it is written."""
    if isinstance(entry, ListEntry):
        return str(entry.key), entry.since, entry.until
    if isinstance(entry, Mapping):
        return str(entry["key"]), entry.get("since"), entry.get("until")
    return str(entry), None, None

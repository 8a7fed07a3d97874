"""`/v1/audit`: who changed what and why, the newest first, and how far the audit trail's chain is verified.

Changes of the settings, statements of people and processes, and changes of incidents are searched together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from homeostat.adapters.disk.audit.growing import GrowingChain
from homeostat.errors import HomeostatError
from homeostat.ports.incidents import Incidents, IncidentsError
from homeostat.ports.settings import Settings, SettingsError
from homeostat.ports.statements import Statements, StatementsError
from homeostat.records.statements import StatementKind
from homeostat.records.times import time_text
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.decision_lists import PROBLEMS
from homeostat.serve.routes.health_figures import span_of
from homeostat.serve.routes.resources import number_of, query_of, unusable
from homeostat.serve.routes.route import AGAIN, Service

PATH = "/v1/audit"
PAGE_MAX, TEXT_MAX, CURSOR_MAX = 500, 200, 10**6
NEWEST = 2_000  # Of each kind of record, those that are searched.
_UNUSABLE = problem(503, "Store unusable", more=AGAIN)
_PROBLEMS: Problems = {
    SettingsError: _UNUSABLE, StatementsError: _UNUSABLE, IncidentsError: _UNUSABLE, **PROBLEMS
}  # fmt: skip
Found = dict[str, Any]


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A page of the record."""
    await answer(service, scope, receive, send, _page, _PROBLEMS)


async def _page(service: Service, scope: Scope, receive: Receive) -> Answer:
    asked, (since_ns, until_ns) = query_of(scope, "actor", "action", "object", "limit", "cursor"), span_of(scope)
    for name in ("actor", "action", "object"):
        if len(asked.get(name, "")) > TEXT_MAX:
            raise unusable(name, asked[name], f"a text of at most {TEXT_MAX} characters")
    limit, at = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 0, CURSOR_MAX, 0)
    stores, whole = service.stores, True
    found: list[Found] = []
    looks: tuple[tuple[Any, Callable[[Any], list[Found]]], ...] = (
        (stores.settings, changes_of), (stores.statements, statements_of), (stores.incidents, incidents_of),
    )  # fmt: skip
    for opens, look in looks:
        if opens is not None:
            records = await done(opens, look, "No record here", "nothing is on record")
            whole = whole and len(records) < NEWEST
            found += records
    chosen = [one for one in found if since_ns <= one["at_ns"] < until_ns and fits(one, asked)]
    chosen.sort(key=lambda one: (one["at_ns"], one["record"], one["number"]), reverse=True)
    items = [{"at": time_text(one["at_ns"]), **_without_time(one)} for one in chosen[at : at + limit]]
    following = at + limit if len(chosen) > at + limit else None
    now_ns = service.engine.parts.clock.now_ns()
    page = {"items": items, "next_cursor": None if following is None else str(following), "whole": whole}
    return 200, {**page, "as_of": time_text(now_ns), "chain": await _chain(stores.trail)}, ()


def fits(one: Found, asked: dict[str, str]) -> bool:
    """Whether each part of a search is in its member of a record, whatever the case.

    >>> fits({"actor": "Ann (key 1)", "action": "rule", "object": "velocity"}, {"actor": "ann", "limit": "5"})
    True
    """
    return all(asked[name].lower() in one[name].lower() for name in ("actor", "action", "object") if name in asked)


def changes_of(store: Settings) -> list[Found]:
    """The newest changes of the settings."""
    return [
        _record("settings", one.number, one.at_ns, one.actor, str(one.kind), one.scope, one.reason)
        for one in store.since(max(0, store.last - NEWEST))
    ]


def statements_of(store: Statements) -> list[Found]:
    """The newest statements; their words stay where they are, since they are personal."""
    found = [one for kind in StatementKind for one in store.list(kind, limit=NEWEST)]
    found.sort(key=lambda one: one.number)
    return [
        _record("statement", one.number, one.at_ns, one.actor or one.source, _named(str(one.kind), one.topic),
                f"{one.subject} {one.about}", "")
        for one in found[-NEWEST:]
    ]  # fmt: skip


def incidents_of(store: Incidents) -> list[Found]:
    """The changes of the newest incidents."""
    found = [one for kept in store.list((), NEWEST // 20) for one in store.history(kept.incident.id)]
    return [
        _record("incident", one.number, one.incident.updated_ns, one.actor, str(one.incident.phase),
                f"incident {one.incident.id}", one.incident.reason)
        for one in found[:NEWEST]
    ]  # fmt: skip


def _named(kind: str, topic: str) -> str:
    return f"{kind}: {topic}" if topic else kind


def _record(record: str, number: int, at_ns: int, actor: str, action: str, object: str, reason: str) -> Found:
    return {
        "record": record, "number": number, "at_ns": at_ns, "actor": actor, "action": action, "object": object,
        "reason": reason,
    }  # fmt: skip


def _without_time(one: Found) -> Found:
    return {name: value for name, value in one.items() if name != "at_ns"}


async def _chain(trail: GrowingChain | None) -> Found | None:
    """How far the trail's lines follow from each other; None where there is no trail here."""
    if trail is None:
        return None
    try:
        state = await asyncio.get_running_loop().run_in_executor(None, trail.state)
    except HomeostatError as error:
        return {"verified_to": 0, "head": "", "to_end": False, "fault": str(error)}
    return {"verified_to": state.lines, "head": state.head, "to_end": state.to_end, "fault": state.fault or None}

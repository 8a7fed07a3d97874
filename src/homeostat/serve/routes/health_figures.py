"""`/v1/health/system`, `/v1/health/features` and `/v1/fusion`: a process's figures, signals on data, and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.config.instants import instant_ns
from homeostat.engine.health_ring import Point
from homeostat.ports.decision_lists import EVER_NS, NEVER_NS
from homeostat.ports.incidents import Incidents, IncidentsError, KeptSignal
from homeostat.ports.settings import Settings
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.changes import Scope as ChangeScope
from homeostat.records.incident_shown import shown_signal
from homeostat.records.times import time_text
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.decision_lists import PROBLEMS
from homeostat.serve.routes.resources import query_of, unusable
from homeostat.serve.routes.route import AGAIN, Service

SYSTEM, FEATURES, FUSION = "/v1/health/system", "/v1/health/features", "/v1/fusion"
SIGNALS_MAX = 1000
_PLACES = ("feature:", "field:")
_CHANGES_MAX = 100
_PROBLEMS: Problems = {IncidentsError: problem(503, "Store unusable", more=AGAIN), **PROBLEMS}


async def system(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The figures of this process over the last day."""
    await answer(service, scope, receive, send, _system, _PROBLEMS)


async def features(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The fields and features, with the signals on each."""
    await answer(service, scope, receive, send, _features, _PROBLEMS)


async def fusion(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The fusion of scores: its weights now, and what changed them."""
    await answer(service, scope, receive, send, _fusion, _PROBLEMS)


def span_of(scope: Scope) -> tuple[int, int]:
    """`from` and `to` of the query, in nanoseconds. Raises Refused."""
    asked, found = query_of(scope, "from", "to"), []
    for name, usual in (("from", EVER_NS), ("to", NEVER_NS)):
        text = asked.get(name)
        try:
            found.append(usual if text is None else instant_ns(text))
        except ValueError:
            raise unusable(name, text or "", "an ISO 8601 time such as 2026-01-30T12:00:00Z") from None
    return found[0], found[1]


async def _system(service: Service, scope: Scope, receive: Receive) -> Answer:
    since_ns, until_ns = span_of(scope)
    points = service.health.between(since_ns, until_ns)
    now_ns = service.engine.parts.clock.now_ns()
    return 200, {"points": [_point(one) for one in points], "as_of": time_text(now_ns)}, ()


def _point(one: Point) -> dict[str, Any]:
    return {"at": time_text(one.at_ns), **one.figures, "actions": dict(one.actions), "parts": dict(one.parts)}


async def _features(service: Service, scope: Scope, receive: Receive) -> Answer:
    since_ns, until_ns = span_of(scope)

    def look(store: Incidents) -> Sequence[KeptSignal]:
        return store.signals(SIGNALS_MAX)

    found: Sequence[KeptSignal] = ()
    if service.stores.incidents is not None:
        found = await done(service.stores.incidents, look, "No signals here", "nothing is watched")
    plan = service.engine.parts.loop.stages
    names = [f"field:{name}" for name in service.engine.app.events.fields]
    names += [f"feature:{name}" for name in plan.what_if.plan.names] if plan.what_if is not None else []
    by_node: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    seen: set[tuple[str, int]] = set()
    for kept in found:  # The newest first: an earlier word on the same change says less.
        one = kept.signal
        key = (one.series.key, one.since_ns)
        if one.series.node.startswith(_PLACES) and key not in seen and since_ns <= one.at_ns < until_ns:
            by_node.setdefault(one.series.node, []).append(shown_signal(one))
        seen.add(key)
    now_ns = service.engine.parts.clock.now_ns()
    items = [_place(node, signals) for node, signals in by_node.items()]
    items.sort(key=lambda item: (item["still"] == 0, -item["still"], item["node"]))
    return 200, {"features": items, "as_of": time_text(now_ns), "watched": bool(service.stores.incidents)}, ()


def _place(node: str, signals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    role, _, name = node.partition(":")
    still = sum(bool(one["still"]) for one in signals)
    return {"node": node, "role": role, "name": name, "still": still, "signals": list(signals)}


async def _fusion(service: Service, scope: Scope, receive: Receive) -> Answer:
    stages, now_ns = service.engine.parts.loop.stages, service.engine.parts.clock.now_ns()
    weights: Mapping[str, float] = getattr(stages.fusion, "weights", dict)()
    moved: Mapping[str, float] = getattr(stages.fusion, "multipliers", dict)()
    changes: list[Change] = []
    if service.stores.settings is not None:

        def look(store: Settings) -> list[Change]:
            found = [
                *store.history(ChangeScope(ChangeKind.FUSION, "app"), limit=_CHANGES_MAX),
                *store.history(ChangeScope(ChangeKind.LEARNING, "fusion"), limit=_CHANGES_MAX),
                *store.history(ChangeScope(ChangeKind.STATE, "fusion"), limit=_CHANGES_MAX),
            ]  # fmt: skip
            return sorted(found, key=lambda change: change.number, reverse=True)[:_CHANGES_MAX]

        changes = await done(service.stores.settings, look, "No settings here", "nothing is changed")
    out = stages.panel.out()
    return 200, {
        "kind": service.engine.app.fusion.kind, "version": stages.version, "learns": _learns(service),
        "scorers": [
            {"name": name, "weight": weights.get(name), "moved": moved.get(name), "out": name in out}
            for name in stages.panel.names
        ],
        "changes": [_change(one) for one in changes], "as_of": time_text(now_ns),
    }, ()  # fmt: skip


def _learns(service: Service) -> bool:
    """Whether outcomes move the weights: the fusion is one that learns, and neither app file nor settings stop it."""
    app, in_force = service.engine.app, service.engine.parts.loop.stages.in_force
    stopped = any(
        one.where == (ChangeKind.LEARNING, "fusion") and (one.body or {}).get("on") is False for one in in_force
    )
    return hasattr(service.engine.parts.loop.stages.fusion, "multipliers") and app.learning.fusion and not stopped


def _change(one: Change) -> dict[str, Any]:
    return {
        "number": one.number, "at": time_text(one.at_ns), "kind": str(one.kind), "scope": one.scope,
        "actor": one.actor, "reason": one.reason,
    }  # fmt: skip

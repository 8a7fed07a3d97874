"""`/v1/overview` and `/v1/alerts`: how the app fares, what waits for a person, and what is wrong.

Each part comes from what measures or keeps it already. A part whose store fails is null and named in `unavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from homeostat.config.gate import Levels
from homeostat.engine.gate_record import GateRecord, shown_switch
from homeostat.errors import HomeostatError
from homeostat.models.deployments import deployed_at
from homeostat.ports.incidents import Incidents
from homeostat.ports.settings import Settings
from homeostat.records.incident_shown import shown_incident
from homeostat.records.incidents import Incident, Phase
from homeostat.records.response_shown import shown_response
from homeostat.records.responses import Response
from homeostat.records.times import time_text
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, answer, done
from homeostat.serve.routes.decision_lists import PROBLEMS
from homeostat.serve.routes.route import Service
from homeostat.serve.stores import Once

PATH, ALERTS = "/v1/overview", "/v1/alerts"
_INCIDENTS_MAX = 500
_NEWEST = 10
_OPEN = tuple(phase for phase in Phase if phase is not Phase.CLOSED)
_Store = TypeVar("_Store")
_Found = TypeVar("_Found")


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The overview."""
    await answer(service, scope, receive, send, _overview, PROBLEMS)


async def alerts(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Everything that is wrong at present."""
    await answer(service, scope, receive, send, _alerts, PROBLEMS)


class _Parts:
    """Asks stores, and notes those that fail."""

    def __init__(self) -> None:
        self.unavailable: list[str] = []

    async def of(self, name: str, opens: Once[Any] | None, look: Callable[[Any], _Found]) -> _Found | None:
        """The result of a look; None where there is no such store, or it fails."""
        if opens is None:
            return None
        try:
            return await done(opens, look, name, "")
        except HomeostatError:
            self.unavailable.append(name)
            return None


async def _overview(service: Service, scope: Scope, receive: Receive) -> Answer:
    engine, parts, stores = service.engine, _Parts(), service.stores
    now_ns, stages = engine.parts.clock.now_ns(), engine.parts.loop.stages
    is_open = await parts.of("incidents", stores.incidents, _open_incidents)
    answer_ns = engine.parts.app.maintain.gate.answer
    waiting = await parts.of("plans", stores.plans, lambda store: _waiting(store.list(), answer_ns))
    switch = await parts.of("gate", stores.statements, lambda store: shown_switch(GateRecord(store).switch()))
    champion = await parts.of("deployments", stores.settings, lambda store: _since(store, now_ns))
    return 200, {
        "app": engine.app.app, "as_of": time_text(now_ns), "trouble": engine.trouble or None, "notes": engine.notes(),
        "traffic": _traffic(service), "deadline_ms": None if engine.app.deadline is None else engine.app.deadline / 1e6,
        "champion": {"version": stages.version, "since": champion},
        "canary": None if stages.canary is None else {"version": stages.canary.version},
        "incidents": None if is_open is None else {
            "open": len(is_open), "newest": [_short(one) for one in is_open[:_NEWEST]],
        },
        "plans": waiting, "autonomy": _autonomy(service), "kill_switch": switch,
        "unavailable": parts.unavailable,
    }, ()  # fmt: skip


def _traffic(service: Service) -> dict[str, Any] | None:
    """The last minute of this process; None before its first ten seconds are over."""
    minute = service.health.minute()
    if minute is None:
        return None
    total = sum(minute.actions.values())
    figures = minute.figures
    return {
        "to": time_text(minute.at_ns), "decisions_per_s": figures["decisions_per_s"],
        "errors_per_s": figures["errors_per_s"], "p50_ms": figures.get("p50_ms"), "p99_ms": figures.get("p99_ms"),
        "actions": {action: count / total if total else 0.0 for action, count in minute.actions.items()},
    }  # fmt: skip


def _autonomy(service: Service) -> dict[str, Any]:
    """The declared levels; a kind of action that failed may have a lower one for a time."""
    gate = service.engine.parts.app.maintain.gate

    def levels(declared: Any) -> dict[str, str]:
        if isinstance(declared, Levels):
            return {"app": str(declared.app), "segment": str(declared.segment)}
        return dict.fromkeys(("app", "segment"), str(declared))

    return {
        "level": str(gate.level), "kinds": {name: levels(one) for name, one in gate.autonomy.items()},
        "stopped_by_app_file": gate.stop,
    }  # fmt: skip


def _open_incidents(store: Incidents) -> list[Incident]:
    return [kept.incident for kept in store.list(_OPEN, _INCIDENTS_MAX)]


def _short(one: Incident) -> dict[str, Any]:
    shown = shown_incident(one)
    return {name: shown[name] for name in ("id", "severity", "phase", "opened", "since", "decisions", "entities")}


def _waiting(responses: Sequence[Response], answer_ns: int) -> list[dict[str, Any]]:
    """The plans that wait for a person, those that end first before the others."""
    found = []
    for one in responses:
        shown = shown_response(one, answer_ns)
        if shown["response"]["waits"] and one.plan is not None:
            found.append({"incident": one.incident, "plan": one.plan.hash, "until": shown["response"]["until"]})
    return sorted(found, key=lambda plan: plan["until"] or "")


def _since(store: Settings, now_ns: int) -> str | None:
    deployed = deployed_at(store, now_ns)
    return None if deployed.from_ns is None else time_text(deployed.from_ns)


async def _alerts(service: Service, scope: Scope, receive: Receive) -> Answer:
    engine, parts = service.engine, _Parts()
    now_ns = engine.parts.clock.now_ns()
    is_open = await parts.of("incidents", service.stores.incidents, _open_incidents)
    found: list[dict[str, Any]] = []
    if engine.trouble:
        found.append({"kind": "trouble", "severity": "critical", "text": engine.trouble, "since": None, "id": None})
    found += [{"kind": "note", "severity": "low", "text": text, "since": None, "id": None} for text in engine.notes()]
    last = service.health.last
    down = [] if last is None else [part for part, well in last.parts.items() if not well]
    for part in down:
        text = f"{part} does not answer"
        found.append({"kind": "part", "severity": "high", "text": text, "since": None, "id": part})
    for one in is_open or ():
        suspect = f": {one.suspects[0].kind} at {one.suspects[0].node}" if one.suspects else ""
        found.append({
            "kind": "incident", "severity": str(one.severity), "text": f"incident {one.id} is {one.phase}{suspect}",
            "since": time_text(one.since_ns), "id": one.id,
        })  # fmt: skip
    order = {name: rank for rank, name in enumerate(("critical", "high", "medium", "low"))}
    found.sort(key=lambda alert: order[alert["severity"]])
    return 200, {"alerts": found, "as_of": time_text(now_ns), "unavailable": parts.unavailable}, ()

"""The things that an outside assistant may read and propose. It opens a store for each call, and closes it again.

Nothing here can act: the only thing that it writes is a proposal, which is a note of an incident.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from homeostat.app.proposing import refused
from homeostat.errors import HomeostatError
from homeostat.ports import Clock
from homeostat.ports.incidents import IncidentMoved, Incidents, UnknownIncident
from homeostat.ports.plans import NoResponse, Plans
from homeostat.ports.settings import Settings
from homeostat.records.advice import ADVICE, PROPOSALS, PROPOSALS_MAX, Proposal, note_of, proposals_in
from homeostat.records.causes import CausalGraph
from homeostat.records.change_rows import shown
from homeostat.records.incident_shown import shown_change, shown_incident, shown_signal, whole_incident
from homeostat.records.incidents import Incident, Phase
from homeostat.records.response_text import shown_plan, shown_ruling
from homeostat.records.responses import Response
from homeostat.records.times import time_text

_TRIES = 5


class Declined(HomeostatError):
    """An assistant asked for what can't be done; the text says why. It leaves as the tool's error."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The app, and how to open its stores.

    explain : facts of a decision by its event's id; versions : of models, newest first; health : of the app, in figures
    graph, kinds, remedies : what proposals may name
    """

    app: str
    incidents: Callable[[], AbstractContextManager[Incidents]]
    plans: Callable[[], AbstractContextManager[Plans]]
    settings: Callable[[], AbstractContextManager[Settings]]
    explain: Callable[[str], dict[str, Any]]
    versions: Callable[[int], list[dict[str, Any]]]
    health: Callable[[], dict[str, Any]]
    graph: CausalGraph
    kinds: Sequence[str]
    remedies: Sequence[str]


class Desk:
    """See the module.

    assistant : the name that its proposals are kept under
    """

    def __init__(self, sources: Sources, assistant: str, clock: Clock) -> None:
        self._sources, self._assistant, self._clock = sources, assistant, clock

    def list_incidents(self, state: str, limit: int, below: int | None) -> Any:
        """Incidents in short, newest first."""
        wanted = [phase for phase in Phase if state == "all" or (phase == Phase.CLOSED) == (state == "closed")]
        with self._sources.incidents() as store:
            found = store.list(wanted, limit, below)
        return [{"number": kept.number, **_short(kept.incident)} for kept in found]

    def show_incident(self, id: str) -> Any:
        """One incident with its signals, findings, advice and proposals."""
        with self._sources.incidents() as store:
            one = _found(store, id)
            history = [shown_change(each.number, each.actor, each.incident) for each in store.history(one.id)]
            whole = whole_incident(one, store.signals_of(one.signals), history)
        response = self._response(one.id)
        return {**whole, **({} if response is None else _answered(response))}

    def list_signals(self, limit: int, below: int | None) -> Any:
        """Signals, newest first."""
        with self._sources.incidents() as store:
            return [{"number": one.number, **shown_signal(one.signal)} for one in store.signals(limit, below)]

    def explain_gate(self, incident: str) -> Any:
        """The plan of an incident, each rule of the gate on it, what was done, and what came of it."""
        response = self._response(incident)
        if response is None or response.plan is None or response.ruling is None:
            return {"incident": incident, "plan": None, "gate": None}
        return {"incident": incident, "phase": str(response.phase), **_answered(response)}

    def explain_decision(self, event: str) -> Any:
        """Why an event was decided as it was: action, risk and reasons, without the event's own fields."""
        return self._sources.explain(event)

    def list_settings(self, limit: int) -> Any:
        """The settings in force, and the last changes."""
        with self._sources.settings() as store:
            standing = store.at((1 << 63) - 1)
            last = store.since(max(0, store.last - limit), limit)
        return {"in_force": [shown(one) for one in standing.values()], "last": [shown(one) for one in last[::-1]]}

    def list_models(self, limit: int) -> Any:
        """The versions of models with their roles."""
        return self._sources.versions(limit)

    def health(self) -> Any:
        """How the app fares."""
        return {"app": self._sources.app, **self._sources.health()}

    def vocabulary(self) -> Any:
        """The kinds of cause, nodes and remedies that a proposal may name."""
        sources = self._sources
        return {"kinds": list(sources.kinds), "nodes": list(sources.graph.nodes), "remedies": list(sources.remedies)}

    def propose(self, incident: str, kind: str, node: str, why: str, remedy: str = "") -> Any:
        """Keep a proposal with an incident. Raises Declined where it names what there is not, or nobody may propose."""
        fault = refused(self._sources.graph, self._sources.kinds, kind, node, remedy)
        if fault:
            raise Declined(fault)
        text = "".join(c for c in why if c.isprintable()).strip()
        if not text:
            raise Declined("why is a sentence for the person who decides on it")
        with self._sources.incidents() as store:
            one = self._kept(store, incident, kind, node, text, remedy)
        return {
            "proposal": note_of([one])[0], "needs": "a person",
            "then": "maintenance tests it as it tests its own; show_incident shows what came of it",
        }  # fmt: skip

    def _kept(self, store: Incidents, id: str, kind: str, node: str, why: str, remedy: str) -> Proposal:
        for _ in range(_TRIES):
            one = _found(store, id)
            if one.phase == Phase.CLOSED:
                raise Declined(f"incident {one.id} is closed")
            kept = proposals_in(one.notes)
            made = Proposal.of(one.id, self._clock.now_ns(), self._assistant, node, kind, why, remedy)
            same = next((other for other in kept if other.id == made.id), None)
            if same is not None:
                return same
            if len(kept) >= PROPOSALS_MAX:
                raise Declined(f"incident {one.id} has {PROPOSALS_MAX} proposals, and more are not kept")
            try:
                store.write([], [one.proposed(note_of([*kept, made]), self._clock.now_ns())], self._assistant)
                return made
            except IncidentMoved:
                continue
        raise Declined("the incident changes all the time: propose it again later")

    def _response(self, incident: str) -> Response | None:
        with self._sources.plans() as store:
            try:
                return store.get(incident)
            except NoResponse:
                return None


def _found(store: Incidents, id: str) -> Incident:
    try:
        return store.get(id)
    except UnknownIncident as error:
        raise Declined(str(error)) from error


def _short(one: Incident) -> dict[str, Any]:
    found = shown_incident(one)
    notes = found.pop("notes")
    for name in ("signals", "inhibited"):
        found[name] = len(found[name])
    return {**found, "proposals": len(notes.get(PROPOSALS) or ()), "advised": ADVICE in notes}


def _answered(response: Response) -> dict[str, Any]:
    """The plan of a response, the ruling on it, what was done, and what came of it."""
    return {
        "plan": None if response.plan is None else shown_plan(response.plan),
        "gate": None if response.ruling is None else shown_ruling(response.ruling),
        "receipts": note_of(response.receipts), "verdicts": note_of(response.verdicts),
        "lines": [{"at": time_text(one.at_ns), "text": one.text} for one in response.lines],
    }  # fmt: skip

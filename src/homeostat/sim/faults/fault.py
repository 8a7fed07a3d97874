"""A fault: what it does to traffic and parts, and the truth that a drill holds answers against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Truth:
    """Where and what the cause is. The kind is a `Cause`, or one that nobody knows.

    later : nodes that the cause takes up as it goes on, each with the moment from which on it does
    """

    node: str
    kind: str
    later: tuple[tuple[str, int], ...] = ()

    def at(self, node: str, now_ns: int) -> bool:
        """Whether a node is a true one by now.

        Conditions of segments can be worded in many ways. One counts if it is on the true segment's field.
        """
        if self.node.startswith("segment:"):
            return node.split()[:1] == self.node.split()[:1]
        return node == self.node or any(node == other and from_ns <= now_ns for other, from_ns in self.later)


class Effect(StrEnum):
    """The part of a running loop that an act alters."""

    SETTINGS = "settings"  # A change of the settings, as a person makes it. Body: its kind, scope and body.
    THRESHOLD = "threshold"  # A harsher action begins at another risk. Body: times, its share of the events.
    DEPLOY = "deploy"  # Another version decides. Body: version, and noise in its scores from 0 to 1.
    ENVIRONMENT = "environment"  # The same version answers otherwise. Body: shift and scale of scores' log-odds.
    SKEW = "skew"  # A feature is served otherwise than it is computed. Body: feature and factor.
    OUTAGE = "outage"  # A dependency is away. Body: share of the batches, until.
    LATENCY = "latency"  # Decisions take longer. Body: factor, share.


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that is done to a running loop.

    at_ns, until_ns : it holds from then on until then; 0 for ever
    logged : whether the change log says so
    """

    at_ns: int
    effect: Effect
    body: Mapping[str, Any]
    until_ns: int = 0
    logged: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the change log.

    kind : deploy, settings, schema, campaign, calendar or note
    node : the place in the causal graph that it is about
    until_ns : the end of a campaign or season; 0 for none
    """

    at_ns: int
    kind: str
    node: str
    text: str
    actor: str = "team"
    until_ns: int = 0


def untouched(traffic: Traffic, scene: Scene) -> Traffic:
    """The traffic as it is."""
    return traffic


def no_acts(scene: Scene) -> list[Act]:
    """Nothing is done to the loop."""
    return []


def no_log(scene: Scene) -> list[LogEntry]:
    """Nothing stands in the change log."""
    return []


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault over any app's traffic.

    truth : where and what it is
    happen : what becomes of the traffic
    acts : what is done to the loop
    log : what stands in the change log because of it
    needs : what the app must have: `number`, `field`, `entity`, `feature` or nothing
    shown_by : `events` or `outcomes`: what evidence there is first, of which the oracle waits for 50
    """

    truth: Callable[[Scene], Truth]
    happen: Callable[[Traffic, Scene], Traffic] = untouched
    acts: Callable[[Scene], list[Act]] = no_acts
    log: Callable[[Scene], list[LogEntry]] = no_log
    needs: str = ""
    shown_by: str = "events"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of trouble, with the right answers.

    faults : one, or several at once; none where nothing happens
    accepted, forbidden : kinds of action
    costs : of an hour under the fault and of a wrong action, in multiples of the app's ordinary cost of an hour
    harmless : no alarm is right, though something happens
    tuned : whether anything may be chosen by it
    blackout : whether it happens at a time in which nothing may be done without a person, and the budget is spent
    """

    id: str
    title: str
    faults: tuple[Fault, ...]
    accepted: tuple[str, ...]
    forbidden: tuple[str, ...]
    costs: Mapping[str, float] = field(default_factory=lambda: {"fault_hour": 0.5, "wrong_action": 10.0})
    harmless: bool = False
    tuned: bool = True
    blackout: bool = False

    def fits(self, scene: Scene) -> bool:
        """Whether the app has what the faults need."""
        form = scene.form
        has = {"": True, "number": bool(form.numeric), "field": bool(form.fields), "entity": bool(form.entities)}
        has["feature"] = bool(form.features)
        return all(has[one.needs] for one in self.faults)

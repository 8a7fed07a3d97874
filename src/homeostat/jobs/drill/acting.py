"""Does to a running loop what a fault's acts say: deploys, settings, outages, latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from homeostat.app import Brain, Ports, setup_of
from homeostat.config import plans
from homeostat.config.variants import variant
from homeostat.decide.contracts import Scorer
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.assembly import Prepared
from homeostat.jobs.drill.stand_ins import OtherLibraryScorer, ServedFeatures, WorseScorer
from homeostat.models.bundle import Bundle
from homeostat.records.arrays import Float
from homeostat.records.changes import Change, ChangeKind, in_force
from homeostat.sim.faults.fault import Act, Effect
from homeostat.sim.faults.traffic import HOUR_NS
from homeostat.stats.chance import uniform


class Acting:
    """The acts of one run, in order of time. Each is done before the first hour that begins at its moment or later."""

    def __init__(
        self, prepared: Prepared, first: Brain, bundle: Bundle | None, ports: Ports, acts: Sequence[Act]
    ) -> None:
        self._prepared, self._brain, self._bundle, self._ports = prepared, first, bundle, ports
        self._acts = sorted(acts, key=lambda act: act.at_ns)
        self._next = 0
        self._number = 0
        self._logged: tuple[Change, ...] = ()
        self._lasting: list[Act] = []

    def until(
        self, now_ns: int, loop: DecisionLoop, served: ServedFeatures, risks: Callable[[], Float]
    ) -> tuple[Change, ...]:
        """Do what is due; returns the changes of the settings among it.

        risks : of the last week, by which thresholds are chosen
        """
        made: list[Change] = []
        while self._next < len(self._acts) and self._acts[self._next].at_ns <= now_ns:
            act = self._acts[self._next]
            self._next += 1
            made += self._do(act, now_ns, loop, served, risks)
        return tuple(made)

    def _do(
        self, act: Act, now_ns: int, loop: DecisionLoop, served: ServedFeatures, risks: Callable[[], Float]
    ) -> list[Change]:
        body = act.body
        if act.effect in (Effect.OUTAGE, Effect.LATENCY):
            self._lasting.append(act)
        elif act.effect == Effect.SKEW:
            served.factor[served.names.index(body["feature"])] = body["factor"]
        elif act.effect == Effect.ENVIRONMENT:
            self._answer_otherwise(loop, lambda one: OtherLibraryScorer(one, body["shift"], body["scale"]))
        elif act.effect == Effect.DEPLOY:
            version = f"{body['version']}{'0' * 6}"
            changes = [self._change(now_ns, ChangeKind.DEPLOY, "champion", {"version": version}, act.logged)]
            return self._apply(changes, loop, lambda one: WorseScorer(one, body["noise"]), version)
        elif act.effect == Effect.THRESHOLD:
            return self._apply(self._thresholds(act, now_ns, risks(), loop), loop)
        else:
            return self._apply(self._list_entry(act, now_ns), loop)
        return []

    def _change(self, now_ns: int, kind: ChangeKind, scope: str, body: dict[str, object], reason: str) -> Change:
        self._number += 1
        return Change(kind, scope, body, "team", reason, number=self._number, at_ns=now_ns)

    def _thresholds(self, act: Act, now_ns: int, risks: Float, loop: DecisionLoop) -> list[Change]:
        """Thresholds from which the harsher actions have another share of the events than they had."""
        actions, times = self._prepared.app.actions, float(act.body["times"])
        if len(actions) < 2 or not len(risks):
            return []
        ordered = np.sort(risks)
        found = []
        for harsher in range(1, len(actions)):
            share = 0.02 / harsher if times else 0.0
            at = 1.0 if not times else float(ordered[int((1 - min(0.6, share * times)) * (len(ordered) - 1))])
            at = min(1.0, max(1e-4, round(at, 6)))
            found.append(self._change(now_ns, ChangeKind.THRESHOLD, actions[harsher], {"at": at}, act.logged))
        return found

    def _list_entry(self, act: Act, now_ns: int) -> list[Change]:
        """An entry that no event has, on a list of an entity; learning left on, where the app has no list."""
        lists = self._prepared.app.guards.lists
        names = [name for name, one in lists.items() if one.of in self._prepared.app.events.entities]
        if names:
            name = names[int(act.body["draw"] * len(names))]
            return [self._change(now_ns, ChangeKind.LIST, name, {"entries": [2**45]}, act.logged)]
        action = self._prepared.app.actions[-1]
        return [self._change(now_ns, ChangeKind.THRESHOLD, action, {"at": 1.0}, act.logged)][:0]

    def _apply(
        self, changes: list[Change], loop: DecisionLoop, wrap: Callable[[Scorer], Scorer] | None = None,
        version: str = "",
    ) -> list[Change]:  # fmt: skip
        """Put changes in force, as a server does."""
        if not changes:
            return []
        prepared, ready = self._prepared, self._brain
        now = tuple(in_force([*loop.stages.in_force, *changes]).values())
        if wrap is not None:
            base = ready.version.partition("+")[0]
            ready = replace(ready, scorers=tuple(wrap(one) for one in ready.scorers), version=f"{base}+{version}")
            self._brain = ready
        found = variant(prepared.app, now)
        lists = plans.membership(found.app, self._ports.coding)
        setup = setup_of(
            prepared.app, prepared.features, ready, self._bundle, found, lists, tuple(changes), now, self._ports
        )
        loop.hand_over(setup)
        loop.change()
        return changes

    def _answer_otherwise(self, loop: DecisionLoop, wrap: Callable[[Scorer], Scorer]) -> None:
        """Let the scorers that are trained answer otherwise, under the name of the same version; else all do."""
        specs = self._prepared.app.scorers
        trained = {name for name, spec in specs.items() if spec.kind != "rules"} or set(specs)
        scorers = tuple(wrap(one) if one.name in trained else one for one in self._brain.scorers)
        self._brain = replace(self._brain, scorers=scorers)
        loop.stages.panel = loop.stages.panel.seating(dict(zip(specs, scorers, strict=True)))

    def away(self, now_ns: int, seed: int) -> bool:
        """Whether the feature store is away in the hour that begins now; in the first hour of an outage it is."""
        hour = np.array([now_ns // HOUR_NS])
        return any(
            act.effect == Effect.OUTAGE and act.at_ns <= now_ns < act.until_ns
            and (now_ns < act.at_ns + HOUR_NS or float(uniform(seed, hour, 211)[0]) < act.body["share"])
            for act in self._lasting
        )  # fmt: skip

    def took_us(self, moment_ns: int, seed: int, typical: float) -> float:
        """The time that one decision takes, by the declared model: log-normal, and slow pieces where it is slow."""
        at = np.array([moment_ns // 1_000_000_000])
        spread = float(np.exp(0.25 * np.sqrt(-2 * np.log(1 - uniform(seed, at, 223)[0]))
                              * np.cos(2 * np.pi * uniform(seed, at, 227)[0])))  # fmt: skip
        for act in self._lasting:
            slow = act.effect == Effect.LATENCY and act.at_ns <= moment_ns
            if slow and uniform(seed, at, 229)[0] < act.body["share"]:
                spread *= float(act.body["factor"])
        return typical * spread

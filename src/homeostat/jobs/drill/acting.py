"""Does to a running loop what a fault's acts say: deploys, settings, outages, latency.

Changes go through a store of settings, as in life. So whoever answers the fault finds them there, and can undo them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from homeostat.adapters.memory.settings import MemorySettings
from homeostat.app import Brain, Ports, setup_of
from homeostat.config import plans
from homeostat.config.variants import variant
from homeostat.decide.contracts import Scorer
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.assembly import Prepared
from homeostat.jobs.drill.stand_ins import OtherLibraryScorer, ServedFeatures, StandingClock, WorseScorer
from homeostat.models.bundle import Bundle
from homeostat.ports.settings import expire
from homeostat.records.arrays import Float
from homeostat.records.changes import Change, ChangeKind, in_force
from homeostat.sim.faults.fault import Act, Effect
from homeostat.sim.faults.traffic import HOUR_NS, NEVER
from homeostat.stats.chance import uniform


class Acting:
    """The acts of one run, in order of time. Each is done before the first hour that begins at its moment or later.

    settings : all changes of the run, of its acts and of those who answer them
    """

    def __init__(
        self, prepared: Prepared, first: Brain, bundle: Bundle | None, ports: Ports, acts: Sequence[Act]
    ) -> None:
        self._prepared, self._brain, self._bundle, self._ports = prepared, first, bundle, ports
        self._acts = sorted(acts, key=lambda act: act.at_ns)
        self._next = 0
        self._clock = StandingClock()
        self.settings = MemorySettings(self._clock)
        self._applied = 0
        self._versions: dict[str, Callable[[Scorer], Scorer]] = {}  # Those that are deployed besides the first.
        self.trained: dict[str, tuple[Brain, Bundle]] = {}  # Those that the run has trained, by name.
        self._environment: Callable[[Scorer], Scorer] | None = None
        self._lasting: list[Act] = []

    def until(
        self, now_ns: int, loop: DecisionLoop, served: ServedFeatures, risks: Callable[[], Float]
    ) -> tuple[Change, ...]:
        """Do what is due, and let the loop have all changes of the settings since the last time; returns these.

        risks : of the last week, by which thresholds are chosen
        """
        self._clock.set_ns = now_ns
        while self._next < len(self._acts) and self._acts[self._next].at_ns <= now_ns:
            act = self._acts[self._next]
            self._next += 1
            for change in self._do(act, loop, served, risks):
                last = self.settings.last_of(change.where)
                self.settings.append(change, None if last is None else last.number)
        if not self.settings.last:
            return ()
        expire(self.settings, now_ns)
        changes = self._apply(loop)
        if any(change.kind == ChangeKind.REBUILD and change.body is not None for change in changes):
            served.factor.clear()  # Windows that were made again are served as they are computed.
        return changes

    def reads(self, loop: DecisionLoop) -> EventSchema | None:
        """How events are read now; None where they are read as declared."""
        return loop.stages.reads

    def stand_at(self, now_ns: int) -> None:
        """Let changes that are stored from now on have this time."""
        self._clock.set_ns = now_ns

    @property
    def next_ns(self) -> int:
        """The next moment at which anything is done by itself: an act, the end of a change that expires, or now."""
        if self.settings.last > self._applied:
            return 0
        acts = [act.at_ns for act in self._acts[self._next :]]
        ends = [one.expires_ns for one in self.settings.at(NEVER).values() if one.expires_ns]
        return min([*acts, *ends], default=NEVER)

    def _do(self, act: Act, loop: DecisionLoop, served: ServedFeatures, risks: Callable[[], Float]) -> list[Change]:
        body = act.body
        if act.effect in (Effect.OUTAGE, Effect.LATENCY):
            self._lasting.append(act)
        elif act.effect == Effect.SKEW:
            served.factor[served.names.index(body["feature"])] = body["factor"]
        elif act.effect == Effect.ENVIRONMENT:
            self._environment = lambda one: OtherLibraryScorer(one, body["shift"], body["scale"])
            self._answer_otherwise(loop)
        elif act.effect == Effect.DEPLOY:
            version = f"{body['version']}{'0' * 6}"
            self._versions[version] = lambda one: WorseScorer(one, body["noise"])
            return [_change(ChangeKind.DEPLOY, "champion", {"version": version}, act.logged)]
        elif act.effect == Effect.THRESHOLD:
            return self._thresholds(act, risks())
        else:
            return self._list_entry(act)
        return []

    def _thresholds(self, act: Act, risks: Float) -> list[Change]:
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
            found.append(_change(ChangeKind.THRESHOLD, actions[harsher], {"at": at}, act.logged))
        return found

    def _list_entry(self, act: Act) -> list[Change]:
        """An entry that no event has, on a list of an entity; nothing, where the app has no list."""
        lists = self._prepared.app.guards.lists
        names = [name for name, one in lists.items() if one.of in self._prepared.app.events.entities]
        if not names:
            return []
        name = names[int(act.body["draw"] * len(names))]
        return [_change(ChangeKind.LIST, name, {"entries": [2**45]}, act.logged)]

    def _apply(self, loop: DecisionLoop) -> tuple[Change, ...]:
        """Put changes in force, as a server does."""
        changes = tuple(self.settings.since(self._applied))
        if not changes:
            return ()
        self._applied = changes[-1].number
        now = tuple(in_force([*loop.stages.in_force, *changes]).values())
        # A drill keeps no journal from which windows could be made again; see `until` for what stands for it.
        others = [one for one in changes if one.kind != ChangeKind.REBUILD]
        if not others:
            return changes
        prepared = self._prepared
        found = variant(prepared.app, now)
        ready, bundle = self.models_of(found.champion)
        lists = plans.membership(found.app, self._ports.coding)
        setup = setup_of(prepared.app, prepared.features, ready, bundle, found, lists, others, now, self._ports)
        loop.hand_over(setup)
        loop.change()
        return changes

    def models_of(self, version: str) -> tuple[Brain, Bundle | None]:
        """The models of a version as the environment lets them answer, and their bundle. Empty for the first one."""
        if version in self.trained:
            ready, bundle = self.trained[version]
            return replace(ready, scorers=self._in_environment(ready.scorers)), bundle
        return self.brain_of(version), self._bundle

    def brain_of(self, version: str) -> Brain:
        """The first version, or a worse one that a fault has deployed."""
        ready, base = self._brain, self._brain.version.partition("+")[0]
        scorers = self._in_environment(ready.scorers)
        if version not in self._versions:
            return replace(ready, scorers=scorers)
        wrap = self._versions[version]
        return replace(ready, scorers=tuple(wrap(one) for one in scorers), version=f"{base}+{version}")

    def _in_environment(self, scorers: Sequence[Scorer]) -> tuple[Scorer, ...]:
        """Scorers that are trained answer otherwise under another library; if none is, all do."""
        wrap = self._environment
        if wrap is None:
            return tuple(scorers)
        specs = self._prepared.app.scorers
        trained = {name for name, spec in specs.items() if spec.kind != "rules"} or set(specs)
        return tuple(wrap(one) if one.name in trained else one for one in scorers)

    def _answer_otherwise(self, loop: DecisionLoop) -> None:
        """Let the scorers that decide answer otherwise, under the name of the same version."""
        now = self.settings.at((1 << 63) - 1).values()
        champion = variant(self._prepared.app, now).champion
        scorers = self.models_of(champion)[0].scorers
        loop.stages.panel = loop.stages.panel.seating(dict(zip(self._prepared.app.scorers, scorers, strict=True)))

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


def _change(kind: ChangeKind, scope: str, body: dict[str, object], reason: str) -> Change:
    return Change(kind, scope, body, "team", reason)

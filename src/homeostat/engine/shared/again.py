"""Decides the events of a shared journal again, under the settings and learned states that each was decided under.

Features and scores are those that were recorded, and so is whether the shared budget had something left for exploring;
all else is computed again. So it comes to the same risks and proposals, bit for bit, or says which differ. The guards'
last word is compared too, but for apps with circuit breakers: what a breaker counts is each process's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from homeostat.app import Ports, brain, build
from homeostat.config.variants import Inapplicable
from homeostat.decide.contracts import Explorer
from homeostat.decide.decided import Recorded
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.policy.exploration import TOTAL
from homeostat.engine.assembly import fitting_bundle
from homeostat.engine.served import ServedFeatures, in_order
from homeostat.engine.setups import Setups
from homeostat.engine.shared.learner import Source
from homeostat.records.allowance import EVERYTHING, NOTHING
from homeostat.records.arrays import Int, Mask
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.renaming import decisions_as

_LOOPS = 8  # Two workers apply a change within one or two batches of each other.
SHOWN = 20


@dataclass(slots=True)
class Again:
    """The decisions of a journal, made again.

    decisions, same : how many there are, and how many came out the same, in risk, proposal, propensities and ruling
    other_version : those of another version or other names, which stand as they were made
    differing : ids of those that came out otherwise, the first ones
    charged : by period of exploration, the charges of all processes together, of an app that explores
    explored : by period, how many events chance could decide
    """

    decisions: int = 0
    same: int = 0
    other_version: int = 0
    differing: list[str] = field(default_factory=list)
    charged: dict[int, float] = field(default_factory=dict)
    explored: dict[int, int] = field(default_factory=dict)


class Deciding:
    """See the module."""

    def __init__(self, source: Source, process_of: Callable[[int], int] = lambda sequence: 0) -> None:
        """process_of : which process decided an entry, as a number: an account's period is its process's newest"""
        self._source, self._process_of = source, process_of
        self._newest_ns: dict[int, int] = {}  # By process.
        self._changes: list[Change] = []
        self._loops: dict[int, tuple[DecisionLoop, ServedFeatures]] = {}
        self.found = Again()

    def run(self, after: int = 0, progress: Callable[[int], None] = lambda entry: None) -> Again:
        """Decide every entry above `after` again. Raises Unavailable, SettingsError, Inapplicable, UnknownState."""
        for sequence, body in self._decisions(after):
            self._decide(sequence, body)
            progress(sequence)
        self.close()
        return self.found

    def _decisions(self, after: int) -> Iterator[tuple[int, DecisionBatch]]:
        for entry in self._source.journal.read(after):
            if isinstance(entry.body, DecisionBatch) and len(entry.body):
                yield entry.sequence, entry.body

    def _decide(self, sequence: int, body: DecisionBatch) -> None:
        found, (loop, served) = self.found, self._loop(body.settings)
        stages = loop.stages
        found.decisions += len(body)
        process, reach = self._process_of(sequence), body.events.reach
        running_ns = np.maximum.accumulate(np.maximum(reach, self._newest_ns.get(process, int(reach[0]))))
        self._newest_ns[process] = int(running_ns[-1])
        if (body.version, body.words) != (stages.version, stages.words):
            found.other_version += len(body)
            return
        was = decisions_as(body, stages.words, stages.panel.names, stages.coding)
        served.batch = in_order(was.features, self._source.prepared.features.names)
        again = loop.run(was.events, Recorded(sequence, was, stands=False))
        same = _same(was, again)
        if not self._source.prepared.app.guards.breakers:
            same &= (was.ruling.action == again.ruling.action) & (was.ruling.rule == again.ruling.rule)
        found.same += int(same.sum())
        for row in np.flatnonzero(~same).tolist()[: SHOWN - len(found.differing)]:
            found.differing.append(was.events.id_text(row))
        self._charge(loop, served, was, running_ns)

    def _charge(self, loop: DecisionLoop, served: ServedFeatures, was: DecisionBatch, running_ns: Int) -> None:
        """Count what exploring cost: each event that chance could decide, by the policy's own estimate.

        running_ns : (n,) the newest time that the process had seen with each event
        """
        policy = loop.stages.policy
        if not isinstance(policy, Explorer):
            return
        app = self._source.prepared.app
        features, chance = served.batch, loop.stages.chance_in(0)(was.events.ids)
        assert features is not None, "it was decided from them"
        policy.allow(NOTHING)
        refused = policy.propose(was.fused, was.events, features, chance)
        varied = np.flatnonzero((refused.propensity != was.proposal.propensity).any(axis=1))
        policy.allow(EVERYTHING)
        for row in varied.tolist():
            events, before = was.events.slice(row, row + 1), float(policy.account[TOTAL])
            fused = was.fused.__class__(was.fused.risk[row : row + 1], was.fused.contributions[row : row + 1])
            policy.propose(fused, events, features.slice(row, row + 1), chance[row : row + 1])
            period = int(running_ns[row]) // app.policy.exploration.period
            charge = float(policy.account[TOTAL]) - before
            self.found.charged[period] = self.found.charged.get(period, 0.0) + charge
            self.found.explored[period] = self.found.explored.get(period, 0) + 1
        policy.allow(NOTHING)

    def _loop(self, number: int) -> tuple[DecisionLoop, ServedFeatures]:
        """A loop under the changes up to a number."""
        if number in self._loops:
            return self._loops[number]
        source = self._source
        while len(self._loops) >= _LOOPS:
            self._loops.pop(next(iter(self._loops)))[0].close()
        prepared, served = source.prepared, ServedFeatures()
        ports = Ports(
            source.journal, source.clock, prepared.coding, bounded=False, featurizer=served, judges_lateness=False
        )
        scorers = dict(zip(prepared.app.scorers, source.ready.scorers, strict=True))
        own = brain(prepared.app, prepared.features, source.models, scorers)
        loop = build(prepared.app, prepared.features, own, ports)
        loop.stages.allowance = NOTHING
        if number:
            if not self._changes or self._changes[-1].number < number:
                self._changes = source.stores.settings.since(0)
            setups = Setups(
                prepared, source.models, source.ready, ports,
                source.stores.fetch(partial(fitting_bundle, prepared=prepared)), source.learning.state, source.base,
            )  # fmt: skip
            changes = [one for one in self._changes if one.number <= number]
            if len(changes) != number:
                raise Inapplicable(None, f"the store lacks some of the changes up to {number}")
            loop.put_in_force(setups.setup((), changes))
        self._loops[number] = loop, served
        return loop, served

    def close(self) -> None:
        """Let go of the loops."""
        for loop, _ in self._loops.values():
            loop.close()
        self._loops = {}


def _same(was: DecisionBatch, again: DecisionBatch) -> Mask:
    """(n,) whether risk, action and propensities are the same, bit for bit."""
    risk = was.fused.risk.view(np.int64) == np.asarray(again.fused.risk).view(np.int64)
    propensity = (was.proposal.propensity == again.proposal.propensity).all(axis=1)
    mask: Mask = risk & propensity & (was.proposal.action == again.proposal.action)
    return mask

"""A challenger in shadow: it decides the journal's events again, on the features that were served. Nobody acts on it.

It reads the journal and writes decisions of its own, in a process of its own. So it can hang, fail or use up its
memory, and no decision of the champion changes or waits. It learns nothing: its parts stay as they were trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Brain, Ports, build
from homeostat.config.variants import Inapplicable
from homeostat.decide.decided import Recorded
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.assembly import Prepared
from homeostat.engine.served import ServedFeatures, in_order
from homeostat.engine.setups import Setups
from homeostat.models.bundle import Bundle
from homeostat.ports import Entry, StandingJournal
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch, Ruling
from homeostat.records.identity import Served
from homeostat.records.renaming import decisions_as
from homeostat.records.shadowed import Shadowed

_TOGETHER_ROWS = 5_000  # Decisions that are stored together: a store then commits seldom, and little is made again.
_OWN = (ChangeKind.DEPLOY, ChangeKind.FUSION, ChangeKind.STATE)  # A challenger's models are its own; it is not taught.
Progress = Callable[[int], None]


class Kept(Protocol):
    """Where a challenger's decisions are kept."""

    def append(self, version: str, made: Sequence[Shadowed]) -> None: ...

    def read(self, version: str, after: int = 0) -> Iterator[Shadowed]: ...


@dataclass(slots=True)
class InMemory:
    """Decisions that are wanted once, as when a version is held against the last hours."""

    made: dict[str, list[Shadowed]] = field(default_factory=dict)

    def append(self, version: str, made: Sequence[Shadowed]) -> None:
        """See `Kept`."""
        self.made.setdefault(version, []).extend(made)

    def read(self, version: str, after: int = 0) -> Iterator[Shadowed]:
        """See `Kept`."""
        return (one for one in self.made.get(version, []) if one.entry > after)


@dataclass(slots=True)
class Counts:
    """The decisions that a version has made so far.

    differing : those with another action than the champion's; failed : those made without one of its parts
    """

    events: int = 0
    differing: int = 0
    failed: int = 0

    def add(self, was: DecisionBatch, made: Shadowed) -> None:
        """Count those of an entry."""
        self.events += len(made)
        self.differing += int(np.count_nonzero(was.ruling.action != made.action))
        self.failed += int(np.count_nonzero(made.fallback))


class Shadow:
    """One version that follows a journal.

    Its breakers count its own actions. Chance falls as it did for the champion, so both explore and hold out the same
    events. Settings are in force for it where they were for the champion.
    """

    def __init__(
        self, prepared: Prepared, brain: Brain, journal: StandingJournal, kept: Kept, version: str,
        bundle: Bundle | None = None, *, served: Served | None = None, known: Sequence[Change] = (),
        on_error: Callable[[str, Exception], None] | None = None,
    ) -> None:  # fmt: skip
        """journal : open for reading
        version : the name under which its decisions are kept; bundle : its models
        served : see `Ports`
        known : the changes of the settings so far; those that the journal holds are added as it is read
        on_error : is given the name of a part that failed, and the exception
        """
        self.prepared, self.journal = prepared, journal
        self._kept, self._version = kept, version
        self._features = ServedFeatures()
        ports = Ports(
            journal, SystemClock(), prepared.coding, bounded=False, on_error=self._failed, featurizer=self._features,
            served=served, judges_lateness=False,
        )  # fmt: skip
        self.loop: DecisionLoop = build(prepared.app, prepared.features, brain, ports)
        self._setups = Setups(prepared, bundle, brain, ports)
        self._changes = {change.number: change for change in known if change.kind not in _OWN}
        self._knows = bool(known)
        self._under = 0
        self._on_error = on_error or _unheard
        self._exhausted = False
        self.counts = Counts()
        self.decided = 0  # By this process.
        self.trouble = ""
        self.position = 0  # The last entry that it has dealt with.
        self._waiting: list[Shadowed] = []
        self._resumed = False

    def catch_up(self, after: int = 0, progress: Progress = lambda entry: None) -> int:
        """Decide every entry that is new, from `after` on; returns how many events that were.

        Raises Unavailable, JournalError, MemoryError. Earlier decisions stay, and the next call goes on behind them.
        """
        if not self._resumed:
            self.position = max(after, self._resume(progress))
            self._resumed = True
        before = self.decided
        self._keep()
        try:
            for entry in self.journal.read(self.position):
                self._take(entry)
                if sum(map(len, self._waiting)) >= _TOGETHER_ROWS:
                    self._keep()
                progress(entry.sequence)
        finally:
            self._keep()
        return self.decided - before

    def decide(self, champions: DecisionBatch, made: Shadowed | None = None) -> DecisionBatch:
        """This version's decisions of the same events on the same features.

        made : what it decided before its process was ended; then its breakers and its account of exploration follow
        """
        self._put_in_force(champions.settings)
        stages = self.loop.stages
        was = decisions_as(champions, stages.words, stages.panel.names, stages.coding)
        self._features.batch = in_order(was.features, self.prepared.features.names)
        events = stages.watermark.unmarked(was.events)
        if made is None:
            return self.loop.run(events)
        fused = replace(was.fused, risk=made.risk)
        proposal = replace(was.proposal, propensity=made.propensity, action=made.action, explored=made.explored)
        ruling = Ruling(made.action, made.rule, was.ruling.hits)
        again = replace(was, fused=fused, proposal=proposal, ruling=ruling, fallback=made.fallback)
        return self.loop.run(events, Recorded(made.entry, again, stands=True))

    def put_in_force(self, changes: Sequence[Change]) -> None:
        """Let these changes hold, whatever number the champion's decisions were made under. Raises Inapplicable."""
        self._changes = {}
        if changes:
            self.loop.put_in_force(self._setups.setup((), changes))

    def close(self) -> None:
        """Let go of the scorers' threads."""
        self.loop.close()

    def _take(self, entry: Entry) -> None:
        """Decide what an entry holds, and be behind it."""
        if isinstance(entry.body, ChangeBatch):
            self._learn_of(entry.body)
        elif isinstance(entry.body, DecisionBatch) and len(entry.body):
            made = Shadowed.of(entry.sequence, self.decide(entry.body))
            if self._exhausted:
                raise MemoryError(f"version {self._version} needs more memory than it may have")
            self.counts.add(self._renamed(entry.body), made)
            self.decided += len(made)
            self._waiting.append(made)
        self.position = entry.sequence

    def _keep(self) -> None:
        """Store the decisions that wait for it. Raises Unavailable; then they go on waiting."""
        if self._waiting:
            self._kept.append(self._version, self._waiting)
            self._waiting = []

    def _resume(self, progress: Progress) -> int:
        """Follow what was decided before this process, entry by entry; returns the last of these entries."""
        kept = iter(self._kept.read(self._version))
        made = next(kept, None)
        last = 0
        begin = 0 if made is None or not self._knows else made.entry - 1  # Changes before that are known already.
        for entry in self.journal.read(begin) if made is not None else ():
            progress(entry.sequence)
            while made is not None and made.entry < entry.sequence:
                made = next(kept, None)
            if made is None:
                break
            if isinstance(entry.body, ChangeBatch):
                self._learn_of(entry.body)
            elif isinstance(entry.body, DecisionBatch) and made.entry == entry.sequence:
                self.decide(entry.body, made)
                self.counts.add(self._renamed(entry.body), made)
                last = entry.sequence
        return last

    def _failed(self, part: str, error: Exception) -> None:
        """Take in the failure of a part. Without memory, its answers say nothing of the version."""
        self._exhausted |= isinstance(error, MemoryError)
        self._on_error(part, error)

    def _renamed(self, was: DecisionBatch) -> DecisionBatch:
        stages = self.loop.stages
        return decisions_as(was, stages.words, stages.panel.names, stages.coding)

    def _learn_of(self, body: ChangeBatch) -> None:
        self._changes.update({one.number: one for one in body.changes if one.kind not in _OWN})

    def _put_in_force(self, number: int) -> None:
        """Rules, lists, thresholds and the rest hold for the challenger as they did for the champion.

        Several processes apply a change at slightly different moments, so a number may also fall.
        """
        if number == self._under or not self._changes:
            return
        changes = [change for _, change in sorted(self._changes.items()) if change.number <= number]
        self._under = number
        if not changes or (self.loop.stages.settings == changes[-1].number):
            return
        try:
            self.loop.put_in_force(self._setups.setup((), changes))
            self.trouble = ""
        except Inapplicable as error:
            self.trouble = f"it decides without change {changes[-1].number} of the settings: {error}"


def _unheard(part: str, error: Exception) -> None:
    """Decisions say themselves which part was missing."""

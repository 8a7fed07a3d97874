"""The learner: reads what workers journalled, learns from it as one process would have, and publishes what it learned.

It runs the decision loop over the journal's entries, whose decisions stand as they were made. So outcomes are joined,
mature, and are learned from at the same moments of the grid of event time, in the same order, by the same code as in an
embedded engine. It asks no scorer and fills no window: features and scores are those that were recorded.

A published state is named by its hash. All that the learner needs to go on is saved now and then, with the journal
entry up to which it has read; after a kill it reads on from there, and comes to the same states again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np

from homeostat.adapters.disk.snapshots import decode, encode
from homeostat.app import Brain, Ports, brain, build
from homeostat.config.variants import Inapplicable
from homeostat.decide.contracts import Learner as LearningPart
from homeostat.decide.decided import Recorded
from homeostat.decide.loop import DecisionLoop
from homeostat.engine.answers import time_text
from homeostat.engine.assembly import Prepared, fitting_bundle
from homeostat.engine.learned import Taught, read_taught, taught_bytes
from homeostat.engine.served import ServedFeatures, in_order
from homeostat.engine.setups import Setups
from homeostat.engine.stores import Stores
from homeostat.engine.watching import AGAIN_NS
from homeostat.models.bundle import Bundle
from homeostat.ports import Clock, Entry, Snapshot
from homeostat.ports.learning import LEASE_S, Lead, LearnedStates, Learnt, Publication, UnknownState
from homeostat.ports.settings import Changed
from homeostat.ports.shared import SharedJournal
from homeostat.records.arrays import State
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change, ChangeKind, Scope, in_force
from homeostat.records.decisions import DecisionBatch
from homeostat.records.meaning import follows
from homeostat.records.renaming import decisions_as, outcomes_as
from homeostat.records.software import VERSION

NOTE_EVERY_S = 1.0
READ_S = 2.0  # So long it reads at a time before it publishes: a longer past is learned in rounds.
SAVE_EVERY_S_MIN, SAVE_EVERY_S_MAX = 5.0, 60.0
SAVE_SHARE = 20  # Between two saves lies so many times what one takes, within these bounds.
DROP_EVERY_S = 600.0
_ACTOR, _KEY = "homeostat learner", "learner"
_HANDLED = "handled"


@dataclass(frozen=True, slots=True)
class Source:
    """The journal and stores of a learner, and the models that it learns with.

    models, ready : as for a worker, whose fusion and policy it teaches
    base : the version that decides where none is deployed; empty for `models`
    retention_ns : of the journal; None keeps everything
    """

    prepared: Prepared
    models: Bundle | None
    ready: Brain
    journal: SharedJournal
    stores: Stores
    clock: Clock
    retention_ns: int | None = None
    base: str = ""

    @property
    def learning(self) -> LearnedStates:
        """The learner's store."""
        assert self.stores.learning is not None, "a learner has a store"
        return self.stores.learning


@dataclass(frozen=True, slots=True)
class Round:
    """One round of learning: entries read, states published, and what hinders it."""

    entries: int = 0
    published: tuple[Change, ...] = ()
    trouble: str = ""


class Learner:
    """One learner that has the lead. When it is deposed, it is thrown away.

    position : the journal entry up to which it has read
    """

    def __init__(
        self, source: Source, lead: Lead, tell: Callable[[str], None] = lambda text: None, lease_s: float = LEASE_S
    ) -> None:
        """Begin where the last learner saved, else at the journal's beginning.

        Raises Unavailable, SettingsError, JournalError.
        """
        self._source, self._lead, self._tell, self._lease_s = source, lead, tell, lease_s
        self._store, self._settings = source.learning, source.stores.settings
        self.position, self.learned = 0, 0
        self._handled: dict[str, int] = {}  # By learner: the last change of its state by others that it went back for.
        self._trouble, self._number = "", 0
        self._waiting: list[Change] = []  # Changes of the journal that can't be applied yet, and all after them.
        self._tried_at_ns = 0
        self._unpublished, self._noted_at_ns = True, 0
        self.asked_at_ns: int | None = None  # When somebody last waited for it.
        now_ns = source.clock.monotonic_ns()
        self._saved_at_ns, self._dropped_at_ns, self._saved_position = now_ns, now_ns - int(DROP_EVERY_S * 1e9), 0
        self._save_every_s = SAVE_EVERY_S_MIN
        self._begin()
        self._resume()

    def _begin(self) -> None:
        source = self._source
        prepared, ready = source.prepared, source.ready
        self._served = ServedFeatures()
        ports = Ports(
            source.journal, source.clock, prepared.coding, bounded=False, featurizer=self._served, learns=True,
        )  # fmt: skip
        scorers = dict(zip(prepared.app.scorers, ready.scorers, strict=True))
        own = brain(prepared.app, prepared.features, source.models, scorers)  # It changes as it learns.
        self.loop: DecisionLoop = build(prepared.app, prepared.features, own, ports)
        fetch = source.stores.fetch(partial(fitting_bundle, prepared=prepared))
        self._setups = Setups(prepared, source.models, ready, ports, fetch, base=source.base)
        self._waiting, self._trouble = [], ""
        self._blank = {name: part.learned() for name, part in self._parts().items()}

    def _parts(self) -> dict[str, LearningPart]:
        stages = self.loop.stages
        named = {"fusion": stages.fusion, "policy": stages.policy}
        return {name: part for name, part in named.items() if isinstance(part, LearningPart) and part.learned()}

    # Reading.

    def round(self, entries_max: int | None = None) -> Round:
        """Read what is new, for some seconds at most, publish what was learned, and say how far that is.

        Raises Deposed; Unavailable, and the next round goes on behind what was read.
        """
        clock = self._source.clock
        began_ns = clock.monotonic_ns()
        if self._waiting and began_ns - self._tried_at_ns >= AGAIN_NS:  # A version may have come meanwhile.
            self._apply()
        entries, more = self._read(began_ns + int(READ_S * 1e9), entries_max)
        answered = self._answer()
        published = self._publish() if entries or answered or self._unpublished else []
        if entries or answered or clock.monotonic_ns() - self._noted_at_ns >= NOTE_EVERY_S * 1e9:
            self._note(more, began_ns)
        if clock.monotonic_ns() - self._saved_at_ns >= self._save_every_s * 1e9:
            self.save()
        self._drop()
        return Round(entries, tuple(published), self._trouble)

    def _note(self, more: bool, began_ns: int) -> None:
        """Keep the lead, and say how far learning is.

        more : whether the journal holds more than was read; if not, all that it held at `began_ns` has been learned
        """
        now_ns = self._noted_at_ns = self._source.clock.monotonic_ns()
        behind = max(0, self._source.journal.last - self.position) if more else 0
        seen_s = None if more or self._trouble else (now_ns - began_ns) / 1e9
        learnt = Learnt(self.position, behind, self.moment_ns, seen_s, self._trouble, self._number)
        self._store.note(self._lead, learnt, self._lease_s)

    def _read(self, until_ns: int, entries_max: int | None) -> tuple[int, bool]:
        """Take entries in; how many, and whether more are there."""
        entries, clock = 0, self._source.clock
        for entry in self._source.journal.read(self.position):
            self._take(entry)
            self.position = entry.sequence
            entries += 1
            if clock.monotonic_ns() >= until_ns or entries == entries_max:
                return entries, True
        return entries, False

    def _answer(self) -> bool:
        """Learn what is known at the moment that a process waits for, once all is read that it decided before."""
        asked = self._store.asked()
        if not (asked.moment_ns > self.moment_ns > 0 and self.position >= asked.after):
            return False
        self.loop.pass_moment(asked.moment_ns)
        self.asked_at_ns = self._source.clock.monotonic_ns()
        return True

    def _take(self, entry: Entry) -> None:
        body, stages = entry.body, self.loop.stages
        if isinstance(body, ChangeBatch):
            self._change(body.changes)
        elif isinstance(body, DecisionBatch):
            if len(body):
                self._follow(entry.sequence, body)
        elif stages.joiner is not None:
            stages.joiner.deliver(outcomes_as(body, stages.words.entities, stages.coding))

    def _follow(self, sequence: int, body: DecisionBatch) -> None:
        """Remember decisions as they were made, and learn what is due before each."""
        stages = self.loop.stages
        was = decisions_as(body, stages.words, stages.panel.names, stages.coding)
        self._served.batch = in_order(was.features, self._source.prepared.features.names)
        self.loop.whole(self.loop.run, stages.watermark.unmarked(was.events), Recorded(sequence, was, stands=True))

    @property
    def moment_ns(self) -> int:
        """The last moment of the grid, in event time; 0 before the first."""
        return max(0, self.loop.stages.schedule.moment_ns)

    # Changes that others make.

    def _change(self, changes: Sequence[Change]) -> None:
        last = max([self.loop.stages.settings, *(one.number for one in self._waiting)])
        ours = [one for one in changes if one.kind != ChangeKind.STATE and one.number > last]
        if ours:
            self._waiting += ours
            self._apply()
        for one in changes:
            if one.kind == ChangeKind.STATE and not _own(one):
                self._go_back(one)

    def _apply(self) -> None:
        """Put in force as many of the waiting changes as fit together; the others wait, in their order."""
        self._tried_at_ns, self._trouble = self._source.clock.monotonic_ns(), ""
        for end in range(len(self._waiting), 0, -1):
            try:
                self._setups.change(self.loop, self._waiting[:end])
            except Inapplicable as error:
                self._trouble = str(error)
                continue
            del self._waiting[:end]
            return

    def _go_back(self, change: Change) -> None:
        """Forget what was learned since the state that somebody put in force; go on from there."""
        self._handled[change.scope] = change.number
        part = self._parts().get(change.scope)
        if part is None:
            return
        learned: State = self._blank[change.scope]
        if change.body is not None:
            digest = str(change.body["sha256"])
            try:
                found = read_taught(self._store.state(digest), digest)
            except (UnknownState, ValueError) as error:
                self._tell(f"change {change.number} names a state that can't be taken: {error}")
                return
            if not follows(change.scope, self.loop.stages.meaning[change.scope], found.meaning):
                return  # Workers don't use it either.
            learned = found.learned
        part.take(learned)
        self._tell(f"goes back to the {change.scope} of change {change.number} by {change.actor} ({change.reason})")

    # Publishing.

    def _publish(self) -> list[Change]:
        """Publish what is news; all of it together, as it was learned together."""
        found = [self._publication(name, part) for name, part in self._parts().items()]
        states = [one for one in found if one is not None]
        self._unpublished = bool(states)
        if not states:
            return []
        try:
            published = self._store.publish(self._lead, states)
        except Changed:
            return []  # The next round sees by whom.
        self._unpublished = False
        self._number = published[-1].number
        return published

    def _publication(self, name: str, part: LearningPart) -> Publication | None:
        """A part's learning, where it is news; none where somebody's change of it waits to be applied."""
        content = taught_bytes(Taught(part.learned(), self.loop.stages.meaning[name]))
        digest = sha256(content).hexdigest()
        last = self._settings.last_of(Scope(ChangeKind.STATE, name))
        body = None if last is None else last.body
        self._number = max(self._number, 0 if last is None else last.number)
        if last is None and _same(part.learned(), self._blank[name]):
            return None
        if body is not None and body["sha256"] == digest:
            return None
        if last is not None and _own(last) and body is not None and self.position < int(body["position"]):
            return None  # It was published before, and is on its way there again.
        if last is not None and not _own(last) and last.number > self._handled.get(name, 0):
            return None
        moment = time_text(self.moment_ns)
        change = Change(
            ChangeKind.STATE, name, {"position": self.position, "sha256": digest, "moment": moment},
            _ACTOR, f"learned from outcomes known at {moment}, by {self._lead.owner}",
            f"{_KEY}:{name}:{self.position}:{digest[:16]}:{0 if last is None else last.number}",
        )  # fmt: skip
        return Publication(change, content, 0 if last is None else last.number)

    # Going on after the process.

    def save(self) -> None:
        """Save all that it needs to go on. Raises Deposed, Unavailable."""
        began_ns = self._saved_at_ns = self._source.clock.monotonic_ns()
        if self.position == self._saved_position or self._waiting:  # It would be read past what waits.
            return
        stages = self.loop.stages
        handled = {f"{_HANDLED}/{name}": np.array([number]) for name, number in self._handled.items()}
        self._store.save(self._lead, encode(Snapshot(
            self.position, self.loop.state() | handled, self._source.journal.identity, f"homeostat {VERSION}",
            stages.meaning, stages.settings,
        )))  # fmt: skip
        self._saved_position = self.position
        self._saved_at_ns = self._source.clock.monotonic_ns()
        took_s = (self._saved_at_ns - began_ns) / 1e9
        self._save_every_s = min(max(SAVE_SHARE * took_s, SAVE_EVERY_S_MIN), SAVE_EVERY_S_MAX)

    def _resume(self) -> None:
        content = self._store.saved()
        if content is None:
            return
        try:
            why = self._restored(decode(content))
        except (ValueError, KeyError) as error:
            why = str(error)
        if why:
            self._tell(f"learns again from the journal's beginning: {why}")
            self.position, self._handled = 0, {}
            self._begin()

    def _restored(self, snapshot: Snapshot) -> str:
        """Continue from a snapshot; why that can't be, where it can't."""
        if snapshot.history != self._source.journal.identity:
            return "what was saved is of another journal"
        changes = [one for one in self._settings.since(0) if one.number <= snapshot.settings]
        ordinary = [one for one in in_force(changes).values() if one.kind != ChangeKind.STATE]
        if ordinary:
            try:
                self._setups.change(self.loop, ordinary)
            except Inapplicable as error:
                return str(error)
        meaning = self.loop.stages.meaning
        for part in self.loop.parts:
            if part != "windows" and part in meaning and not follows(part, meaning[part], snapshot.meaning.get(part)):
                return f"{part} means something else now: {'; '.join(_differences(meaning, snapshot, part))}"
        self.loop.restore(snapshot.state)
        self._handled = {
            name.partition("/")[2]: int(value[0])
            for name, value in snapshot.state.items() if name.startswith(f"{_HANDLED}/")
        }  # fmt: skip
        self.position = self._saved_position = snapshot.sequence
        return ""

    def _drop(self) -> None:
        """Let states go that no decision of the journal was made under any more."""
        source = self._source
        now_ns = source.clock.monotonic_ns()
        if source.retention_ns is None or now_ns - self._dropped_at_ns < DROP_EVERY_S * 1e9:
            return
        self._dropped_at_ns = now_ns
        self._store.drop(source.clock.now_ns() - source.retention_ns)


def _differences(meaning: object, snapshot: Snapshot, part: str) -> list[str]:
    now, was = dict(meaning)[part], snapshot.meaning.get(part)  # type: ignore[call-overload]
    return ["it is new"] if was is None else now.differences(was)


def _own(change: Change) -> bool:
    """Whether a learner published it, and not somebody who undid one or chose one."""
    return change.reverts == 0 and change.key.startswith(f"{_KEY}:")


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)

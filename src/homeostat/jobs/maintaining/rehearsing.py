"""A rehearsal over a recorded journal: a span of it is decided again in a shadow loop, as it was or under alterations.

The shadow's windows, breakers and learners are filled from the journal as far back as they look. It has the program
and libraries of now. It reads features from its own windows, and no outage comes in its way. It touches nothing that
is live. Run it in a process of its own: it takes as long as deciding the span does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Brain, Ports, brain, build, costs_of
from homeostat.config import plans
from homeostat.config.learners import learners_of
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.engine.assembly import bundle_of, fitting_bundle
from homeostat.engine.setups import Setups
from homeostat.engine.stores import Stores
from homeostat.jobs.compared import compared, seen_among
from homeostat.jobs.maintaining.filling import TOGETHER, Following, fill_windows, stand
from homeostat.jobs.maintaining.lately import Lately
from homeostat.jobs.maintaining.source import Source
from homeostat.jobs.recent import RecentColumns
from homeostat.maintain.blocks import events_together
from homeostat.models.bundle import Bundle
from homeostat.ports import Entry, NamedJournal
from homeostat.ports.rehearsal import Again, CanNotRehearse
from homeostat.records.arrays import Float, Mask, State
from homeostat.records.bodies import Body
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.identity import Identity, Ids
from homeostat.records.plans import Alteration
from homeostat.records.renaming import decisions_as, events_as, outcomes_as
from homeostat.records.times import time_text

ENTRIES_MAX = 1_000_000
"""So many entries before a span are read at most, to fill the windows."""
ROWS_MAX = 200_000
"""So many events of a span are decided again at most."""
_KEPT = 2  # Filled states: a plan tries several remedies from one moment on.
_APART_NS = 86_400 * 10**9  # Events that are recorded later than that are a recording's: their own time counts.
_MATURED_NS = 14 * 86_400 * 10**9
_GUARDED_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class _Filled:
    """A loop's state before the first entry of a span, the change that was in force, and the decisions before."""

    entry: int
    settings: int
    state: State
    lately: Lately


class JournalRehearsal:
    """See the module; a `Rehearsal`. For one thread.

    source : the journal, which a server may be writing
    stores : the settings and versions of the same app
    given : the bundle that the server was started with; None for the shipped one, or the champion
    """

    def __init__(self, source: Source, stores: Stores, given: Bundle | None = None) -> None:
        self._source, self._stores = source, stores
        prepared = source.prepared
        load = partial(fitting_bundle, prepared=prepared)
        given = given or bundle_of(prepared, None)
        self._bundle = given or stores.champion(load)
        self._base = stores.base(given)
        self._fetch = stores.fetch(load)
        self._states = None if stores.learning is None else stores.learning.state
        self._ready: Brain = brain(prepared.app, prepared.features, self._bundle)
        self._shared = not source.replays
        self._filled: OrderedDict[tuple[int, int], _Filled] = OrderedDict()

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        """See `Rehearsal`."""
        since = from_ns if since_ns is None else min(since_ns, from_ns)
        changes = self._stores.settings.since(0)
        filled = self._filled_before(since, changes)
        span = _Span(self, filled, changes, alterations)
        try:
            return span.decided(from_ns, until_ns)
        finally:
            span.loop.close()

    @property
    def source(self) -> Source:
        """The journal and its app."""
        return self._source

    def loop_before(self, stop: int) -> tuple[DecisionLoop, Setups]:
        """A loop that has seen nothing, and makes its setups. stop : the entry at which its journal ends"""
        source, prepared = self._source, self._source.prepared
        journal: Any = _Before(source.journal, stop)
        featurizer = None
        if self._shared:  # Such a process takes what a learner publishes, and does not learn.
            lists = plans.membership(prepared.app, prepared.coding)
            featurizer = WindowFeaturizer(prepared.features, lists, prepared.coding.places)
        ports = Ports(journal, SystemClock(), prepared.coding, bounded=False, featurizer=featurizer,
                      served=source.served)  # fmt: skip
        scorers = dict(zip(prepared.app.scorers, self._ready.scorers, strict=True))
        own = brain(prepared.app, prepared.features, self._bundle, scorers)
        loop = build(prepared.app, prepared.features, replace(own, scorers=self._ready.scorers), ports)
        return loop, Setups(prepared, self._bundle, self._ready, ports, self._fetch, self._states, self._base)

    def _filled_before(self, since_ns: int, changes: Sequence[Change]) -> _Filled:
        """The state before the first entry at or after a moment; it is kept for the next remedy."""
        first = self._first_at(since_ns)
        key = (first, changes[-1].number if changes else 0)
        if key not in self._filled:
            self._filled[key] = self._fill(first, since_ns, changes)
            while len(self._filled) > _KEPT:
                self._filled.popitem(last=False)
        self._filled.move_to_end(key)
        return self._filled[key]

    def _fill(self, first: int, since_ns: int, changes: Sequence[Change]) -> _Filled:
        app = self._source.prepared.app
        learns = bool(learners_of(app)) and not self._shared
        begin = 1 if learns else self._first_at(since_ns - self._past_ns())
        if first - begin > ENTRIES_MAX:
            raise CanNotRehearse(
                f"{first - begin:,} entries would have to be read to fill the windows before {time_text(since_ns)}, "
                f"and {ENTRIES_MAX:,} are the most"
            )
        guarded = begin if learns else self._first_at(since_ns - self._guarded_ns())
        loop, setups = self.loop_before(first)
        loop.rebuilds = False  # The windows are filled anyway.
        following = Following(loop, setups, changes)
        try:
            lately = Lately()
            fill_windows(following, self._entries(begin - 1, guarded), lately)
            stand(following, self._entries(guarded - 1, first), lately)
            return _Filled(first, following.number, loop.state(), lately)
        finally:
            loop.close()

    def _entries(self, after: int, stop: int) -> Iterator[Entry]:
        """Entries above one, up to and without another."""
        for entry in self._source.journal.read(after):
            if entry.sequence >= stop:
                return
            yield entry

    def _past_ns(self) -> int:
        """How far back the windows look, or as far as to say when outcomes become known."""
        prepared = self._source.prepared
        longest = max((one.length_ns + one.delay_ns for one in prepared.features.windows.windows), default=0)
        return max(longest + prepared.app.events.lateness, prepared.app.outcomes.matures + _MATURED_NS)

    def _guarded_ns(self) -> int:
        """How far back breakers and limits look."""
        return max([_GUARDED_NS, *(one.over for one in self._source.prepared.app.guards.breakers)])

    def _first_at(self, moment_ns: int) -> int:
        """The number of the first entry that came at or after a moment; one more than the last where none did."""
        low, high = 0, self._source.journal.last  # Entry `low` came before; all above `high` came after.
        while low < high:
            middle = (low + high) // 2
            came = self._came_above(middle)
            if came is None or came[1] >= moment_ns:
                high = middle
            else:
                low = came[0]
        return high + 1

    def _came_above(self, after: int) -> tuple[int, int] | None:
        """The first entry above one that says when it came, and when; None where none does."""
        for entry, recorded_ns in self._source.entries(after):
            if isinstance(entry.body, DecisionBatch) and len(entry.body):
                return entry.sequence, came_ns(entry.body, recorded_ns)
        return None


def came_ns(body: DecisionBatch, recorded_ns: int) -> int:
    """When decisions came: when they were recorded, where that is known and they are no recording's."""
    newest = int(body.events.time_ns.max())
    return recorded_ns if recorded_ns and abs(recorded_ns - newest) < _APART_NS else newest


class _Span:
    """One rehearsal of a span."""

    def __init__(
        self, rehearsal: JournalRehearsal, filled: _Filled, changes: Sequence[Change], alterations: Sequence[Alteration]
    ) -> None:
        self._source, self._filled = rehearsal.source, filled
        self.loop, setups = rehearsal.loop_before(filled.entry)
        self._following = Following(self.loop, setups, changes)
        self.loop.rebuilds = False
        self._following.upto(filled.settings)
        self.loop.restore(filled.state)
        self.loop.rebuilds = True
        self._alterations = alterations
        self._recent = RecentColumns(self._source.prepared, rows_max=ROWS_MAX)
        self._lately, self._newest_ns = filled.lately.copy(), 0
        self._waiting: list[EventBatch] = []
        self._rows = 0
        self._version = ""  # Of the last decision that counts.
        self._made: list[DecisionBatch] = []
        self._counts = False  # Whether the events that wait are of the span that was asked for.

    def decided(self, from_ns: int, until_ns: int) -> Again:
        """The comparison of a span's decisions. Alterations are in force from its state on."""
        self._following.alter(self._alterations, from_ns)
        came, rows = 0, 0
        for entry, recorded_ns in self._source.entries(self._filled.entry - 1):
            body = entry.body
            if isinstance(body, OutcomeBatch):
                self._recent.take(body, recorded_ns)
                self._lately.learn(body)
                if came < until_ns:
                    self._learn(body)
            elif isinstance(body, DecisionBatch) and len(body):
                came = max(came, came_ns(body, recorded_ns))
                self._newest_ns = came
                if came >= until_ns:
                    continue
                rows += len(body)
                if rows > ROWS_MAX:
                    raise CanNotRehearse(f"more than {ROWS_MAX:,} events came since {time_text(from_ns)}")
                self._take(body, came, came >= from_ns)
        self._decide()
        self._check_models()
        recent = self._recent.until(until_ns)
        made = compared(recent, np.arange(len(recent)), self._made, costs_of(self._source.prepared.app))
        return replace(made, seen=self._seen(len(made)))

    def _seen(self, n: int) -> Float | None:
        """(n,) see `Again.seen`: of the last n decisions, as of the journal's newest one."""
        app = self._source.prepared.app
        _, time_ns, action = self._lately.decided()
        label, known_ns = self._lately.known()
        censored = np.isin(action, [at for at, name in enumerate(app.actions) if name in app.outcomes.censoring])
        rows = np.arange(len(time_ns) - n, len(time_ns))
        return seen_among(
            self._newest_ns - time_ns, label, known_ns - time_ns, censored, app.outcomes.matures, rows
        )  # fmt: skip

    def _check_models(self) -> None:
        """Models that a server was given by hand are known to it alone."""
        was, now = self._version.partition("+")[2], self.loop.stages.version.partition("+")[2]
        if was != now and self._version and all(one.kind != ChangeKind.DEPLOY for one in self._alterations):
            raise CanNotRehearse(
                f"the decisions were made by the models {was or 'of no bundle'}, and here are "
                f"{now or 'none'}: name the server's --bundle"
            )

    def _take(self, body: DecisionBatch, came: int, counts: bool) -> None:
        if body.settings > self._following.number or counts != self._counts:
            self._decide()
            self._following.upto(body.settings)
            self._counts = counts
        if counts:
            self._recent.take(body, came)
            self._version = body.version
        stages = self.loop.stages
        self._lately.take(decisions_as(body, stages.words, stages.panel.names, stages.coding))
        came_as = events_as(body.events.as_came, body.words, stages.words, stages.coding)
        self._waiting.append(stages.watermark.unmarked(came_as))
        self._rows += len(came_as)
        if self._rows >= TOGETHER:
            self._decide()

    def _learn(self, body: OutcomeBatch) -> None:
        self._decide()
        stages = self.loop.stages
        self.loop.whole(self.loop.remember, outcomes_as(body, stages.words.entities, stages.coding))

    def _decide(self) -> None:
        """Decide the events that wait."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if not waiting:
            return
        events, repairing = events_together(waiting), self.loop.stages.repairing
        made = self.loop.whole(self.loop.run, events if repairing is None else repairing.repaired(events))
        if self._counts:
            self._made.append(made)


class _Before:
    """A journal as it was before an entry, to which nothing is added. No event that comes was decided before.

    stop : the first entry that is not read
    """

    def __init__(self, journal: NamedJournal, stop: int) -> None:
        self._journal, self._stop = journal, stop

    def append(self, body: Body) -> int:
        """Nothing is kept."""
        return 0

    def read(self, after: int = 0) -> Iterator[Entry]:
        """The entries before."""
        for entry in self._journal.read(after):
            if entry.sequence >= self._stop:
                return
            yield entry

    def seen(self, ids: Ids) -> Mask:
        """(n,) none."""
        return np.zeros(len(ids), np.bool_)

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        """A decision that was made, for a quarantine."""
        return self._journal.find(event_id)

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """The same for several."""
        return self._journal.find_all(ids)

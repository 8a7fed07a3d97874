"""Features computed again from the journal, for a sample of the entities: to be compared with those that were served.

All events of a sampled entity are replayed in the journal's order through the windows that serve. A feature is compared
where each entity that it rests on is in the sample, once the windows have seen as much of the past as it looks back.
Features that rest on labels or lists are left out, since the journal does not say at which event of a batch these came.

The cost is bounded: of a busy app the share of the entities is halved after a day with more sampled events than
`DAILY_MAX`. Those that stay in the sample have been in it from the start. Entries are replayed many at once, since one
by one each would cost as much as hundreds of events.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from homeostat.config import plans
from homeostat.config.tree import App
from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.plan import LABEL, Kind, LabelFilter, Window
from homeostat.maintain.blocks import events_together
from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.serving import Replayed
from homeostat.records.arrays import AnyArray, Bits, Float, Int, Mask, State
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch
from homeostat.records.identity import ABSENT, Coding, Ids, rows_in
from homeostat.records.renaming import events_as
from homeostat.stats.chance import keyed_chances

DAILY_MAX = 512
_TOGETHER = 2048  # Events that are replayed at once, about.
_DAY_NS = 86_400 * 10**9
_NOBODY = np.iinfo(np.int64).max
_MARK = "windows/"


@dataclass(frozen=True, slots=True)
class Rests:
    """The entities and the past that each feature rests on.

    entities : (features, entities)
    back_ns : (features,) how far it looks back
    never : (features,) whether it can't be compared
    """

    entities: Mask
    back_ns: Int
    never: Mask


class WindowReplayer:
    """See the module; a `maintain.monitor.serving.Replayer`. Entries come in by `take`, before their tick closes.

    share : of the entities, at first
    rows_max : so many replayed events wait for their tick; of more, the oldest are dropped
    daily_max : sampled events of a day, beyond which the share is halved from the next day on
    """

    def __init__(
        self, app: App, features: FeaturePlan, coding: Coding, maker: str, share: float = 1 / 32,
        rows_max: int = 16_384, daily_max: int = DAILY_MAX,
    ) -> None:  # fmt: skip
        self._plan, self._coding, self._maker = features, coding, maker
        self._words, self._share, self._rows_max = plans.vocabulary(app), share, rows_max
        self._daily_max, self._lateness_ns = daily_max, app.events.lateness
        self._day, self._of_day = 0, 0  # The day of the latest events, and its sampled ones so far.
        self._pending: list[tuple[EventBatch, bool]] = []
        self._pending_rows = 0
        self._windows = WindowFeaturizer(features, plans.membership(app, coding), coding.places)
        self._rests = rests_of(features)
        # An entity on which nothing rests that can be compared need not be replayed.
        self._columns = np.flatnonzero(self._rests.entities[~self._rests.never].any(axis=0)).tolist()
        self._keys: Bits = np.array([coding.words(b"replayed")], np.uint64)
        self._begun_ns = _NOBODY
        width = len(features.names)
        self._waiting = Waiting(
            np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, width)), np.zeros((0, width), bool)
        )

    @property
    def share(self) -> float:
        """The share of the entities that is replayed now."""
        return self._share

    def take(self, body: Body) -> None:
        """Take an entry in, in the journal's order. Its events are replayed with those of others."""
        if not isinstance(body, DecisionBatch) or not len(body):
            return
        events = events_as(body.events, body.words, self._words, self._coding)
        # Another app file's features may mean something else. The windows have to see its events all the same.
        self._pending.append((events, body.version.partition("+")[0] == self._maker))
        self._pending_rows += len(events)
        if self._pending_rows >= _TOGETHER:
            self._catch_up()

    def _catch_up(self) -> None:
        """Replay the sampled events of the entries that wait."""
        pending, self._pending, self._pending_rows = self._pending, [], 0
        if not pending:
            return
        events = events_together([one for one, _ in pending])
        ours = np.repeat([mine for _, mine in pending], [len(one) for one, _ in pending])
        days = np.maximum(np.maximum.accumulate(events.time_ns) // _DAY_NS, self._day)
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(events)]
        for start, stop in pairwise(edges):
            self._begin(int(days[start]), int(events.time_ns[start]))
            self._replay(events.slice(start, stop), ours[start:stop])

    def _begin(self, day: int, time_ns: int) -> None:
        """Note the first event of all. At a new day, halve the share where the last one had too many sampled events."""
        if self._begun_ns == _NOBODY:
            self._begun_ns = time_ns + self._lateness_ns
        if day == self._day:
            return
        while self._of_day > self._daily_max:
            self._share, self._of_day = self._share / 2, self._of_day // 2
        self._day, self._of_day = day, 0

    def _replay(self, events: EventBatch, ours: Mask) -> None:
        """Replay the sampled ones of some events.

        ours : (n,) whether this app file's features were served
        """
        sampled = self._sampled(events.keys, events.key_checks)
        rows = np.flatnonzero(sampled.any(axis=1)) if self._columns else self._some(events)
        self._of_day += len(rows)
        if not len(rows):
            return
        some, mine = events.rows(rows), ours[rows]
        values = self._windows.features(some).values
        missing = self._rests.entities[None, :, :] & ~sampled[rows][:, None, :]
        old = some.time_ns[:, None] - self._rests.back_ns[None, :] >= self._begun_ns
        known = ~missing.any(axis=2) & (old | (self._rests.back_ns == 0)) & ~self._rests.never
        self._waiting = self._waiting.more(
            Waiting(some.id_code[mine], some.id_check[mine], values[mine], known[mine]), self._rows_max
        )

    def _some(self, events: EventBatch) -> Int:
        """The sampled events where only fields can be compared."""
        return np.flatnonzero(keyed_chances(self._keys, events.id_code, events.id_check)[:, 0] < self._share)

    def replayed(self, tick: Tick) -> Replayed | None:
        """See `Replayer`."""
        self._catch_up()
        waiting, of_row = self._waiting, np.full(len(tick), -1, np.int64)
        left, rows = np.arange(len(waiting.code)), np.arange(len(tick))
        while len(rows) and len(left):  # Twice only where events were decided twice: each has its own values.
            at = rows_in(Ids(waiting.code[left], waiting.check[left]), tick.events.ids[rows])
            rows, at = rows[at >= 0], at[at >= 0]
            place, first = np.unique(at, return_index=True)
            of_row[rows[first]] = left[place]
            left, rows = np.delete(left, place), np.delete(rows, first)
        self._waiting = waiting.rows(left)
        found = np.flatnonzero(of_row >= 0)
        return Replayed(found, waiting.values[of_row[found]], waiting.known[of_row[found]]) if len(found) else None

    def _sampled(self, keys: Int, checks: Int) -> Mask:
        """(n, entities) whether each key is of the sample; of those that matter."""
        found = np.zeros(keys.shape, bool)
        for column in self._columns:
            code, check = np.ascontiguousarray(keys[:, column]), np.ascontiguousarray(checks[:, column])
            found[:, column] = (keyed_chances(self._keys, code, check)[:, 0] < self._share) & (code != ABSENT)
        return found

    def state(self) -> State:
        """The windows of the sample, and what waits."""
        self._catch_up()
        found: State = {_MARK + name: column for name, column in self._windows.state().items()}
        found |= {name: getattr(self._waiting, name).copy() for name in Waiting.__slots__}
        found["begun"] = np.array([self._begun_ns, self._day, self._of_day])
        found["share"] = np.array([self._share])
        return found

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        windows = {name.removeprefix(_MARK): one for name, one in state.items() if name.startswith(_MARK)}
        self._windows.restore(windows)
        columns: dict[str, AnyArray] = {name: np.asarray(state[name]) for name in Waiting.__slots__}
        self._waiting = Waiting(**columns)
        self._begun_ns, self._day, self._of_day = np.asarray(state["begun"], np.int64).tolist()
        self._share = float(state["share"][0])
        self._pending, self._pending_rows = [], 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Replayed events whose tick has not closed.

    code, check : (m,) their ids; values, known : (m, features)
    """

    code: Int
    check: Int
    values: Float
    known: Mask

    def rows(self, at: Int | slice) -> Waiting:
        """Some of them."""
        return Waiting(self.code[at], self.check[at], self.values[at], self.known[at])

    def more(self, other: Waiting, rows_max: int) -> Waiting:
        """These and others, the last `rows_max` of them."""
        both = Waiting(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in Waiting.__slots__))
        return both.rows(slice(-rows_max, None))


def rests_of(plan: FeaturePlan) -> Rests:
    """Entities and past by feature: fields rest on nothing, windows on their entity, derived ones on theirs."""
    width = len(plan.names)
    entities, back = np.zeros((width, plan.entities), bool), np.zeros(width, np.int64)
    never = np.zeros(width, bool)
    lists = any(program.lists for program in plan.inputs)
    for window in plan.windows.windows:
        for aggregate in window.aggregates:
            at = plan.fields + aggregate.slot
            entities[at, window.entity] = True
            back[at] = window.length_ns + window.delay_ns
            never[at] = lists or _reads_labels(window)
    start = width - len(plan.derived)
    for number, (program, sources) in enumerate(zip(plan.derived, plan.sources, strict=True)):
        at = start + number
        for source in sources:
            entities[at] |= entities[source]
            back[at] = max(back[at], back[source])
            never[at] |= never[source]
        never[at] |= bool(program.lists)
    return Rests(entities, back, never)


def _reads_labels(window: Window) -> bool:
    return window.label != LabelFilter.ANY or any(
        one.value == LABEL or one.kind == Kind.COUNT_SINCE for one in window.aggregates
    )

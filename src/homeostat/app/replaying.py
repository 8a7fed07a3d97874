"""Features computed again from the journal, for a sample of the entities: to be compared with those that were served.

All events of a sampled entity are replayed in the journal's order through the windows that serve. A feature is compared
where each entity that it rests on is in the sample, once the windows have seen as much of the past as it looks back.
Features that rest on labels or lists are left out, since the journal does not say at which event of a batch these came.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.config import plans
from homeostat.config.tree import App
from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.plan import LABEL, Kind, LabelFilter, Window
from homeostat.maintain.contracts import Tick
from homeostat.maintain.monitor.serving import Replayed
from homeostat.records.arrays import AnyArray, Bits, Float, Int, Mask, State
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import ABSENT, Coding, Ids, rows_in
from homeostat.records.renaming import events_as
from homeostat.stats.chance import keyed_chances

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

    share : of the entities
    rows_max : so many replayed events wait for their tick; of more, the oldest are dropped
    """

    def __init__(
        self, app: App, features: FeaturePlan, coding: Coding, maker: str, share: float = 1 / 16, rows_max: int = 65_536
    ) -> None:
        self._plan, self._coding, self._maker = features, coding, maker
        self._words, self._share, self._rows_max = plans.vocabulary(app), share, rows_max
        self._windows = WindowFeaturizer(features, plans.membership(app, coding), coding.places)
        self._rests = rests_of(features)
        self._keys: Bits = np.array([coding.words(b"replayed")], np.uint64)
        self._begun_ns = _NOBODY
        width = len(features.names)
        self._waiting = Waiting(
            np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, width)), np.zeros((0, width), bool)
        )

    def take(self, body: Body) -> None:
        """Replay the sampled events of an entry, in the journal's order."""
        if not isinstance(body, DecisionBatch) or not len(body):
            return
        events = events_as(body.events, body.words, self._words, self._coding)
        self._begun_ns = min(self._begun_ns, int(events.time_ns.min()))
        sampled = self._sampled(events.keys, events.key_checks)
        rows = np.flatnonzero(sampled.any(axis=1)) if sampled.shape[1] else np.arange(len(events))
        if not len(rows):
            return
        some = events.rows(rows)
        values = self._windows.features(some).values
        if body.version.partition("+")[0] != self._maker:
            return  # Another app file's features may mean something else. The windows had to see its events.
        missing = self._rests.entities[None, :, :] & ~sampled[rows][:, None, :]
        old = some.time_ns[:, None] - self._rests.back_ns[None, :] >= self._begun_ns
        known = ~missing.any(axis=2) & (old | (self._rests.back_ns == 0)) & ~self._rests.never
        self._waiting = self._waiting.more(Waiting(some.id_code, some.id_check, values, known), self._rows_max)

    def replayed(self, tick: Tick) -> Replayed | None:
        """See `Replayer`."""
        at = rows_in(Ids(self._waiting.code, self._waiting.check), tick.events.ids)
        rows = np.flatnonzero(at >= 0)
        if not len(rows):
            return None
        place = at[rows]
        found = Replayed(rows, self._waiting.values[place], self._waiting.known[place])
        left = np.ones(len(self._waiting.code), bool)
        left[place] = False
        self._waiting = self._waiting.rows(left)
        return found

    def _sampled(self, keys: Int, checks: Int) -> Mask:
        """(n, entities) whether each key is of the sample."""
        found = np.zeros(keys.shape, bool)
        for column in range(keys.shape[1]):
            code, check = np.ascontiguousarray(keys[:, column]), np.ascontiguousarray(checks[:, column])
            found[:, column] = (keyed_chances(self._keys, code, check)[:, 0] < self._share) & (code != ABSENT)
        return found

    def state(self) -> State:
        """The windows of the sample, and what waits."""
        found: State = {_MARK + name: column for name, column in self._windows.state().items()}
        found |= {name: getattr(self._waiting, name).copy() for name in Waiting.__slots__}
        found["begun"] = np.array([self._begun_ns])
        return found

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        windows = {name.removeprefix(_MARK): one for name, one in state.items() if name.startswith(_MARK)}
        self._windows.restore(windows)
        columns: dict[str, AnyArray] = {name: np.asarray(state[name]) for name in Waiting.__slots__}
        self._waiting = Waiting(**columns)
        self._begun_ns = int(state["begun"][0])


@dataclass(frozen=True, slots=True)
class Waiting:
    """Replayed events whose tick has not closed.

    code, check : (m,) their ids; values, known : (m, features)
    """

    code: Int
    check: Int
    values: Float
    known: Mask

    def rows(self, at: Mask | slice) -> Waiting:
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

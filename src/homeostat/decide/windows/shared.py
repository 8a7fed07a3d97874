"""Features of entities whose pasts are shared: logs in a feature store, which every worker appends to and reads.

The store keeps what happened; the kernels of `engine` compute, in each worker, what follows from it. A worker remembers
the logs that it has read and asks only for what is new, so that a batch costs one round trip and as much data as it has
events, however long the windows are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from homeostat.decide.windows.assemble import assemble
from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.featurizer import writable
from homeostat.decide.windows.followed import FollowedWindows, RowLayout
from homeostat.expressions import Membership, Programs
from homeostat.ports import Unavailable
from homeostat.ports.shared import Asked, FeatureStore, Logs, LogsLost, Shown
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.events import EventBatch, Row
from homeostat.records.features import Features, Freshness
from homeostat.records.identity import ABSENT, text_of
from homeostat.records.reasons import Fallback

_EVENT, _LATE, _OUTCOME = int(Row.EVENT), int(Row.LATE_EVENT), int(Row.OUTCOME)
_STALE = int(Freshness.STALE)


@dataclass(slots=True)
class _Column:
    """The rows of a batch that name entities of one kind, entity by entity.

    events : (r,) which event each row is
    keys, ids : (g,) the entities
    ends : (g,) where each one's rows end
    rows : (r, words)
    """

    entity: int
    layout: RowLayout
    events: Int
    keys: Int
    ids: list[str]
    ends: Int
    rows: Int
    known: Int


def log_version(plan: FeaturePlan) -> str:
    """Eight characters that differ where logs would mean something else: apps and versions never mix theirs."""
    told = repr((plan.names[: plan.fields], plan.entities, [program.text for program in plan.inputs]))
    return hashlib.sha256(told.encode() + plan.windows.fingerprint()).hexdigest()[:8]


class SharedFeaturizer:
    """Turns events into features as `WindowFeaturizer` does; a `decide.contracts.Featurizer`.

    entities : their names, in the order of `EventBatch.keys`
    skew_ns : how much further than the app's lateness the shared entities' events may be out of order
    when_down : what a decision sees while the store is away: `stale` (what this worker remembers and sees itself,
        where it knows the entity) or `absent`
    behind : whether the store was away and lacks events; until `rejoin`, features are those of `when_down`
    through : the last journal entry of which this worker knows that it and all before it are in the store
    """

    def __init__(
        self,
        plan: FeaturePlan,
        store: FeatureStore,
        entities: Sequence[str],
        *,
        skew_ns: int = 0,
        when_down: str = "stale",
        lists: Membership | None = None,
    ) -> None:
        self.plan, self.store, self.entities = plan, store, tuple(entities)
        self.behind = False
        self.trouble = ""
        self.through: int | None = None
        self._when_down = when_down
        self._windows_plan = replace(plan.windows, lateness_ns=plan.windows.lateness_ns + skew_ns)
        self.windows = FollowedWindows(self._windows_plan)
        base = plan.fields + plan.windows.features
        self._inputs = Programs(plan.inputs, range(plan.fields, plan.fields + len(plan.inputs)), lists)
        self._derived = Programs(plan.derived, range(base, base + len(plan.derived)), lists)
        self._masks_from = plan.fields + len(plan.inputs) - plan.masks
        self._ends: Int = np.cumsum([len(s) for s in plan.sources], dtype=np.int64)
        self._sources: Int = np.array([column for s in plan.sources for column in s], dtype=np.int64)
        self._names = [tuple(plan.names[plan.fields + slot] for slot in slots) for slots in self.windows.slots]

    def features(self, events: EventBatch) -> Features:
        """The features of each row as of that row; events and outcomes are in the entities' logs then."""
        plan, n = self.plan, len(events)
        events = writable(events)
        columns = self._columns(events)
        shape = (n, plan.fields + plan.windows.features + len(plan.derived))
        values, freshness = np.full(shape, np.nan), np.zeros(shape, np.uint8)
        for entity, layout in enumerate(self.windows.layouts):
            if layout is not None:
                nameless = np.flatnonzero(events.keys[:, entity] == ABSENT)
                self.windows.leave_absent(entity, nameless, values, freshness, plan.fields)
        logs = self._exchange(columns)
        fallback = 0
        if logs is None:
            fallback = Fallback.FEATURES_STALE if self._when_down == "stale" else Fallback.FEATURES_ABSENT
            for column in columns:
                self._guess(column, events, values, freshness)
        else:
            for column, log in zip(columns, logs, strict=True):
                self._follow(column, log, events, values, freshness)
            self._show(columns, events, values, freshness)
        assemble(events.numbers, self._ends, self._sources, values, freshness)
        if plan.derived:
            self._derived.run(values, events.keys, events.time_ns)
        return Features(plan.names, values, freshness, fallback)

    def write(self, events: EventBatch) -> None:
        """Let events and outcomes be in the logs, once, whoever may have written them before; reads nothing.

        Raises Unavailable.
        """
        columns = self._columns(writable(events), pinned=False)
        self.store.exchange([self._asked(column, read=False) for column in columns])

    def forget(self) -> None:
        """Know nothing of any log: what comes next may have been written by another worker already."""
        self.windows = FollowedWindows(self._windows_plan)

    def rejoin(self) -> None:
        """The store is whole again: go on with it."""
        self.forget()
        self.behind, self.trouble = False, ""

    def _columns(self, events: EventBatch, pinned: bool = True) -> list[_Column]:
        seen = self._seen(events)
        masks = (seen[:, self._masks_from :] != 0.0).view(np.uint8)
        made = []
        for entity, layout in enumerate(self.windows.layouts):
            if layout is not None:
                column = self._column(entity, layout, events, seen, masks, pinned)
                if column is not None:
                    made.append(column)
        return made

    def _column(
        self, entity: int, layout: RowLayout, events: EventBatch, seen: Float, masks: Bytes, pinned: bool
    ) -> _Column | None:
        keys = events.keys[:, entity]
        named = keys != ABSENT
        if not layout.label:
            named &= events.kind != _OUTCOME  # An outcome changes nothing where no window asks about it.
        rows = np.flatnonzero(named)
        if len(rows) == 0:
            return None
        rows = rows[np.argsort(keys[rows], kind="stable")]
        sorted_keys = keys[rows]
        last = np.append(sorted_keys[1:] != sorted_keys[:-1], True)
        ends = np.flatnonzero(last) + 1
        distinct = sorted_keys[ends - 1]
        packed = layout.pack(
            events.time_ns[rows], events.id_code[rows], events.kind[rows].astype(np.int64), events.label[rows],
            masks[rows], seen[rows],
        )  # fmt: skip
        ids = [text_of(key, events.texts) for key in distinct.tolist()]
        known = self.windows.pin(entity, distinct) if pinned else np.zeros(len(distinct), np.int64)
        return _Column(entity, layout, rows, distinct, ids, ends, packed, known)

    def _seen(self, events: EventBatch) -> Float:
        if not self.plan.inputs:
            return events.numbers
        seen: Float = np.empty((len(events), self.plan.windows.values))
        seen[:, : self.plan.fields] = events.numbers
        self._inputs.run(seen, events.keys, events.time_ns)
        return seen

    def _asked(self, column: _Column, read: bool = True) -> Asked:
        kind = column.rows[:, 2]
        width = column.layout.words * 8
        starts = np.append(0, column.ends[:-1])
        newest = np.maximum.reduceat(np.where(kind == _EVENT, column.rows[:, 0], np.iinfo(np.int64).min), starts)
        given, ends = column.rows, column.ends
        if (kind == _LATE).any():  # Late events look, and leave no trace.
            given = column.rows[kind != _LATE]
            ends = np.cumsum(kind != _LATE)[column.ends - 1]
        whole = given.tobytes()
        bounds = [0, *(ends * width).tolist()]
        data = [whole[bounds[g] : bounds[g + 1]] for g in range(len(ends))]
        return Asked(
            self.entities[column.entity], column.ids, column.known.tolist(), data, newest.tolist(), width,
            self.windows.retained_ns(column.entity), read,
        )  # fmt: skip

    def _exchange(self, columns: list[_Column]) -> list[Logs] | None:
        """The logs, None while the store is away."""
        if not self.behind:
            try:
                return self.store.exchange([self._asked(column) for column in columns], self.through)
            except (Unavailable, LogsLost) as error:
                self.behind, self.trouble = True, str(error)
        for column in columns:
            self.windows.unpin(column.entity, column.keys)
        return None

    def _follow(self, column: _Column, log: Logs, events: EventBatch, values: Float, freshness: Bytes) -> None:
        rows, ends = column.rows, column.ends
        emits = np.where(rows[:, 2] == _OUTCOME, -1, column.events)
        if any(data is not None for data in log.data):
            rows, emits, ends, known = _merged(column, emits, log)
        else:
            own = np.add.reduceat((rows[:, 2] != _LATE).astype(np.int64), np.append(0, ends[:-1]))
            known = np.array(log.start, np.int64) + own
        self.windows.follow(
            column.entity, column.keys, ends, np.ascontiguousarray(rows), emits, known, values, freshness,
            self.plan.fields,
        )  # fmt: skip
        column.known = known

    def _guess(self, column: _Column, events: EventBatch, values: Float, freshness: Bytes) -> None:
        """What this worker remembers of the entities, its own events since included; nothing of those it never met."""
        wanted = column.rows[:, 2] != _OUTCOME
        met = np.repeat(column.known > 0, np.diff(column.ends, prepend=0)) & (self._when_down == "stale")
        unknown = column.events[wanted & ~met]
        self.windows.leave_absent(column.entity, unknown, values, freshness, self.plan.fields)
        if not met.any():
            return
        emits = np.where(wanted, column.events, -1)[met]
        groups = column.known > 0
        ends = np.cumsum(np.diff(column.ends, prepend=0)[groups])
        self.windows.follow(
            column.entity, column.keys[groups], ends, np.ascontiguousarray(column.rows[met]), emits,
            column.known[groups], values, freshness, self.plan.fields,
        )  # fmt: skip
        slots = np.array(self.windows.slots[column.entity]) + self.plan.fields
        freshness[np.ix_(emits[emits >= 0], slots)] = _STALE

    def _show(self, columns: list[_Column], events: EventBatch, values: Float, freshness: Bytes) -> None:
        shown = []
        for column in columns:
            rows = column.events[column.ends - 1]
            met = events.kind[rows] != _OUTCOME
            slots = np.array(self.windows.slots[column.entity]) + self.plan.fields
            now = values[np.ix_(rows[met], slots)]
            worst = freshness[np.ix_(rows[met], slots)].max(axis=1, initial=0)
            ids = column.ids if met.all() else [one for one, is_met in zip(column.ids, met.tolist()) if is_met]
            shown.append(Shown(
                self.entities[column.entity], ids, column.known[met].tolist(), self._names[column.entity], now,
                worst.tolist(), events.time_ns[rows[met]].tolist(),
            ))  # fmt: skip
        self.store.show(shown)

    def state(self) -> State:
        """Nothing: all that the past left behind is in the store."""
        return {}

    def restore(self, state: State) -> None:
        """Begin anew; the store remembers."""
        self.forget()


def _merged(column: _Column, emits: Int, log: Logs) -> tuple[Int, Int, Int, Int]:
    """The rows of logs that others have written to as well, with where their features go, their ends, and how many
    rows of each log are known then. An event is where it lies in the log, whoever wrote it; a late one, which is not in
    the log, comes where it came."""
    rows, goes, known, lengths = [], [], [], []
    start = 0
    for g, stop in enumerate(column.ends.tolist()):
        own, own_emits = column.rows[start:stop], emits[start:stop]
        start = stop
        data = log.data[g]
        if data is None:
            rows.append(own)
            goes.append(own_emits)
            lengths.append(len(own))
            known.append(log.start[g] + int(np.count_nonzero(own[:, 2] != _LATE)))
            continue
        read = np.frombuffer(data, np.int64).reshape(-1, column.layout.words)
        known.append(log.start[g] + len(read))
        merged, to = _placed(read, own, own_emits)
        rows.append(merged)
        goes.append(to)
        lengths.append(len(merged))
    return np.concatenate(rows), np.concatenate(goes), np.cumsum(lengths), np.array(known, np.int64)


def _placed(read: Int, own: Int, own_emits: Int) -> tuple[Int, Int]:
    """What was read, with this batch's late events among it, and where each row's features go."""
    places = {(time, tag): row for row, (time, tag, kind) in enumerate(read[:, :3].tolist()) if kind == _EVENT}
    to = np.full(len(read), -1)
    after, late = 0, []
    for row, (time, tag, kind) in enumerate(own[:, :3].tolist()):
        if kind == _EVENT:
            after = places[time, tag] + 1
            to[after - 1] = own_emits[row]
        elif kind == _LATE:
            late.append((after or len(read), row))
    if not late:
        return read, to
    at = [place for place, _ in late]
    mine = [row for _, row in late]
    return np.insert(read, at, own[mine], axis=0), np.insert(to, at, own_emits[mine])

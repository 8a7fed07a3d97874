"""The sliding windows of all entities: the state machine that turns events into features.

It does no I/O and reads no clock. Importing it loads the kernels' compiler; the first call compiles them, or loads
them from the cache beside this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from homeostat.decide.windows import layout as at
from homeostat.decide.windows.memory import measure, move_all
from homeostat.decide.windows.plan import ABSENT_KEY, WindowPlan
from homeostat.decide.windows.pool import POOL_WORDS
from homeostat.decide.windows.program import program
from homeostat.decide.windows.rows import DONE, Q_WORDS, SCRATCH_COLUMNS, advance
from homeostat.records.identity import PLACES

__all__ = ["ABSENT_KEY", "State", "Windows"]

State: TypeAlias = dict[str, npt.NDArray[np.generic]]

CHUNK_ROWS = 131072
"""Rows sorted by entity at a time: enough for many per entity, so that its state and log are fetched once for all."""

STATE_WORDS_MIN = 512
LOG_WORDS_MIN = 1024


class Windows:
    """Exact window aggregates per event, for every window of a plan.

    places : see `Coding.places`, of entities and of the values that `distinct` counts

    >>> import numpy as np
    >>> from homeostat.decide.windows.plan import Aggregate, Kind, LabelFilter, Window, WindowPlan
    >>> hour = Window(0, 3_600_000_000_000, 0, -1, LabelFilter.ANY, False, (Aggregate(Kind.SUM, 0, 0),))
    >>> windows = Windows(WindowPlan(1, 1, 0, 1, (hour,), 0, True))
    >>> n = 3
    >>> values, freshness = windows.advance(
    ...     time_ns=np.array([0, 1, 2]), keys=np.full((n, 1), 7), checks=np.zeros((n, 1), int),
    ...     values=np.array([[1.0], [2.0], [4.0]]), masks=np.zeros((n, 0), bool),
    ...     label=np.full(n, np.nan), tag=np.arange(n), kind=np.zeros(n, np.uint8))
    >>> values[:, 0].tolist()
    [1.0, 3.0, 7.0]
    """

    def __init__(self, plan: WindowPlan, places: int = PLACES) -> None:
        self.plan, self._places = plan, places
        self._program = program(plan, places)
        entities = self._program[at.G_WORDS : self._program[at.G_ENTITIES_TO]].reshape(-1, at.P_COLUMNS)
        self._scratch_words = int(entities[:, at.P_ROW_WORDS].max(initial=1))
        self._first_log = int(self._program[at.G_POOL]) + POOL_WORDS
        self._all_named = len({a.slot for w in plan.windows for a in w.aggregates}) == plan.features
        self._emits_max = int((entities[:, at.P_EMIT_TO] - entities[:, at.P_EMIT_FROM]).max(initial=0)) // at.M_COLUMNS
        self._make_scratch(1)
        self._memory = self._allocate(0, 0, 0)
        self._memory.counters[:] = 0
        self._memory.counters[at.C_NEWEST] = at.NEVER
        self._memory.counters[at.C_LOG_USED] = self._first_log
        self._memory.hash_states[:] = -1

    def advance(
        self,
        time_ns: npt.NDArray[np.int64],
        keys: npt.NDArray[np.int64],
        checks: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64],
        masks: npt.NDArray[np.bool_] | npt.NDArray[np.uint8],
        label: npt.NDArray[np.float64],
        tag: npt.NDArray[np.int64],
        kind: npt.NDArray[np.uint8],
        before: int = 0,
        after: int = 0,
        reach_ns: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
        """Takes n rows in their order; returns their features (n, F) and each one's freshness (n, F).

        time_ns : (n,) event times, ns since 1970 (UTC), between the years 1900 and 2100; of an outcome, its event's.
        keys, checks : (n, E) entities, see `records.identity`; ABSENT_KEY where the event names none.
        values : (n, V); a value that is not finite is none.
        masks : (n, M), true where a mask admits the event.
        label : (n,) the event's outcome, NaN while unknown.
        tag : (n,) identifies an event among those of its entity and time; only outcomes look for it.
        kind : (n,) of `RowKind`. An event older than the lateness allows is not inserted, whatever its kind.
        before, after : columns left beside the features, for the caller to fill: (n, before + F + after) come back.
            Their freshness is 0.
        reach_ns : (n,) how far each event moves the time from which what is kept is counted; its own time when absent.
        Windows of an absent entity: counts, sums, rates and distincts are 0, others NaN, freshness ABSENT. Windows
        of an event so late that a part of them is no longer retained are of what is, freshness STALE. An outcome's
        features are NaN.
        Raises ValueError when a shape does not fit the plan.
        """
        n = len(time_ns)
        plan = self.plan
        batch = at.RowColumns(
            np.ascontiguousarray(time_ns, np.int64),
            np.ascontiguousarray(keys, np.int64),
            np.ascontiguousarray(checks, np.int64),
            np.ascontiguousarray(values, np.float64),
            np.ascontiguousarray(masks).view(np.uint8),
            np.ascontiguousarray(label, np.float64),
            np.ascontiguousarray(tag, np.int64),
            np.ascontiguousarray(kind, np.uint8),
            np.ascontiguousarray(time_ns if reach_ns is None else reach_ns, np.int64),
        )
        shapes = (
            (n,),
            (n, plan.entities),
            (n, plan.entities),
            (n, plan.values),
            (n, plan.masks),
            (n,),
            (n,),
            (n,),
            (n,),
        )
        found = tuple([column.shape for column in batch])
        if found != shapes:
            raise ValueError(f"columns have shapes {found}, the plan needs {shapes}")
        shape = (n, before + plan.features + after)
        features = np.empty(shape) if self._all_named else np.full(shape, np.nan)
        freshness = np.zeros(shape, dtype=np.uint8)
        if self._scratch[0].shape[1] < min(n, CHUNK_ROWS):
            self._make_scratch(min(n, CHUNK_ROWS))
        for start in range(0, n, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, n)
            entity = 0
            while True:
                entity = advance(
                    self._program,
                    self._memory,
                    batch,
                    start,
                    stop,
                    entity,
                    *self._scratch,
                    features,
                    freshness,
                    before,
                )
                if entity == DONE:
                    break
                self._make_room()
        return features, freshness

    def expire(self, now_ns: int) -> None:
        """Drops the entities that no event of `now_ns` less the lateness, or later, can see, and closes the gaps.

        It happens by itself when memory is full. With a `now_ns` not after the newest event's time it never changes
        a feature; with a later one, events earlier than `now_ns` less the lateness may miss what was dropped.
        """
        self._move(max(now_ns, self._newest))

    @property
    def _newest(self) -> int:
        return int(self._memory.counters[at.C_NEWEST])

    @property
    def entities(self) -> int:
        """Entities, of all key columns, with an event that a window may yet hold."""
        return int(measure(self._program, self._memory, self._newest)[0])

    @property
    def retained_events(self) -> int:
        """Events that a window may yet hold, over the logs of all entities."""
        return int(measure(self._program, self._memory, self._newest)[3])

    @property
    def nbytes(self) -> int:
        """Bytes of state, logs and hash map, free space included."""
        return self.log_nbytes + self._memory.state.nbytes + 2 * self._memory.hash_keys.nbytes

    @property
    def log_nbytes(self) -> int:
        """Bytes of the logs alone, free space included."""
        return self._memory.log.nbytes

    @property
    def too_late(self) -> int:
        """Events given for insertion that were older than the lateness allows."""
        return int(self._memory.counters[at.C_TOO_LATE])

    @property
    def unmatched_outcomes(self) -> int:
        """Outcomes whose event no log held."""
        return int(self._memory.counters[at.C_UNMATCHED])

    def state(self) -> State:
        """A snapshot: arrays that share nothing with the engine, from which it continues bit for bit."""
        self._move(self._newest)
        return self._copied()

    def taken(self) -> Callable[[], State]:
        """Take a snapshot. The call that is returned makes it what `state` would have been, in any thread.

        Copying takes a sixth of the time that `state` needs for moving everything alive together, which the call does
        with the copy while events go on.
        """
        plan, places, copied = self.plan, self._places, self._copied()
        return lambda: Windows.from_state(plan, copied, places)._copied()

    def _copied(self) -> State:
        m = self._memory
        return {
            "plan": np.frombuffer(self.plan.fingerprint(), dtype=np.uint8).copy(),
            "layout": np.array([at.LAYOUT], dtype=np.int64),
            "counters": m.counters.copy(),
            "entities": m.state[: m.counters[at.C_STATE_USED]].copy(),
            "log": m.log[: m.counters[at.C_LOG_USED]].copy(),
        }

    @classmethod
    def from_state(cls, plan: WindowPlan, state: State, places: int = PLACES) -> Windows:
        """The engine of which `state` is a snapshot. Raises ValueError if that had another plan or layout."""
        if "layout" not in state or state["layout"].tolist() != [at.LAYOUT]:
            raise ValueError("the snapshot's windows are laid out as by another version")
        if state["plan"].tobytes() != plan.fingerprint():
            raise ValueError("the snapshot was made with another plan")
        made = cls(plan, places)
        counters = np.array(state["counters"], dtype=np.int64)
        entities, log = (np.array(state[name], dtype=np.int64) for name in ("entities", "log"))
        keys = np.empty(1, dtype=np.int64)  # The map is rebuilt from the entities.
        made._memory = at.Memory(entities, entities.view(np.float64), log, log.view(np.float64), keys, keys, counters)
        made._move(made._newest)
        return made

    def with_lateness(self, lateness_ns: int) -> Windows:
        """The same windows, which take events that are so far behind the newest one from now on.

        Raises ValueError where that is out of range.
        """
        plan = replace(self.plan, lateness_ns=lateness_ns)
        state = {**self.state(), "plan": np.frombuffer(plan.fingerprint(), dtype=np.uint8)}
        return Windows.from_state(plan, state, self._places)

    def _make_scratch(self, rows: int) -> None:
        """The memory that a chunk of this many rows needs besides the state: nothing of it outlives the chunk."""
        self._scratch = (
            np.empty((SCRATCH_COLUMNS, rows), dtype=np.int64),
            *at.words(rows * (Q_WORDS + self._scratch_words)),
            np.empty(rows * self._emits_max),
        )

    def _allocate(self, entities: int, state_words: int, log_words: int) -> at.Memory:
        """Memory for this much and a third more, so that moving costs a constant per event."""
        places = 64
        while 3 * places < 4 * (entities + entities // 3):
            places *= 2
        return at.Memory(
            *at.words(state_words + state_words // 3 + STATE_WORDS_MIN),
            *at.words(log_words + log_words // 3 + self._first_log + LOG_WORDS_MIN),
            np.empty(places, dtype=np.int64),
            np.empty(places, dtype=np.int64),
            np.empty(at.C_COUNTERS, dtype=np.int64),
        )

    def _make_room(self) -> None:
        """Gives the kernels what they last lacked."""
        needed = int(self._memory.counters[at.C_POOL_NEEDED])
        if not needed:
            self._move(self._newest)
            return
        log, log_floats = at.words(len(self._memory.log) + len(self._memory.log) // 3 + needed)
        log[: len(self._memory.log)] = self._memory.log
        self._memory = self._memory._replace(log=log, log_floats=log_floats)
        self._memory.counters[at.C_POOL_NEEDED] = 0

    def _move(self, newest: int) -> None:
        """Makes room: everything alive moves to new memory, with what the kernels last lacked beside it."""
        old = self._memory
        entities, state, log, _ = measure(self._program, old, newest)
        needed_state, needed_log = int(old.counters[at.C_STATE_NEEDED]), int(old.counters[at.C_LOG_NEEDED])
        new = self._allocate(entities + (needed_state > 0), state + needed_state, log + needed_log)
        new.counters[:] = old.counters
        move_all(self._program, old, new, newest, self._first_log)
        new.counters[at.C_STATE_NEEDED] = new.counters[at.C_LOG_NEEDED] = 0
        self._memory = new

"""The outcome joiner: keeps each decision until its outcome is known, then hands both on to the learners.

All on event time, with no clock of its own. A decision is remembered compactly until its horizon has passed: 8 bytes
for each of c context features, s scores, e entity keys, e checks of these and 2 a action costs, and about 130 for the
rest, its places in the queue and in the index of ids included: 320 bytes with c=10, s=4, e=2, a=3. Arrays grow by half,
so up to half as much again is room for more.

What becomes known at the same instant is handed on in the order of arrival, so how calls were batched can't matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.outcomes import kernel
from homeostat.records.arrays import Bytes, Float, Int, Small, State
from homeostat.records.decisions import DecisionBatch, Experience
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.identity import PLACES, Ids

T = TypeVar("T", bound=np.generic)
CostsOf = Callable[[EventBatch], tuple[Float, Float]]

_FACTS = kernel.KEYS  # So many words stand before the entity keys.


class OutcomeJoiner:
    """See the module.

    costs : events -> what each action costs if the outcome is positive, and if it is negative, each (n, actions)
    context : features that the policy sees beside the risk; one that is not served is NaN
    actions, scorers, entities : how many there are
    delay_ns : when a label that came along with its event counts as known, after the event
    horizon_ns : after this, a missing outcome is given up, and a late one is unknown
    maturity_ns : the age of a decision at which good and bad outcomes are both known. An outcome that is delivered
        sooner waits until then: frauds are reported within days, and a learner that takes each report as it comes
        sees frauds alone at first. A label that came along with its event counts after `delay_ns`, good or bad.
        None: nothing waits, and silence lasts until the horizon.
    unknown_negative : an outcome that is missing at that age counts as negative, instead of being skipped
    censoring : actions whose outcome is never seen
    places : see `Coding.places`, of ids
    """

    def __init__(
        self,
        costs: CostsOf,
        *,
        context: Sequence[str],
        actions: int,
        scorers: int,
        entities: int,
        delay_ns: int,
        horizon_ns: int,
        unknown_negative: bool,
        maturity_ns: int | None = None,
        censoring: Sequence[int] = (),
        places: int = PLACES,
    ) -> None:
        self._costs, self._context, self._places = costs, tuple(context), places
        self._actions, self._scorers, self._entities = actions, scorers, entities
        self._delay_ns, self._horizon_ns = delay_ns, horizon_ns
        self._unknown_negative = unknown_negative
        self._maturity_ns = 0 if maturity_ns is None else maturity_ns
        self._silence_ns = maturity_ns if unknown_negative and maturity_ns is not None else horizon_ns
        self._censors = np.zeros(actions, np.uint8)
        self._censors[list(censoring)] = 1
        self._width = len(self._context) + scorers + 2 + 2 * actions
        self._columns: tuple[tuple[str, ...], list[int]] = ((), [])
        self.repeated = 0  # Decisions of an id that is remembered already: the first one stays.
        self.unknown = 0  # Outcomes of events that are not remembered.
        self.given_up = 0  # Decisions whose outcome never came, and about which nothing is assumed.
        self._live = self._queued = self._arrivals = self._told = 0
        self._clear(64)

    def __len__(self) -> int:
        """How many decisions are remembered."""
        return self._live

    @property
    def nbytes(self) -> int:
        """The memory that the remembered decisions take."""
        arrays = (self._facts, self._numbers, self._marks, self._arrival, self._action, self._free, self._table)
        queue = self._queue.nbytes + self._queue_label.nbytes
        return sum(int(array.nbytes) for array in arrays) + int(queue)

    def remember(self, decisions: DecisionBatch) -> None:
        """Keep decisions until their outcomes are known. An id that is remembered already is counted and left out."""
        events = decisions.events
        rows = np.arange(len(events)) if not (events.kind == Row.OUTCOME).any() else np.flatnonzero(
            events.kind != Row.OUTCOME
        )  # fmt: skip
        if len(rows) == 0:
            return
        self._reserve(len(rows))
        added = kernel.remember(
            rows, events.id_code, events.id_check, events.time_ns, events.keys, events.key_checks,
            self._numbers_of(decisions), events.label, decisions.ruling.action, self._delay_ns, self._silence_ns,
            self._horizon_ns, self._arrivals, self._facts,
            self._numbers, self._marks, self._arrival, self._action, self._free, self._live, self._table, self._queue,
            self._queue_label, self._queued, self._places,
        )  # fmt: skip
        self._queued += added
        self._live += added
        self._arrivals += len(rows)
        self.repeated += len(rows) - added

    def locate(self, ids: Ids) -> tuple[Bytes, Int, Int, Int]:
        """Whether each event is remembered (n,), its time (n,), its entity keys and their checks (n, entities)."""
        slot = kernel.find(ids.code, ids.check, self._facts, self._table, self._places)
        found = slot >= 0
        at = np.where(found, slot, 0)
        time_ns = np.where(found, self._facts[at, kernel.TIME], 0)
        keys = np.where(found[:, None], self._facts[at, _FACTS:], 0)
        return found.astype(np.uint8), time_ns, keys[:, ::2].copy(), keys[:, 1::2].copy()

    def deliver(self, outcomes: OutcomeBatch) -> None:
        """Outcomes of remembered events; each becomes due at its `known_ns`, or when its event is old enough.

        Those of other events are counted as unknown.
        """
        n = len(outcomes)
        if n == 0:
            return
        self._reserve_queue(n)
        known = kernel.deliver(
            outcomes.id_code, outcomes.id_check, outcomes.label, outcomes.known_ns, self._maturity_ns, self._told,
            self._facts,
            self._arrival, self._table, self._queue, self._queue_label, self._queued, self._places,
        )  # fmt: skip
        self._queued += known
        self._told += n
        self.unknown += n - known

    def due(self, until_ns: int) -> Experience:
        """What has become known since the last call, up to `until_ns`, in the order of becoming known.

        A label that changes is handed on again; one that is merely repeated is not. A decision that is old enough and
        has no outcome becomes a negative where silence means that; elsewhere it is given up at its horizon. A label
        that came along with an event whose action hides the outcome would not be seen in the world: such a decision is
        handed on as censored, when the label or the horizon is due, with the risk itself as its label. An outcome that
        is delivered counts whatever the action was.
        """
        room = kernel.count_due(self._queue, self._queued, until_ns)
        slots, labels, censored = np.empty(room, np.int64), np.empty(room), np.empty(room, np.uint8)
        gone = np.empty(room, np.int64)
        risk = self._numbers[:, len(self._context) + self._scorers]
        told, dropped, given_up, unknown, self._queued = kernel.due(
            until_ns, self._horizon_ns, self._queue, self._queue_label, self._queued, self._facts, self._marks,
            self._arrival, self._action, risk, self._censors, self._unknown_negative, slots, labels, censored, gone,
        )  # fmt: skip
        experience = self._experience(slots[:told], labels[:told], censored[:told])
        self._live = kernel.release(gone[:dropped], self._facts, self._table, self._free, self._live, self._places)
        self.given_up += given_up
        self.unknown += unknown
        return experience

    def state(self) -> State:
        """Everything remembered, in order of arrival."""
        slots = self._slots()
        slots = slots[np.argsort(self._arrival[slots], kind="stable")]
        place = np.full(len(self._facts), -1, np.int64)
        place[slots] = np.arange(len(slots))
        queue = self._queue[: self._queued]
        order = np.lexsort((queue[:, 2], queue[:, 1], queue[:, 0]))  # As the heap orders them.
        queue = queue[order]
        # An outcome that comes after its decision's horizon belongs to no slot any more.
        stale = self._arrival[queue[:, 3]] != queue[:, 4]
        queue[:, 3] = np.where(stale, 0, place[queue[:, 3]])
        return {
            "facts": self._facts[slots], "numbers": self._numbers[slots], "marks": self._marks[slots],
            "arrival": self._arrival[slots], "action": self._action[slots], "queue": queue,
            "queue_label": self._queue_label[: self._queued][order],
            "counts": np.array([self._arrivals, self._told, self.repeated, self.unknown, self.given_up]),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Continue from a state, bit for bit. Raises ValueError when it is of another app."""
        facts, numbers, queue = state["facts"], state["numbers"], state["queue"]
        if facts.shape[1:] != (_FACTS + 2 * self._entities,) or numbers.shape[1:] != (self._width,):
            raise ValueError("the remembered decisions are of another app: other scorers, actions, entities or context")
        n, queued = len(facts), len(queue)
        self._clear(max(64, n, queued))
        self._facts[:n], self._numbers[:n], self._marks[:n] = facts, numbers, state["marks"]
        self._arrival[:n], self._action[:n] = state["arrival"], state["action"]
        kernel.index(np.arange(n), self._facts, self._table, self._places)
        # The queue comes sorted, which is one of the orders of a heap.
        self._queue[:queued], self._queue_label[:queued] = queue, state["queue_label"]
        self._live, self._queued = n, queued
        self._arrivals, self._told, self.repeated, self.unknown, self.given_up = map(int, state["counts"])

    def _slots(self) -> Int:
        """The slots in use."""
        used = np.ones(len(self._facts), bool)
        used[self._free[self._live :]] = False
        return np.flatnonzero(used)

    def _numbers_of(self, decisions: DecisionBatch) -> Float:
        """Context, scores, risk, propensity of the action taken, costs if negative, costs if positive: (n, width)."""
        n, c, s = len(decisions), len(self._context), self._scorers
        features, ruling, proposal = decisions.features, decisions.ruling, decisions.proposal
        if self._columns[0] != features.names:
            places = {name: column for column, name in enumerate(features.names)}
            self._columns = (features.names, [places.get(name, -1) for name in self._context])
        numbers = np.empty((n, self._width))
        for column, place in enumerate(self._columns[1]):
            numbers[:, column] = features.values[:, place] if place >= 0 else np.nan
        numbers[:, c : c + s] = decisions.scores.values
        numbers[:, c + s] = decisions.fused.risk
        taken = proposal.propensity[np.arange(n), ruling.action]
        numbers[:, c + s + 1] = np.where(ruling.rule == -1, taken, 1.0)
        positive, negative = self._costs(decisions.events)
        numbers[:, c + s + 2 : c + s + 2 + self._actions] = negative
        numbers[:, c + s + 2 + self._actions :] = positive
        return numbers

    def _experience(self, slots: Int, label: Float, censored: Bytes) -> Experience:
        c, s, a = len(self._context), self._scorers, self._actions
        facts, numbers = self._facts[slots], self._numbers[slots]
        action: Small = self._action[slots]
        cost = kernel.costs(np.ascontiguousarray(numbers[:, c + s + 2 :]), label, a)
        return Experience(
            np.ascontiguousarray(facts[:, kernel.TIME]), np.ascontiguousarray(facts[:, kernel.CODE]),
            np.ascontiguousarray(numbers[:, :c]), np.ascontiguousarray(numbers[:, c : c + s]),
            np.ascontiguousarray(numbers[:, c + s]), action, np.ascontiguousarray(numbers[:, c + s + 1]),
            label.copy(), cost, censored.copy(),
        )  # fmt: skip

    def _clear(self, capacity: int) -> None:
        self._facts = np.zeros((capacity, _FACTS + 2 * self._entities), np.int64)
        self._numbers = np.zeros((capacity, self._width))
        self._marks = np.zeros((capacity, 2))  # The label that came along, and the label handed on last; NaN for none.
        self._arrival = np.full(capacity, -1, np.int64)
        self._action: Small = np.zeros(capacity, np.int16)
        self._free = np.arange(capacity, dtype=np.int64)  # From `live` on: the slots that are free.
        self._table = np.full(kernel.table_size(capacity), -1, np.int32)
        self._queue = np.zeros((capacity, kernel.QUEUE_COLUMNS), np.int64)
        self._queue_label = np.zeros(capacity)
        self._live = self._queued = self._arrivals = self._told = 0

    def _reserve(self, more: int) -> None:
        capacity, needed = len(self._facts), self._live + more
        if needed > capacity:
            used = self._slots()
            size = max(needed, capacity + capacity // 2)
            self._facts, self._numbers = _grown(self._facts, size), _grown(self._numbers, size)
            self._marks, self._arrival = _grown(self._marks, size), _grown(self._arrival, size)
            self._action, self._free = _grown(self._action, size), _grown(self._free, size)
            self._free[capacity:] = np.arange(capacity, size)
            self._table = np.full(kernel.table_size(size), -1, np.int32)
            kernel.index(used, self._facts, self._table, self._places)
        self._reserve_queue(more)

    def _reserve_queue(self, more: int) -> None:
        needed = self._queued + more
        if needed > len(self._queue):
            size = max(needed, len(self._queue) + len(self._queue) // 2)
            self._queue, self._queue_label = _grown(self._queue, size), _grown(self._queue_label, size)


def _grown(array: NDArray[T], size: int) -> NDArray[T]:
    """The array with room for `size` rows."""
    grown = np.zeros((size, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown

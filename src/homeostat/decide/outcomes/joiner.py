"""The outcome joiner: keeps each decision until its outcome is known, then hands both on to the learners.

All on event time, with no clock of its own. A decision is remembered compactly until its horizon has passed: 8 bytes
for each of c context features, s scores, e entity keys, e checks of these and 2 a action costs, and about 140 for the
rest, its places in the queue and in the index of ids included: 330 bytes with c=10, s=4, e=2, a=3. Arrays grow by half,
so up to half as much again is room for more.

Outcomes that become known at the same instant are handed on in the order of arrival, so how calls were batched can't
matter.
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
_ALL = np.iinfo(np.int64).max


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
        self._unknown_negative = unknown_negative
        self._maturity_ns = 0 if maturity_ns is None else maturity_ns
        silence_ns = maturity_ns if unknown_negative and maturity_ns is not None else horizon_ns
        self._ages = kernel.Ages(delay_ns, silence_ns, horizon_ns)
        self._hides = np.zeros(actions, np.uint8)
        self._hides[list(censoring)] = 1
        self._width = len(self._context) + scorers + 2 + 2 * actions + 1
        self._columns: tuple[tuple[str, ...], list[int]] = ((), [])
        self.repeated = 0  # Decisions of an id that is remembered already: the first one stays.
        self.unknown = 0  # Outcomes of events that are not remembered.
        self.given_up = 0  # Decisions whose outcome never came, and about which nothing is assumed.
        self._live = self._queued = self._arrivals = self._delivered = 0
        self._clear(64)

    def __len__(self) -> int:
        """How many decisions are remembered."""
        return self._live

    @property
    def nbytes(self) -> int:
        """The memory that the remembered decisions take."""
        return sum(int(array.nbytes) for array in (*self._book, *self._queue))

    def remember(self, decisions: DecisionBatch) -> None:
        """Keep decisions until their outcomes are known. An id that is remembered already is counted and left out."""
        events = decisions.events
        rows = np.arange(len(events)) if not (events.kind == Row.OUTCOME).any() else np.flatnonzero(
            events.kind != Row.OUTCOME
        )  # fmt: skip
        if len(rows) == 0:
            return
        self._reserve(len(rows))
        made = kernel.Made(
            events.id_code, events.id_check, events.time_ns, events.keys, events.key_checks,
            self._numbers_of(decisions), events.label, decisions.ruling.action,
        )  # fmt: skip
        added = kernel.remember(
            rows, made, self._ages, self._arrivals, self._book, self._live, self._queue, self._queued, self._places
        )
        self._queued += added
        self._live += added
        self._arrivals += len(rows)
        self.repeated += len(rows) - added

    def locate(self, ids: Ids) -> tuple[Bytes, Int, Int, Int]:
        """Whether each event is remembered (n,), its time (n,), its entity keys and their checks (n, entities)."""
        facts = self._book.facts
        slot = kernel.find(ids.code, ids.check, facts, self._book.table, self._places)
        found = slot >= 0
        at = np.where(found, slot, 0)
        time_ns = np.where(found, facts[at, kernel.TIME], 0)
        keys = np.where(found[:, None], facts[at, _FACTS:], 0)
        return found.astype(np.uint8), time_ns, keys[:, ::2].copy(), keys[:, 1::2].copy()

    def remembered(self) -> tuple[Ids, Int]:
        """The remembered decisions, in no order: their ids, and (m,) when their events were."""
        slots = self._book.table[self._book.table >= 0]
        facts = self._book.facts[slots]
        return Ids(facts[:, kernel.CODE].copy(), facts[:, kernel.CHECK].copy()), facts[:, kernel.TIME].copy()

    def mute(self, ids: Ids) -> None:
        """Hand on nothing more of these decisions; those that are not remembered are left out."""
        slots = kernel.find(
            np.ascontiguousarray(ids.code), np.ascontiguousarray(ids.check), self._book.facts, self._book.table,
            self._places,
        )  # fmt: skip
        self._book.marks[slots[slots >= 0], kernel.LAST_LABEL] = kernel.MUTED

    def deliver(self, outcomes: OutcomeBatch) -> None:
        """Outcomes of remembered events; each becomes due at its `known_ns`, or when its event is old enough.

        Those of other events are counted as unknown.
        """
        n = len(outcomes)
        if n == 0:
            return
        self._reserve_queue(n)
        known = kernel.deliver(
            outcomes.id_code, outcomes.id_check, outcomes.label, outcomes.known_ns, self._maturity_ns, self._delivered,
            self._book, self._queue, self._queued, self._places,
        )  # fmt: skip
        self._queued += known
        self._delivered += n
        self.unknown += n - known

    def owes(self, until_ns: int) -> bool:
        """Whether anything that has become known up to `until_ns` was not handed on."""
        return self._queued > 0 and bool(self._queue.entries[0, kernel.MOMENT] <= until_ns)

    def due(self, until_ns: int, entries_max: int = _ALL) -> Experience:
        """The outcomes that have become known since the last call, up to `until_ns`, in the order of becoming known.

        entries_max : so many entries of the queue are looked at; the rest is left to the next call

        A label that changes is handed on again; one that is merely repeated is not. A decision that is old enough and
        has no outcome becomes a negative where silence means that; elsewhere it is given up at its horizon. A label
        that came along with an event whose action hides the outcome would not be seen in the world: such a decision is
        handed on as censored, when the label or the horizon is due, with the risk itself as its label. An outcome that
        is delivered counts whatever the action was.
        """
        room = kernel.count_due(self._queue.entries, self._queued, until_ns, entries_max)
        out = kernel.Due(np.empty(room, np.int64), np.empty(room), np.empty(room, np.uint8), np.empty(room, np.int64))
        risk = self._book.numbers[:, len(self._context) + self._scorers]
        assumed = kernel.Assumptions(risk, self._hides, self._unknown_negative)
        handed, dropped, given_up, unknown, self._queued = kernel.due(
            until_ns, entries_max, self._ages.horizon_ns, self._queue, self._queued, self._book, assumed, out
        )
        experience = self._experience(out.slots[:handed], out.labels[:handed], out.censored[:handed])
        self._live = kernel.release(out.gone[:dropped], self._book, self._live, self._places)
        self.given_up += given_up
        self.unknown += unknown
        return experience

    def state(self) -> State:
        """Everything remembered, in order of arrival."""
        return _in_order(self._book, self._live, self._queue, self._queued, self._counts())

    def taken(self) -> Callable[[], State]:
        """Take the state. The call that is returned makes it what `state` would have been, in any thread."""
        book, queue, live, queued, counts = self._book, self._queue, self._live, self._queued, self._counts()
        copied = book._replace(
            facts=book.facts.copy(), numbers=book.numbers.copy(), marks=book.marks.copy(), arrival=book.arrival.copy(),
            action=book.action.copy(), free=book.free.copy(), table=book.table[:0],
        )  # fmt: skip
        waiting = kernel.Queue(queue.entries[:queued].copy(), queue.label[:queued].copy())
        return lambda: _in_order(copied, live, waiting, queued, counts)

    def restore(self, state: State) -> None:
        """Continue from a state, bit for bit. Raises ValueError when it is of another app."""
        facts, numbers, queue = state["facts"], state["numbers"], state["queue"]
        if facts.shape[1:] != (_FACTS + 2 * self._entities,) or numbers.shape[1:] != (self._width,):
            raise ValueError("the remembered decisions are of another app: other scorers, actions, entities or context")
        n, queued = len(facts), len(queue)
        self._clear(max(64, n, queued))
        book = self._book
        book.facts[:n], book.numbers[:n], book.marks[:n] = facts, numbers, state["marks"]
        book.arrival[:n], book.action[:n] = state["arrival"], state["action"]
        kernel.index(np.arange(n), book.facts, book.table, self._places)
        # The queue comes sorted, which is one of the orders of a heap.
        self._queue.entries[:queued], self._queue.label[:queued] = queue, state["queue_label"]
        self._live, self._queued = n, queued
        self._arrivals, self._delivered, self.repeated, self.unknown, self.given_up = map(int, state["counts"])

    def _counts(self) -> Int:
        return np.array([self._arrivals, self._delivered, self.repeated, self.unknown, self.given_up])

    def _numbers_of(self, decisions: DecisionBatch) -> Float:
        """Context, scores, risk, propensity of the action taken, costs of either label, maker: (n, width)."""
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
        numbers[:, c + s + 2 + self._actions : -1] = positive
        numbers[:, -1] = decisions.marks
        return numbers

    def _experience(self, slots: Int, label: Float, censored: Bytes) -> Experience:
        c, s, a = len(self._context), self._scorers, self._actions
        facts, numbers = self._book.facts[slots], self._book.numbers[slots]
        action: Small = self._book.action[slots]
        cost = kernel.costs(np.ascontiguousarray(numbers[:, c + s + 2 : -1]), label, a)
        return Experience(
            np.ascontiguousarray(facts[:, kernel.TIME]), np.ascontiguousarray(facts[:, kernel.CODE]),
            np.ascontiguousarray(numbers[:, :c]), np.ascontiguousarray(numbers[:, c : c + s]),
            np.ascontiguousarray(numbers[:, c + s]), action, np.ascontiguousarray(numbers[:, c + s + 1]),
            label.copy(), cost, censored.copy(), maker=np.ascontiguousarray(numbers[:, -1]),
        )  # fmt: skip

    def _clear(self, capacity: int) -> None:
        self._book = kernel.Book(
            facts=np.zeros((capacity, _FACTS + 2 * self._entities), np.int64),
            numbers=np.zeros((capacity, self._width)),
            marks=np.zeros((capacity, kernel.MARKS)),
            arrival=np.full(capacity, -1, np.int64),
            action=np.zeros(capacity, np.int16),
            free=np.arange(capacity, dtype=np.int64),
            table=np.full(kernel.table_size(capacity), -1, np.int32),
        )
        self._queue = kernel.Queue(np.zeros((capacity, kernel.QUEUE_COLUMNS), np.int64), np.zeros(capacity))
        self._live = self._queued = self._arrivals = self._delivered = 0

    def _reserve(self, more: int) -> None:
        book, needed = self._book, self._live + more
        capacity = len(book.facts)
        if needed > capacity:
            used = _slots(self._book, self._live)
            size = max(needed, capacity + capacity // 2)
            table = np.full(kernel.table_size(size), -1, np.int32)
            self._book = book = kernel.Book(
                _grown(book.facts, size), _grown(book.numbers, size), _grown(book.marks, size),
                _grown(book.arrival, size), _grown(book.action, size), _grown(book.free, size), table,
            )  # fmt: skip
            book.free[capacity:] = np.arange(capacity, size)
            kernel.index(used, book.facts, table, self._places)
        self._reserve_queue(more)

    def _reserve_queue(self, more: int) -> None:
        needed, room = self._queued + more, len(self._queue.entries)
        if needed > room:
            size = max(needed, room + room // 2)
            self._queue = kernel.Queue(_grown(self._queue.entries, size), _grown(self._queue.label, size))


def _grown(array: NDArray[T], size: int) -> NDArray[T]:
    """The array with room for `size` rows."""
    grown = np.zeros((size, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def _slots(book: kernel.Book, live: int) -> Int:
    """The slots in use."""
    used = np.ones(len(book.facts), bool)
    used[book.free[live:]] = False
    return np.flatnonzero(used)


def _in_order(book: kernel.Book, live: int, queue: kernel.Queue, queued: int, counts: Int) -> State:
    """The state that these are; see `OutcomeJoiner.state`."""
    slots = _slots(book, live)
    slots = slots[np.argsort(book.arrival[slots], kind="stable")]
    place = np.full(len(book.facts), -1, np.int64)
    place[slots] = np.arange(len(slots))
    entries = queue.entries[:queued]
    # As the heap orders them.
    order = np.lexsort((entries[:, kernel.ARRIVAL], entries[:, kernel.KIND], entries[:, kernel.MOMENT]))
    entries = entries[order]
    # An outcome that comes after its decision's horizon belongs to no slot any more.
    stale = book.arrival[entries[:, kernel.SLOT]] != entries[:, kernel.OWNER]
    entries[:, kernel.SLOT] = np.where(stale, 0, place[entries[:, kernel.SLOT]])
    return {
        "facts": book.facts[slots], "numbers": book.numbers[slots], "marks": book.marks[slots],
        "arrival": book.arrival[slots], "action": book.action[slots], "queue": entries,
        "queue_label": queue.label[:queued][order], "counts": counts,
    }  # fmt: skip

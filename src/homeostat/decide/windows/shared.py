"""Features of entities whose pasts are shared: logs in a feature store, which every worker appends to and reads.

The store keeps what happened; the kernels of `engine` compute, in each worker, what follows from it. A worker remembers
the logs that it has read and asks only for what is new, so that a batch costs one round trip and as much data as it has
events, however long the windows are.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from homeostat.decide.windows.around import Around
from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.featurizer import writable
from homeostat.decide.windows.followed import FollowedWindows, KindRows
from homeostat.expressions import Membership
from homeostat.ports import Unavailable
from homeostat.ports.shared import Asked, FeatureStore, Logs, LogsLost, Shown
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.events import EventBatch
from homeostat.records.features import Features, Freshness
from homeostat.records.identity import PLACES, IdTexts, is_hashed, text_of
from homeostat.records.reasons import Fallback
from homeostat.records.vocabulary import NAMELESS, Vocabulary

_FRESH, _STALE = int(Freshness.FRESH), int(Freshness.STALE)
_AWAITED = "other processes are still writing what the feature store lacks: features may miss some of it"
_NO_TEXTS: IdTexts = {}

MEMORY_BYTES = 4 << 30
MARGIN_NS = 3_600_000_000_000
"""How much longer than windows look back logs are kept: an event that is decided again within that time of its entity,
after a crash, sees what it saw at first."""


def log_version(plan: FeaturePlan, journal: str = "", words: Vocabulary = NAMELESS) -> str:
    """Eight characters that differ where logs would mean something else, so that apps and versions never mix theirs.

    journal : the identity of the journal that the logs follow from: with an empty one, entities start empty
    places : see `Coding.places`
    words : the names of the columns, and what they are
    """
    described = repr(
        (
            words.entities,
            words.fields,
            plan.names[: plan.fields],
            plan.entities,
            [program.text for program in plan.inputs],
        )
    )
    return hashlib.sha256(described.encode() + plan.windows.fingerprint() + journal.encode()).hexdigest()[:8]


class SharedFeaturizer:
    """Turns events into features as `WindowFeaturizer` does; a `decide.contracts.Featurizer`.

    entities : their names, in the order of `EventBatch.keys`
    skew_ns : how much further than the app's lateness the shared entities' events may be out of order
    when_down : what a decision sees while the store is away: `stale` (what this worker remembers and sees itself,
        where it knows the entity) or `absent`
    memory_bytes : about the most that is remembered of logs; then all is forgotten, and read again as it is needed
    holds : asked after each batch whether so many bytes may be remembered on; by default up to `memory_bytes`
    behind : whether the store was away and lacks events; until `rejoin`, features are those of `when_down`
    incomplete : whether the store may lack events of other processes; features are what it has meanwhile, as stale ones
    exchanges : how often the store was asked
    places : see `Coding.places`
    words : the names of the columns that it reads, for events that were recorded under other names
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
        memory_bytes: int = MEMORY_BYTES,
        lists: Membership | None = None,
        places: int = PLACES,
    ) -> None:
        self.plan, self.store, self.entities = plan, store, tuple(entities)
        self.words = NAMELESS
        self.behind = self.incomplete = False
        self.exchanges = 0
        self.trouble = ""
        self.through: int | None = None
        self._exchanged: int | None = None  # `through` as the store's last answer found it.
        self._noting = threading.Lock()  # Entries land in another thread.
        self._when_down, self._places = when_down, places
        self.holds: Callable[[int], bool] = lambda nbytes: nbytes <= memory_bytes
        self._skew_ns = skew_ns
        self._windows_plan = replace(plan.windows, lateness_ns=plan.windows.lateness_ns + skew_ns)
        self.windows = FollowedWindows(self._windows_plan, self._places)
        self._around = Around(plan, lists)
        self._slots: list[Int] = [np.array(slots, np.int64) + plan.fields for slots in self.windows.slots]
        self._names = [tuple(plan.names[slot] for slot in slots.tolist()) for slots in self._slots]
        self._watched = [entity for entity, layout in enumerate(self.windows.layouts) if layout is not None]

    def features(self, events: EventBatch) -> Features:
        """The features of each row as of that row; events and outcomes are in the entities' logs then."""
        plan, n = self.plan, len(events)
        events = writable(events)
        parts = self._columns(events)
        shape = (n, plan.fields + plan.windows.features + len(plan.derived))
        values, freshness = np.full(shape, np.nan), np.zeros(shape, np.uint8)
        for entity in self._watched:
            self.windows.leave_absent(entity, events, values, freshness, plan.fields)
        logs = self._exchange(parts)
        fallback = 0
        if logs is None:
            fallback = Fallback.FEATURES_STALE if self._when_down == "stale" else Fallback.FEATURES_ABSENT
            for part in parts:
                self._guess(part, values, freshness)
        elif parts:
            rows = [
                self.windows.follow(part, log.start, log.unread, values, freshness, plan.fields)
                for part, log in zip(parts, logs, strict=True)
            ]
            if self.incomplete:
                fallback = Fallback.FEATURES_STALE
                self._doubt(parts, freshness)
            self.store.show(self._shown(parts, rows, events, values, freshness))
            if not self.holds(self.windows.nbytes):
                self.forget()
        self._around.complete(events.numbers, events.keys, events.key_checks, events.time_ns, values, freshness)
        return Features(plan.names, values, freshness, fallback)

    def touch(self) -> None:
        """Exchange nothing: find out whether the store has what it had, and let others know that this worker lives."""
        self._exchange([])

    def read_lists(self, lists: Membership) -> None:
        """Ask these lists from the next event on; what is remembered stays."""
        self._around = Around(self.plan, lists)

    def allow_late(self, lateness_ns: int) -> None:
        """See `contracts.AllowsLate`: the store keeps as much as each exchange asks for."""
        if lateness_ns + self._skew_ns != self._windows_plan.lateness_ns:
            self._windows_plan = replace(self.plan.windows, lateness_ns=lateness_ns + self._skew_ns)
            self.forget()

    def write(self, events: EventBatch) -> None:
        """Let events and outcomes be in the logs, once, whoever may have written them before; reads nothing.

        Raises Unavailable.
        """
        parts = self._columns(writable(events), pinned=False)
        self.store.exchange([self._asked(part, read=False) for part in parts])

    def journalled(self, sequence: int) -> None:
        """The journal has an entry of this process and all before it; so has the store, unless it is away."""
        with self._noting:
            if not self.behind and sequence > (self.through or 0):
                self.through = sequence

    def forget(self) -> None:
        """Know nothing of any log: what comes next may have been written by another worker already."""
        self.windows = FollowedWindows(self._windows_plan, self._places)

    def rejoin(self) -> None:
        """The store is whole again: go on with it."""
        self.forget()
        with self._noting:
            self._exchanged = self.through
            self.behind, self.trouble = False, ""
        self.store.whole()

    def _columns(self, events: EventBatch, pinned: bool = True) -> list[KindRows]:
        seen = self._around.seen(events.numbers, events.keys, events.key_checks, events.time_ns)
        made = (self.windows.arrange(entity, events, seen, self._around.masks_from, pinned) for entity in self._watched)
        return [part for part in made if part is not None]

    def _asked(self, part: KindRows, read: bool = True) -> Asked:
        rows, ends = part.for_log()
        # An outcome knows its entity's identity, but not always its text: logs are named by what both know.
        codes = part.ids.code.tolist()
        if is_hashed(max(codes)):
            ids = [text_of(*one, _NO_TEXTS) for one in part.ids.tolist()]
        else:
            ids = list(map(str, codes))
        return Asked(
            self.entities[part.entity], ids, part.asked_from, part.oldest_ns, rows, ends,
            self.windows.retained_ns(part.entity) + MARGIN_NS, read,
        )  # fmt: skip

    def _exchange(self, parts: list[KindRows]) -> list[Logs] | None:
        """The logs, None while the store is away."""
        if not self.behind:
            through = self.through
            self.exchanges += 1
            try:
                logs = self.store.exchange([self._asked(part) for part in parts], through)
            except (Unavailable, LogsLost) as error:
                with self._noting:
                    self.behind, self.trouble = True, str(error)
                    # Rows that were exchanged since may be lost with the server, though their entries have landed.
                    self.through = self._exchanged
            else:
                self._exchanged = through
                self.incomplete = self.store.awaited > 0
                self.trouble = _AWAITED if self.incomplete else ""
                return logs
        for part in parts:
            self.windows.leave(part)
        return None

    def _guess(self, part: KindRows, values: Float, freshness: Bytes) -> None:
        """This worker's memory of the entities, its own events since included; nothing of those it never met."""
        if self._when_down != "stale":
            self.windows.leave_unknown(part.entity, part.emits, values, freshness, self.plan.fields)
            return
        guessed = self.windows.guess(part, values, freshness, self.plan.fields)
        freshness[np.ix_(guessed, self._slots[part.entity])] = _STALE

    def _doubt(self, parts: list[KindRows], freshness: Bytes) -> None:
        """Features that seem fresh may lack rows: they count as stale."""
        for part in parts:
            slots = self._slots[part.entity]
            freshness[:, slots] = np.where(freshness[:, slots] == _FRESH, _STALE, freshness[:, slots])

    def _shown(
        self, parts: list[KindRows], rows: list[Int], events: EventBatch, values: Float, freshness: Bytes
    ) -> list[Shown]:
        return [
            Shown(
                self.entities[part.entity], part.ids, events.texts, read, self._names[part.entity],
                self._slots[part.entity], part.last, values, freshness, events.time_ns,
            )
            for part, read in zip(parts, rows, strict=True)
        ]  # fmt: skip

    def state(self) -> State:
        """Nothing: all that the past left behind is in the store."""
        return {}

    def restore(self, state: State) -> None:
        """Start empty. The store remembers."""
        self.forget()

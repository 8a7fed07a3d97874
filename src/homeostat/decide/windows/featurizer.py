"""Events to features: the declared fields, what the windows know of the entities' pasts, and what follows from both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from homeostat.decide.windows.around import Around
from homeostat.decide.windows.engine import Windows
from homeostat.decide.windows.features import FeaturePlan
from homeostat.expressions import Membership
from homeostat.records.arrays import Bytes, Float, Mask, State
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import PLACES


class WindowFeaturizer:
    """Turns event batches into features, and remembers the entities' pasts; a `decide.contracts.Featurizer`.

    An event row is counted by the windows that hold it; a late row only sees them; an outcome row gives the label to
    its event, which it names by id, time and keys, and its own features mean nothing.
    """

    def __init__(self, plan: FeaturePlan, lists: Membership | None = None, places: int = PLACES) -> None:
        self.plan, self._places = plan, places
        self.windows = Windows(plan.windows, places)
        self._around = Around(plan, lists)

    def features(self, events: EventBatch) -> Features:
        """The features of each row as of that row, after every row before it.

        Raises ValueError when the batch's columns are not those of the plan.
        """
        plan, n = self.plan, len(events)
        events = writable(events)
        numbers, keys, checks = events.numbers, events.keys, events.key_checks
        if numbers.shape != (n, plan.fields) or keys.shape != (n, plan.entities):
            found = f"{numbers.shape[1:]} fields and {keys.shape[1:]} entities"
            raise ValueError(f"events have {found}, the plan has {plan.fields} and {plan.entities}")
        seen = self._around.seen(numbers, keys, checks, events.time_ns)
        masks = seen[:, self._around.masks_from :] != 0.0
        values, freshness = self._advance(events, seen, masks)
        self._around.complete(numbers, keys, checks, events.time_ns, values, freshness)
        return Features(plan.names, values, freshness)

    def _advance(self, events: EventBatch, seen: Float, masks: Mask) -> tuple[Float, Bytes]:
        """The windows' features, in their columns among all features."""
        return self.windows.advance(
            events.time_ns, events.keys, events.key_checks, seen, masks, events.label, events.tag, events.kind,
            before=self.plan.fields, after=len(self.plan.derived), reach_ns=events.reach_ns,
        )  # fmt: skip

    def read_lists(self, lists: Membership) -> None:
        """Ask these lists from the next event on; what is remembered stays."""
        self._around = Around(self.plan, lists)

    def blank(self) -> WindowFeaturizer:
        """The same featurizer before its first event."""
        made = copy(self)
        made.windows = Windows(self.plan.windows, self._places)
        return made

    def allow_late(self, lateness_ns: int) -> None:
        """See `contracts.AllowsLate`. Of the time before, there is what the windows kept for the lateness so far."""
        if lateness_ns != self.plan.windows.lateness_ns:
            self.windows = self.windows.with_lateness(lateness_ns)
            self.plan = replace(self.plan, windows=self.windows.plan)

    def _fingerprint(self) -> Bytes:
        """32 bytes that differ where the logged columns mean something else, though the windows are the same."""
        plan = self.plan
        described = repr((plan.names[: plan.fields], plan.entities, [program.text for program in plan.inputs]))
        return np.frombuffer(hashlib.sha256(described.encode()).digest(), dtype=np.uint8).copy()

    def state(self) -> State:
        """The windows' snapshot, and a mark of the plan that made it."""
        return {**self.windows.state(), "inputs": self._fingerprint()}

    def taken(self) -> Callable[[], State]:
        """See `Windows.taken`."""
        windows, inputs = self.windows.taken(), self._fingerprint()
        return lambda: {**windows(), "inputs": inputs}

    def restore(self, state: State) -> None:
        """Continue from a snapshot; raises ValueError if another plan made it."""
        if not np.array_equal(state["inputs"], self._fingerprint()):
            raise ValueError("the snapshot was made with other fields or filters")
        self.windows = Windows.from_state(self.plan.windows, state, self._places)


def writable(events: EventBatch) -> EventBatch:
    """The batch with columns that are contiguous and writable, copied where they are not.

    Kernels have a version for each kind of array; a second kind would be compiled while events wait.
    """
    columns: tuple[Any, ...] = (
        events.id_code, events.time_ns, events.keys, events.numbers, events.label, events.kind, events.id_check,
        events.key_checks, events.reach,
    )  # fmt: skip
    if all(column.flags.carray for column in columns):
        return events
    id_code, time_ns, keys, numbers, label, kind, id_check, key_checks, reach = (column.copy("C") for column in columns)
    return EventBatch(
        id_code,
        time_ns,
        keys,
        numbers,
        label,
        kind,
        events.texts,
        id_check,
        key_checks,
        None if events.reach_ns is None else reach,
    )

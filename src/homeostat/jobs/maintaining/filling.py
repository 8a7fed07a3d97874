"""Brings a shadow loop to where a journal was: its windows, breakers and learners, under the settings that held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from homeostat.decide.loop import DecisionLoop
from homeostat.decide.redo import redo
from homeostat.engine.setups import Setups
from homeostat.jobs.maintaining.lately import Lately
from homeostat.maintain.blocks import events_together
from homeostat.ports import Entry
from homeostat.ports.rehearsal import CanNotRehearse
from homeostat.records.bodies import Body
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.plans import Alteration
from homeostat.records.renaming import decisions_as, outcomes_as

BY = "rehearsal"
TOGETHER = 2048
"""So many events are taken together, about."""
_TRIED = 1 << 40  # The first number of alterations, which is above that of any change.


class Following:
    """Puts the changes of the settings in force in a loop where they were, but for scopes that are altered.

    number : of the last change that is in force
    """

    def __init__(self, loop: DecisionLoop, setups: Setups, changes: Sequence[Change]) -> None:
        self.loop, self._setups, self._changes = loop, setups, changes
        self.number = 0
        self._altered: set[Any] = set()

    def upto(self, number: int) -> None:
        """Be under all changes up to a number. Raises Inapplicable, Unavailable, CanNotRehearse."""
        if number <= self.number:
            return
        new = [one for one in self._changes if self.number < one.number <= number]
        if len(new) != number - self.number:
            raise CanNotRehearse(f"decisions were made under change {number} of the settings, and not all are there")
        self.number = number
        self.put(one for one in new if one.where not in self._altered)

    def alter(self, alterations: Sequence[Alteration], at_ns: int) -> None:
        """Put alterations in force, and keep them there."""
        made = [
            Change(one.kind, one.scope, one.body, BY, "it is tried", number=_TRIED + place, at_ns=at_ns)
            for place, one in enumerate(alterations)
        ]
        self._altered = {one.where for one in made}
        self.put(made)

    def put(self, changes: Any) -> None:
        """Put changes in force, after those that are."""
        wanted = list(changes)
        if wanted:
            self.loop.put_in_force(self._setups.setup(self.loop.stages.in_force, wanted))


def fill_windows(following: Following, entries: Iterator[Entry], lately: Lately) -> None:
    """Let the windows see entries; nothing is decided."""
    loop, waiting, rows = following.loop, list[EventBatch](), 0

    def absorb() -> None:
        nonlocal waiting, rows
        if waiting:
            loop.absorb(events_together(waiting))
        waiting, rows = [], 0

    for entry in entries:
        body: Body = entry.body
        stages = loop.stages
        if isinstance(body, OutcomeBatch):
            absorb()
            lately.learn(body)
            loop.whole(loop.remember, outcomes_as(body, stages.words.entities, stages.coding))
        elif isinstance(body, DecisionBatch) and len(body):
            if body.settings > following.number:
                absorb()
                following.upto(body.settings)
                stages = loop.stages
            was = decisions_as(body, stages.words, stages.panel.names, stages.coding)
            lately.take(was)
            if body.events.came is not None:  # It was repaired, and says itself which events are copies.
                absorb()
                redo(loop, [entry], stand=True)
                continue
            waiting.append(stages.watermark.unmarked(was.events))
            rows += len(body)
            if rows >= TOGETHER:
                absorb()
    absorb()


def stand(following: Following, entries: Iterator[Entry], lately: Lately) -> None:
    """Let a loop follow decisions as they were made, with breakers and learners."""
    waiting: list[Entry] = []
    for entry in entries:
        body = entry.body
        changes = isinstance(body, DecisionBatch) and len(body) > 0 and body.settings > following.number
        if changes or len(waiting) >= 512:
            redo(following.loop, waiting, stand=True)
            waiting = []
        if changes and isinstance(body, DecisionBatch):
            following.upto(body.settings)
        if isinstance(body, DecisionBatch) and len(body):
            stages = following.loop.stages
            lately.take(decisions_as(body, stages.words, stages.panel.names, stages.coding))
        elif isinstance(body, OutcomeBatch):
            lately.learn(body)
        waiting.append(entry)
    redo(following.loop, waiting, stand=True)

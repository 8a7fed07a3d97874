"""Does again what the journal says was done, so that a loop stands where its journal ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from homeostat.decide.decided import Recorded
from homeostat.decide.loop import DecisionLoop
from homeostat.errors import HomeostatError
from homeostat.ports import Entry
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.renaming import decisions_as, outcomes_as
from homeostat.records.rows import joined_outcomes

_ROWS_MAX = 65_536  # Of outcomes that are taken in together.
Changes = Callable[[DecisionLoop, tuple[Change, ...]], None]


class Diverged(HomeostatError, RuntimeError):
    """A journal entry, decided again by what decided it, comes out otherwise: a plug-in or the program was changed."""

    why = "the same journal gives the same decisions, unless a plug-in or the program was changed"
    remedy = "Start with the program and plug-ins that wrote the journal"


def redo(loop: DecisionLoop, entries: Iterable[Entry], stand: bool = False, change: Changes | None = None) -> int:
    """Do again what these entries say was done since the loop's state was saved; returns the last sequence number.

    Results that hung on the clock or the world then (a late scorer, say) are taken from the record, not decided again;
    and decisions of another version, or of another program, stand as they were made. Recorded columns and numbers are
    found by the names that they had.

    Changes of the settings are put in force where they were. Where one can't be, the decisions that were made under it
    stand as they were made.

    stand : every decision stands as it was made
    change : puts changes in force; without it none is
    Raises Diverged; renaming.Unnamed where an entry without names does not fit the app.
    """
    sequence, taken = 0, _Taken(loop)
    for entry in entries:
        sequence, body = entry.sequence, entry.body
        if isinstance(body, OutcomeBatch):
            taken.add(outcomes_as(body, loop.stages.words.entities, loop.stages.coding))
            continue
        taken.remember()
        if isinstance(body, ChangeBatch):
            if change is not None:
                change(loop, body.changes)
        elif len(body):
            _decide_again(loop, sequence, body, stand)
    taken.remember()
    return sequence


class _Taken:
    """Outcomes of consecutive entries, which the loop takes in together: most came one by one."""

    def __init__(self, loop: DecisionLoop) -> None:
        self._loop = loop
        self._batches: list[OutcomeBatch] = []
        self._rows = 0

    def add(self, outcomes: OutcomeBatch) -> None:
        """Keep outcomes for `remember`; what is of another kind, or too many, makes it remember those before."""
        other = bool(self._batches) and self._batches[-1].scheduled != outcomes.scheduled
        if other or self._rows >= _ROWS_MAX:
            self.remember()
        self._batches.append(outcomes)
        self._rows += len(outcomes)

    def remember(self) -> None:
        """Let the loop take in what was kept."""
        if self._batches:
            self._loop.remember(joined_outcomes(self._batches))
        self._batches, self._rows = [], 0


def _decide_again(loop: DecisionLoop, sequence: int, body: DecisionBatch, stand: bool) -> None:
    stages = loop.stages
    canary = "" if stages.canary is None else stages.canary.version
    ours = (stages.version, stages.words, stages.settings, canary)
    if stand or (body.version, body.words, body.settings, body.canary) != ours:
        was = decisions_as(body, stages.words, stages.panel.names, stages.coding)
        loop.whole(loop.run, stages.watermark.unmarked(was.events), Recorded(sequence, was, stands=True))
        return
    again = loop.whole(loop.run, body.events, Recorded(sequence, body, stands=False))
    same = np.array_equal(again.ruling.action, body.ruling.action)
    same = same and again.makers == body.makers
    if not (same and np.array_equal(again.fused.risk, body.fused.risk, equal_nan=True)):
        raise Diverged(
            f"journal entry {sequence} replays to other decisions than it holds: a plug-in or the program was "
            "changed, so all decisions stand as they were made"
        )

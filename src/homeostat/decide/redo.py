"""Does again what the journal says was done, so that a loop stands where its journal ends."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from homeostat.decide.loop import DecisionLoop, Recorded
from homeostat.errors import HomeostatError
from homeostat.ports import Entry
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.renaming import decisions_as, outcomes_as


class Diverged(HomeostatError, RuntimeError):
    """A journal entry, decided again by what decided it, comes out otherwise: a plug-in or the program was changed."""

    why = "the same journal gives the same decisions, unless a plug-in or the program was changed"
    remedy = "Start with the program and plug-ins that wrote the journal"


def redo(loop: DecisionLoop, entries: Iterable[Entry], stand: bool = False) -> int:
    """Do again what these entries say was done since the loop's state was saved; returns the last sequence number.

    What hung on the clock or the world then (a late scorer, say) is taken from the record, not decided again; and
    decisions of another version, or of another program, stand as they were made. Recorded columns and numbers are
    found by the names that they had.

    stand : every decision stands as it was made
    Raises Diverged; renaming.Unnamed where an entry without names does not fit the app.
    """
    sequence = 0
    for entry in entries:
        sequence, body = entry.sequence, entry.body
        if isinstance(body, OutcomeBatch):
            loop.remember(outcomes_as(body, loop.stages.words.entities, loop.stages.coding))
        elif len(body):
            _decide_again(loop, sequence, body, stand)
    return sequence


def _decide_again(loop: DecisionLoop, sequence: int, body: DecisionBatch, stand: bool) -> None:
    stages = loop.stages
    if stand or body.version != stages.version or body.words != stages.words:
        was = decisions_as(body, stages.words, stages.panel.names, stages.coding)
        loop.whole(loop.run, stages.watermark.unmarked(was.events), Recorded(sequence, was, stands=True))
        return
    again = loop.whole(loop.run, body.events, Recorded(sequence, body, stands=False))
    same = np.array_equal(again.ruling.action, body.ruling.action)
    if not (same and np.array_equal(again.fused.risk, body.fused.risk, equal_nan=True)):
        raise Diverged(
            f"journal entry {sequence} replays to other decisions than it holds: a plug-in or the program was "
            "changed, so all decisions stand as they were made"
        )

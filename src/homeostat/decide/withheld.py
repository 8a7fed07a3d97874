"""Finds decided events in a quarantine: their outcomes count nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from homeostat.decide.contracts import Withholding
from homeostat.decide.stages import Stages
from homeostat.ports import Journal
from homeostat.records.arrays import Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Coding, Ids
from homeostat.records.renaming import events_as
from homeostat.records.vocabulary import Vocabulary

_LOOKED_UP = 4096  # Decisions that are looked up in the journal together.


class Withheld:
    """See the module.

    words : what the columns of events are here, wherever a decision was made
    quarantine : the one in force; None where there is none
    """

    def __init__(
        self, journal: Journal, coding: Coding, words: Vocabulary, quarantine: Callable[[], Withholding | None]
    ) -> None:
        self._journal, self._coding, self._words, self.quarantine = journal, coding, words, quarantine

    def among(self, ids: Ids) -> Mask:
        """(m,) which of these events are in a quarantine; one that is not decided is not."""
        quarantine = self.quarantine()
        if quarantine is None:
            return np.zeros(len(ids), bool)
        decided = self._journal.find_all(ids)
        return quarantine.among([None if one is None else (self._here(one[0]), one[1]) for one in decided])

    def _here(self, batch: DecisionBatch) -> DecisionBatch:
        if batch.words == self._words or self._words.nameless:
            return batch
        return replace(batch, events=events_as(batch.events, batch.words, self._words, self._coding))

    def mute_remembered(self, stages: Stages, was: Withholding | None) -> None:
        """Let nothing of those decisions be handed on that wait for an outcome and are in a new quarantine.

        was : the quarantine before it
        """
        new, joiner = stages.quarantine, stages.joiner
        if new is None or joiner is None or (was is not None and was.what == new.what):
            return
        ids, time_ns = joiner.remembered()
        rows = np.flatnonzero(time_ns >= new.from_ns)
        for start in range(0, len(rows), _LOOKED_UP):
            some = ids[rows[start : start + _LOOKED_UP]]
            joiner.mute(some[self.among(some)])


def remember(stages: Stages, decisions: DecisionBatch) -> None:
    """Let decisions wait for their outcomes; those in a quarantine teach nothing then."""
    joiner, quarantine = stages.joiner, stages.quarantine
    if joiner is None:
        return
    joiner.remember(decisions)
    if quarantine is not None:
        joiner.mute(decisions.events.ids[quarantine.holds(decisions.events)])

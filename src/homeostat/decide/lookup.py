"""Finds the decided events of outcomes: when and of whom each was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.contracts import Joiner
from homeostat.decide.outcome_rows import located
from homeostat.ports import Journal
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import Coding
from homeostat.records.renaming import Entities, keys_as


class LookUp:
    """The one look-up of an outcome's decision: in the joiner, else in the outcome itself, else in the journal.

    joiner : the joiner that remembers decisions at present; None where nobody learns
    entities : what the columns of keys are here, wherever a decision was made
    """

    def __init__(
        self,
        journal: Journal,
        coding: Coding,
        entities: Entities = (),
        joiner: Callable[[], Joiner | None] = lambda: None,
    ) -> None:
        self._journal, self._coding, self._entities, self._joiner = journal, coding, entities, joiner

    def __call__(self, outcomes: OutcomeBatch) -> tuple[NDArray[np.bool_], OutcomeBatch]:
        """Whether each outcome's event was decided (m,), and the outcomes with when and of whom their events were.

        The journal is asked only for what neither the joiner nor whoever read the outcomes knows. Of an outcome whose
        event was not decided, time and keys mean nothing.
        """
        m, joiner = len(outcomes), self._joiner()
        if joiner is not None:
            mask, time_ns, keys, checks = joiner.locate(outcomes.ids)
            found = mask.astype(bool)
        else:
            entities = 0 if outcomes.keys is None else outcomes.keys.shape[1]
            found, time_ns = np.zeros(m, bool), np.zeros(m, np.int64)
            keys, checks = np.zeros((2, m, entities), np.int64)
        fill = located(outcomes) & ~found
        if fill.any():
            assert outcomes.time_ns is not None and outcomes.keys is not None and outcomes.key_checks is not None
            time_ns[fill], keys[fill], found = outcomes.time_ns[fill], outcomes.keys[fill], found | fill
            checks[fill] = outcomes.key_checks[fill]
        rest = np.flatnonzero(~found)
        decided = self._journal.find_all(outcomes.ids[rest]) if len(rest) else []
        for k, earlier in zip(rest.tolist(), decided, strict=True):
            if earlier is not None:
                batch, row = earlier
                events, was, at = batch.events, batch.words.entities, slice(row, row + 1)
                now = self._entities or was
                own, own_checks = keys_as(events.keys[at], events.key_checks[at], was, now, self._coding)
                if keys.shape[1] != own.shape[1]:
                    keys, checks = np.zeros((2, m, own.shape[1]), np.int64)
                time_ns[k], keys[k], checks[k], found[k] = events.time_ns[row], own[0], own_checks[0], True
        return found, replace(outcomes, time_ns=time_ns, keys=keys, key_checks=checks, entities=self._entities)

"""Outcomes of decided events on their way into the entities' logs and the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.outcome_rows import outcome_rows
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.ports.shared import Located
from homeostat.records.arrays import Int
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import Ids

Locate = Callable[[Ids], Located]


def record_outcomes(
    outcomes: OutcomeBatch,
    featurizer: SharedFeaturizer,
    locate: Locate,
    append: Callable[[OutcomeBatch, Int], object],
    withheld: Callable[[Ids], NDArray[np.bool_]] | None = None,
) -> NDArray[np.bool_]:
    """Let the windows know of outcomes whose events were decided, and journal them; (n,) which those are.

    locate : see `SharedJournal`
    append : journals outcomes, now or later, after all that was decided before; it is given which rows they are
    withheld : which events are in a quarantine: their outcomes are journalled, and no window counts them
    Raises Unavailable.
    """
    their = locate(outcomes.ids)
    rows = np.flatnonzero(their.found)
    if len(rows):
        located = replace(
            outcomes.rows(rows), time_ns=their.time_ns[rows], keys=their.keys[rows],
            key_checks=their.key_checks[rows], texts={**outcomes.texts, **their.texts},
            entities=featurizer.words.entities,
        )  # fmt: skip
        # The windows first: so the logs are whole up to any entry of the journal.
        counted = located if withheld is None else located.rows(~withheld(located.ids))
        if len(counted):
            featurizer.features(outcome_rows(counted, featurizer.plan.fields))
        append(located, rows)
    return their.found

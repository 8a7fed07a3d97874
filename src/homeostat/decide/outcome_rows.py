"""Outcomes as rows among events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.identity import ABSENT


def located(outcomes: OutcomeBatch) -> NDArray[np.bool_]:
    """(m,) which outcomes know when and of whom their events were."""
    if outcomes.time_ns is None or outcomes.keys is None:
        return np.zeros(len(outcomes), bool)
    return np.asarray(outcomes.time_ns != ABSENT)


def outcome_rows(outcomes: OutcomeBatch, fields: int) -> EventBatch:
    """Outcomes that know when and of whom their events were, as rows of an event batch.

    fields : how many declared fields an event of this app has
    """
    m = len(outcomes)
    time_ns, keys, checks = outcomes.time_ns, outcomes.keys, outcomes.key_checks
    assert time_ns is not None and keys is not None and checks is not None, "an outcome was not located"
    kind = np.full(m, Row.OUTCOME, np.uint8)
    numbers = np.full((m, fields), np.nan)
    return EventBatch(
        outcomes.id_code, time_ns, keys, numbers, outcomes.label, kind, outcomes.texts, outcomes.id_check, checks
    )

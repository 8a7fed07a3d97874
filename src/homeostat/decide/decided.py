"""The results of a batch of events, also where another process decided some of them first: then its decisions count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.admission import Admission
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch
from homeostat.records.identity import Ids, is_hashed
from homeostat.records.reasons import Reason
from homeostat.records.rows import decisions_at
from homeostat.records.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Decided:
    """The results of a batch.

    fresh : the new decisions, None if there were none
    row : (n,) for each event its row in `fresh`; -1 where it repeats an earlier event, -2 where it was refused
    repeated : for each -1, the earlier decision as its batch and row; that batch is `fresh` where the event repeats
        one of its own batch
    refused : for each -2, why
    differing : those among the -1 whose content is another than that of the event that was decided under their id
    """

    fresh: DecisionBatch | None
    row: Int
    repeated: dict[int, tuple[DecisionBatch, int]] = field(default_factory=dict)
    refused: dict[int, Reason] = field(default_factory=dict)
    differing: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Recorded:
    """Decisions of the journal that are done again, in the columns and numbers of the present app.

    sequence : of the entry
    stands : they stand as they were made, because another version made them
    """

    sequence: int
    decisions: DecisionBatch
    stands: bool


def by_text(
    events: EventBatch, earlier: dict[int, tuple[DecisionBatch, int]]
) -> tuple[dict[int, tuple[DecisionBatch, int]], dict[int, Reason]]:
    """The decisions found under the events' ids, apart from those of another text with the same hash."""
    if not earlier:
        return {}, {}
    others = {
        k: Reason.AMBIGUOUS
        for k, (batch, row) in earlier.items()
        if is_hashed(events.id_code.item(k)) and batch.events.id_text(row) != events.id_text(k)
    }
    return {k: found for k, found in earlier.items() if k not in others}, others


def answered(
    rows: Admission,
    decisions: DecisionBatch | None,
    earlier: dict[int, tuple[DecisionBatch, int]],
    others: dict[int, Reason],
) -> Decided:
    """The result for each row of a batch whose new rows are `decisions`."""
    if np.count_nonzero(rows.new) == len(rows.new):
        return Decided(decisions, np.arange(len(rows.new)))
    row = np.where(rows.new, np.cumsum(rows.new) - 1, -1)
    repeated = dict(earlier)
    if decisions is not None:
        repeated |= {k: (decisions, int(row[rows.first[k]])) for k in np.flatnonzero(rows.again).tolist()}
    refused = {**dict.fromkeys(np.flatnonzero(rows.refused).tolist(), Reason.TOO_LATE), **others}
    row[list(refused)] = -2
    return Decided(decisions, row, repeated, refused)


def compared(decided: Decided, events: EventBatch, words: Vocabulary) -> Decided:
    """The same, with the events (n) that differ from those which they repeat: by time, key or value.

    words : what the columns of the events stand for
    Their outcomes are not compared, since these may become known later; nor are columns that only one of the two apps
    declares, where the app was changed in between.
    """
    if not decided.repeated:
        return decided
    differing = [k for k, (batch, row) in decided.repeated.items() if not alike(events, words, k, batch, row)]
    return replace(decided, differing=frozenset(differing))


def alike(events: EventBatch, words: Vocabulary, k: int, batch: DecisionBatch, row: int) -> bool:
    """Whether row `k` of some events has the content of an event that was decided: its time, keys and values."""
    before, theirs = batch.events, batch.words
    events, before = events.as_came, before.as_came
    return bool(
        events.time_ns[k] == before.time_ns[row]
        and _same(events.keys[k], words.entities, before.keys[row], theirs.entities)
        and _same(events.key_checks[k], words.entities, before.key_checks[row], theirs.entities)
        and _same(events.numbers[k], words.fields, before.numbers[row], theirs.fields)
    )


def _same(now: NDArray[Any], names: tuple[Any, ...], then: NDArray[Any], names_then: tuple[Any, ...]) -> bool:
    """Whether one row's values are those of another, in the columns that both have."""
    if names == names_then or not (names and names_then):
        return len(now) != len(then) or np.array_equal(now, then, equal_nan=True)
    both = [(column, names_then.index(name)) for column, name in enumerate(names) if name in names_then]
    mine, theirs = (list(columns) for columns in zip(*both, strict=True)) if both else ([], [])
    return np.array_equal(now[mine], then[theirs], equal_nan=True)


def refused_field(why: Reason) -> str:
    """Which field of an event a refusal is about, for its dead letter."""
    return "time" if why is Reason.TOO_LATE else "event_id"


def without(
    decided: Decided, theirs: NDArray[np.bool_], find: Callable[[Ids], list[tuple[DecisionBatch, int]]]
) -> Decided:
    """The same, where rows `theirs` (m,) of the fresh decisions were decided by others: found under their ids."""
    fresh = decided.fresh
    assert fresh is not None
    lost = np.flatnonzero(theirs)
    found = dict(zip(lost.tolist(), find(fresh.events.ids[lost]), strict=True))
    kept = decisions_at(fresh, ~theirs)
    place = np.cumsum(~theirs) - 1
    row, repeated = decided.row.copy(), dict(decided.repeated)
    for k in np.flatnonzero(decided.row >= 0).tolist():
        old = int(decided.row[k])
        row[k] = -1 if theirs[old] else place[old]
        if theirs[old]:
            repeated[k] = found[old]
    for k, (batch, old) in decided.repeated.items():
        if batch is fresh:  # It repeats a row of its own batch.
            repeated[k] = found[old] if theirs[old] else (kept, int(place[old]))
    return replace(decided, fresh=kept if len(kept) else None, row=row, repeated=repeated)

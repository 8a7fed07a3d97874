"""Rows cut out of records and put together again: against a twin that looks at every field of every record."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.checks.batches import decisions, outcomes, with_canary
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.rows import (
    decisions_at,
    inserted,
    joined,
    joined_events,
    joined_outcomes,
    outcome_parts,
    parts,
    pick,
    rows_of,
)

KEPT_WHOLE = ("took_us", "words", "texts")  # Not by the row.


def some_decisions(n: int, seed: int) -> DecisionBatch:
    made = decisions([f"event-{seed}-{k}" if k % 2 else k for k in range(n)], seed)
    made = with_canary(made) if seed % 3 else made
    return replace(made, events=replace(made.events, reach_ns=made.events.time_ns - seed % 7)) if seed % 2 else made


def some_outcomes(n: int, seed: int) -> OutcomeBatch:
    made = outcomes([f"event-{seed}-{k}" if k % 2 else k for k in range(n)], seed)
    keys = np.arange(2 * n).reshape(n, 2)
    return replace(made, time_ns=np.arange(n), keys=keys, key_checks=-keys) if seed % 2 else made


def columns(record: Any, at: Any = slice(None), path: str = "") -> dict[str, Any]:
    """Each array of a record by its path, cut; and each other value as it is."""
    found: dict[str, Any] = {}
    for field in fields(record):
        value, where = getattr(record, field.name), f"{path}{field.name}"
        if field.name in KEPT_WHOLE:
            continue
        if isinstance(value, np.ndarray):
            found[where] = (value[at].dtype, value[at].tolist())
        elif is_dataclass(value):
            found |= columns(value, at, f"{where}.")
        else:
            found[where] = value
    return found


def same(one: Any, other: dict[str, Any]) -> bool:
    return repr(columns(one)) == repr(other)  # As text, since NaN is not equal to itself.


@pytest.mark.long
@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 20), st.data())
def test_cutting_rows_cuts_every_column_of_every_record(seed: int, n: int, data: st.DataObject) -> None:
    batch, known = some_decisions(n, seed), some_outcomes(n, seed)
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    numbers = np.array(data.draw(st.lists(st.integers(0, n - 1))), np.int64)
    for at in (slice(start, stop), mask, numbers):
        assert same(decisions_at(batch, at), columns(batch, at))
        assert same(known.rows(at), columns(known, at))
    assert same(rows_of(batch, start, stop), columns(batch, slice(start, stop)))
    assert rows_of(batch, start, stop).took_us == batch.took_us * (stop - start) / n
    assert same(pick(batch.events, mask), columns(batch.events, mask))
    assert pick(batch.events, np.ones(n, bool)) is batch.events


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 25))
def test_pieces_joined_are_the_whole(seed: int, n: int, rows_max: int) -> None:
    batch, known = some_decisions(n, seed), some_outcomes(n, seed)
    pieces = list(parts(batch, rows_max))
    assert [len(piece) for piece in pieces] == [min(rows_max, n - at) for at in range(0, n, rows_max)]
    assert same(joined(pieces, batch.events, batch.features, batch.scores), columns(batch))
    assert same(joined_outcomes(list(outcome_parts(known, rows_max))), columns(known))
    events = pieces[0].events
    for piece in pieces[1:]:
        events = joined_events(events, piece.events)
    assert same(events, columns(batch.events)) and events.texts == batch.events.texts


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.data())
def test_inserted_rows_stand_before_the_events_that_they_are_placed_at(seed: int, n: int, data: st.DataObject) -> None:
    events = some_decisions(n, seed).events
    others = some_decisions(n, seed + 1).events
    position = data.draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    expected: list[int] = []
    for k in range(n + 1):
        expected += [int(others.id_code[row]) for row in range(n) if position[row] == k]
        expected += events.id_code[k : k + 1].tolist()
    mixed = inserted(events, others, np.array(position, np.int64))
    assert mixed.id_code.tolist() == expected and len(mixed.numbers) == len(mixed.key_checks) == 2 * n

"""Decisions of a span as they were, beside those of a rehearsal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from homeostat.decide.costs import Costs
from homeostat.maintain.open_tick import took_of
from homeostat.ports.recent import Recent
from homeostat.ports.rehearsal import Again
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch

_COVERED = 0.9  # Of matured events, the share with an outcome, below which silence says nothing.
_LEAST = 30  # Positives below which nobody can say when they become known.


def compared(
    recent: Recent, rows: Int, batches: Sequence[DecisionBatch], costs: Costs | None, censoring: Sequence[str] = ()
) -> Again:  # fmt: skip
    """The comparison.

    recent, rows : what was decided, and the rows of the span
    batches : the decisions of the rehearsal, of these events and perhaps others
    censoring : the actions after which no outcome can be seen
    """
    n, width = len(rows), len(recent.features)
    code = recent.id_code[rows]
    risk, features = np.full(n, np.nan), np.full((n, width), np.nan)
    action, kept = np.full(n, -1, np.int16), np.zeros(n, np.bool_)
    took_us = np.full(n, np.nan)
    numbers = recent.numbers[rows]
    if batches and n:
        made = np.concatenate([one.events.id_code for one in batches])
        order = np.argsort(made, kind="stable")
        at = np.minimum(np.searchsorted(made[order], code), len(made) - 1)
        kept = made[order[at]] == code
        place = order[at][kept]
        risk[kept] = np.concatenate([one.fused.risk for one in batches])[place]
        action[kept] = np.concatenate([one.ruling.action for one in batches])[place]
        features[kept] = np.concatenate([one.features.values for one in batches])[place]
        took_us[kept] = np.concatenate([np.full(len(one), took_of(one)) for one in batches])[place]
        came, repaired = (
            np.concatenate(each)[place]
            for each in zip(*((one.events.as_came.numbers, one.events.numbers) for one in batches), strict=True)
        )
        numbers[kept] = mended(numbers[kept], came, repaired)
    positive, negative = _costs(recent, rows, numbers, costs)
    return Again(
        recent.features, code, recent.time_ns[rows], recent.keys[rows], recent.risk[rows], recent.action[rows],
        recent.served[rows].astype(np.float64), risk, action, features, recent.label[rows], positive, negative, kept,
        seen_of(recent, rows, censoring), took_us,
    )  # fmt: skip


def mended(recorded: Float, came: Float, repaired: Float) -> Float:
    """(n, fields) the numbers by which decisions are priced, both those that were made and those of a rehearsal.

    recorded : (n, fields) of the decisions that were made, under the repairs of then
    came, repaired : (n, fields) of the rehearsal, before and after its repairs
    A repair of the rehearsal counts wherever it gives a number: a fault in the amounts is no saving or loss.

    >>> mended(np.array([[500.0, 7.0]]), np.array([[500.0, 7.0]]), np.array([[5.0, np.nan]]))
    array([[5., 7.]])
    """
    found: Float = np.where((repaired != came) & np.isfinite(repaired), repaired, recorded)
    return found


def seen_of(recent: Recent, rows: Int, censoring: Sequence[str]) -> Float | None:
    """(n,) the share of positives that are known at the age that each of the rows has by now.

    It is that of matured positives. None where too few are known, or where many matured events have no outcome at all.
    """
    censored = np.isin(recent.action, [at for at, name in enumerate(recent.actions) if name in censoring])
    age, delay = recent.now_ns - recent.time_ns, recent.known_ns - recent.time_ns
    return seen_among(age, recent.label, delay, censored, recent.matures_ns, rows)


def seen_among(
    age: Int, label: Float, delay: Int, censored: Mask, matures_ns: int, rows: Int
) -> Float | None:  # fmt: skip
    """The same from columns, (n,) each: age, outcome, delay of the outcome, and whether none can be seen."""
    matured = (age >= matures_ns) & ~censored
    positive = matured & (label == 1.0)
    if int(positive.sum()) < _LEAST or float((~np.isnan(label[matured])).mean()) < _COVERED:
        return None
    delays = np.sort(delay[positive])
    seen = np.searchsorted(delays, age[rows], "right") / len(delays)
    found: Float = np.where(censored[rows], 0.0, seen)
    return found


def _costs(recent: Recent, rows: Int, numbers: Float, costs: Costs | None) -> tuple[Float, Float]:
    """(n, actions) the cost of each action by the outcome. numbers : (n, fields) of the events"""
    n = len(rows)
    if costs is None:
        return np.zeros((n, 0)), np.zeros((n, 0))
    events = EventBatch(
        np.zeros(n, np.int64), recent.time_ns[rows], recent.keys[rows], numbers, np.full(n, np.nan),
        np.zeros(n, np.uint8), {}, np.zeros(n, np.int64), np.zeros_like(recent.keys[rows]),
    )  # fmt: skip
    return costs(events)

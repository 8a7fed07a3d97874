"""Cutting rows out of event batches, and putting outcomes at their places among the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float, Int
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features


def pick(events: EventBatch, rows: NDArray[np.bool_]) -> EventBatch:
    """The rows of a batch where the mask `rows` (n,) holds; the batch itself where it holds everywhere."""
    if rows.all():
        return events
    return EventBatch(
        events.id_code[rows], events.time_ns[rows], events.keys[rows], events.numbers[rows], events.label[rows],
        events.kind[rows], events.texts,
    )  # fmt: skip


def pick_outcomes(outcomes: OutcomeBatch, rows: NDArray[np.bool_]) -> OutcomeBatch:
    """The outcomes where the mask `rows` (n,) holds."""
    return replace(
        outcomes, id_code=outcomes.id_code[rows], label=outcomes.label[rows], known_ns=outcomes.known_ns[rows],
        amount=outcomes.amount[rows], time_ns=None if outcomes.time_ns is None else outcomes.time_ns[rows],
        keys=None if outcomes.keys is None else outcomes.keys[rows],
    )  # fmt: skip


def outcome_rows(id_code: Int, time_ns: Int, keys: Int, label: Float, fields: int) -> EventBatch:
    """Outcomes as rows of an event batch.

    id_code, time_ns : (m,) of the events that they belong to
    keys : (m, entities)
    label : (m,)
    fields : how many declared fields an event of this app has
    """
    kind = np.full(len(id_code), Row.OUTCOME, np.uint8)
    return EventBatch(id_code, time_ns, keys, np.full((len(id_code), fields), np.nan), label, kind)


def splice(events: EventBatch, outcomes: EventBatch, position: Int) -> EventBatch:
    """Both in one batch; outcome k stands before the event that is row `position[k]` (m,) of `events`."""
    order = np.argsort(position, kind="stable")
    at = position[order]

    def inserted(into: NDArray[Any], what: NDArray[Any]) -> NDArray[Any]:
        return np.insert(into, at, what[order], axis=0)

    return EventBatch(
        inserted(events.id_code, outcomes.id_code), inserted(events.time_ns, outcomes.time_ns),
        inserted(events.keys, outcomes.keys), inserted(events.numbers, outcomes.numbers),
        inserted(events.label, outcomes.label), inserted(events.kind, outcomes.kind), events.texts,
    )  # fmt: skip


def joined(
    parts: Sequence[DecisionBatch], events: EventBatch, features: Features, scores: Scores, took_us: float
) -> DecisionBatch:
    """The decisions of consecutive slices as one batch, of the whole batch's events, features and scores."""
    if len(parts) == 1:
        return replace(parts[0], took_us=took_us)

    def column(of: Any) -> Any:
        return np.concatenate([of(part) for part in parts])

    fused = Fused(column(lambda p: p.fused.risk), column(lambda p: p.fused.contributions))
    proposal = Proposal(
        column(lambda p: p.proposal.action), column(lambda p: p.proposal.propensity),
        column(lambda p: p.proposal.explored), column(lambda p: p.proposal.fallback),
    )  # fmt: skip
    ruling = Ruling(column(lambda p: p.ruling.action), column(lambda p: p.ruling.rule), column(lambda p: p.ruling.hits))
    fallback = column(lambda p: p.fallback)
    return DecisionBatch(events, features, scores, fused, proposal, ruling, fallback, parts[0].version, took_us)

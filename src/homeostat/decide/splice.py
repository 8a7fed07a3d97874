"""Cutting rows out of event batches, and putting outcomes at their places among the events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features
from homeostat.records.identity import ABSENT


def pick(events: EventBatch, rows: NDArray[np.bool_]) -> EventBatch:
    """The rows of a batch where the mask `rows` (n,) holds; the batch itself where it holds everywhere."""
    return events if np.count_nonzero(rows) == len(rows) else take(events, rows)


def take(events: EventBatch, rows: NDArray[np.bool_] | Int) -> EventBatch:
    """The rows where a mask (n,) holds, or those that it numbers, in its order."""
    return events.rows(rows)


def pick_decisions(decisions: DecisionBatch, rows: NDArray[np.bool_]) -> DecisionBatch:
    """The decisions where the mask `rows` (n,) holds."""
    scores, fused, proposal, ruling = decisions.scores, decisions.fused, decisions.proposal, decisions.ruling
    features = decisions.features
    return DecisionBatch(
        pick(decisions.events, rows), Features(features.names, features.values[rows], features.freshness[rows]),
        Scores(scores.names, scores.values[rows], scores.confidence[rows], scores.fallback[rows]),
        Fused(fused.risk[rows], fused.contributions[rows]),
        Proposal(
            proposal.action[rows], proposal.propensity[rows], proposal.explored[rows], proposal.fallback[rows]
        ),
        Ruling(ruling.action[rows], ruling.rule[rows], ruling.hits[rows]), decisions.fallback[rows],
        decisions.version, decisions.took_us, decisions.words,
    )  # fmt: skip


def pick_outcomes(outcomes: OutcomeBatch, rows: NDArray[np.bool_] | Int) -> OutcomeBatch:
    """The outcomes where the mask `rows` (n,) holds, or those that it numbers."""
    return outcomes.rows(rows)


def told(outcomes: OutcomeBatch) -> NDArray[np.bool_]:
    """(m,) which outcomes say when and of whom their events were."""
    if outcomes.time_ns is None or outcomes.keys is None:
        return np.zeros(len(outcomes), bool)
    return np.asarray(outcomes.time_ns != ABSENT)


def outcome_rows(outcomes: OutcomeBatch, fields: int) -> EventBatch:
    """Outcomes that say when and of whom their events were, as rows of an event batch.

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
        inserted(events.id_check, outcomes.id_check), inserted(events.key_checks, outcomes.key_checks),
        reach_ns=None if events.reach_ns is None else inserted(events.reach_ns, outcomes.time_ns),
    )  # fmt: skip


def joined(parts: Sequence[DecisionBatch], events: EventBatch, features: Features, scores: Scores) -> DecisionBatch:
    """The decisions of consecutive slices as one batch, of the whole batch's events, features and scores.

    It took until the last slice was decided.
    """
    took_us = parts[-1].took_us
    if len(parts) == 1:
        one = parts[0]
        if one.events is events and one.features is features and one.scores is scores:
            return one
        return DecisionBatch(
            events,
            features,
            scores,
            one.fused,
            one.proposal,
            one.ruling,
            one.fallback,
            one.version,
            took_us,
            one.words,
        )

    def column(of: Any) -> Any:
        return np.concatenate([of(part) for part in parts])

    fused = Fused(column(lambda p: p.fused.risk), column(lambda p: p.fused.contributions))
    proposal = Proposal(
        column(lambda p: p.proposal.action), column(lambda p: p.proposal.propensity),
        column(lambda p: p.proposal.explored), column(lambda p: p.proposal.fallback),
    )  # fmt: skip
    ruling = Ruling(column(lambda p: p.ruling.action), column(lambda p: p.ruling.rule), column(lambda p: p.ruling.hits))
    fallback = column(lambda p: p.fallback)
    version, words = parts[0].version, parts[0].words
    return DecisionBatch(events, features, scores, fused, proposal, ruling, fallback, version, took_us, words)

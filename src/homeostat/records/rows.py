"""Cutting rows out of the records of loop 1, and putting rows together: every record's columns are listed here once.

`at` is a slice (the rows are views), a mask (n,) or the numbers of rows. The records of one column set that are cut on
the hot path (`EventBatch`, `OutcomeBatch`, `Features`) have their own `rows`, and all others are built of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Int, Mask
from homeostat.records.decisions import DecisionBatch, Experience, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.features import Features
from homeostat.records.identity import ABSENT

At: TypeAlias = slice | Int | Mask


def pick(events: EventBatch, mask: Mask) -> EventBatch:
    """The events where the mask (n,) holds; the batch itself where it holds everywhere."""
    return events if np.count_nonzero(mask) == len(mask) else events.rows(mask)


def scores_at(scores: Scores, at: At) -> Scores:
    """Some rows of the scores."""
    return Scores(scores.names, scores.values[at], scores.confidence[at], scores.fallback[at])


def fused_at(fused: Fused, at: At) -> Fused:
    """Some rows of the risks."""
    return Fused(fused.risk[at], fused.contributions[at])


def proposal_at(proposal: Proposal, at: At) -> Proposal:
    """Some rows of the proposals."""
    return Proposal(proposal.action[at], proposal.propensity[at], proposal.explored[at], proposal.fallback[at])


def ruling_at(ruling: Ruling, at: At) -> Ruling:
    """Some rows of the rulings."""
    return Ruling(ruling.action[at], ruling.rule[at], ruling.hits[at])


def decisions_at(batch: DecisionBatch, at: At) -> DecisionBatch:
    """Some of the decisions; they took as long as the whole batch."""
    return DecisionBatch(
        batch.events.rows(at), batch.features.rows(at), scores_at(batch.scores, at), fused_at(batch.fused, at),
        proposal_at(batch.proposal, at), ruling_at(batch.ruling, at), batch.fallback[at], batch.version, batch.took_us,
        batch.words, batch.settings, batch.canary, None if batch.arm is None else batch.arm[at],
    )  # fmt: skip


def experience_at(experience: Experience, at: Mask) -> Experience:
    """Some rows of experience."""
    columns: dict[str, Any] = {one.name: getattr(experience, one.name) for one in fields(Experience)}
    some: dict[str, Any] = {name: None if column is None else column[at] for name, column in columns.items()}
    return Experience(**some)


def rows_of(batch: DecisionBatch, start: int, stop: int) -> DecisionBatch:
    """Decisions `start` to `stop` as views, with their share of the time taken."""
    took_us = batch.took_us * (stop - start) / len(batch) if len(batch) else batch.took_us
    return replace(decisions_at(batch, slice(start, stop)), took_us=took_us)


def parts(batch: DecisionBatch, rows_max: int) -> Iterator[DecisionBatch]:
    """The decisions in pieces of at most `rows_max` rows, as views; each takes its share of the time taken."""
    total = len(batch)
    if total <= rows_max:
        yield batch
        return
    for start in range(0, total, rows_max):
        yield rows_of(batch, start, min(start + rows_max, total))


def outcome_parts(batch: OutcomeBatch, rows_max: int) -> Iterator[OutcomeBatch]:
    """The outcomes in pieces of at most `rows_max` rows, as views; one empty piece where there are none."""
    for start in range(0, max(len(batch), 1), rows_max):
        yield batch.rows(slice(start, start + rows_max))


def joined_events(first: EventBatch, second: EventBatch) -> EventBatch:
    """Two batches of events of one app, one after the other."""

    def both(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([x, y])

    reach_ns = None if first.reach_ns is second.reach_ns is None else both(first.reach, second.reach)
    return _combined(first, second, both, {**first.texts, **second.texts} if second.texts else first.texts, reach_ns)


def inserted(events: EventBatch, others: EventBatch, position: Int) -> EventBatch:
    """Both in one batch; row k of `others` stands before the event that is row `position[k]` (m,) of `events`."""
    order = np.argsort(position, kind="stable")
    at = position[order]

    def insert(into: NDArray[Any], what: NDArray[Any]) -> NDArray[Any]:
        return np.insert(into, at, what[order], axis=0)

    reach_ns = None if events.reach_ns is None else insert(events.reach_ns, others.time_ns)
    return _combined(events, others, insert, events.texts, reach_ns)


def _combined(
    first: EventBatch, second: EventBatch, combine: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    texts: Any, reach_ns: Int | None,
) -> EventBatch:  # fmt: skip
    return EventBatch(
        combine(first.id_code, second.id_code), combine(first.time_ns, second.time_ns),
        combine(first.keys, second.keys), combine(first.numbers, second.numbers), combine(first.label, second.label),
        combine(first.kind, second.kind), texts, combine(first.id_check, second.id_check),
        combine(first.key_checks, second.key_checks), reach_ns,
    )  # fmt: skip


def joined_outcomes(batches: Sequence[OutcomeBatch]) -> OutcomeBatch:
    """Outcomes one after the other. Where only some know when their events were, the others' times are ABSENT."""
    if len(batches) == 1:
        return batches[0]
    located = [batch for batch in batches if batch.time_ns is not None and batch.keys is not None]
    time_ns: Int | None = None
    keys: Int | None = None
    checks: Int | None = None
    if located and located[0].keys is not None:
        width = located[0].keys.shape[1]
        times = [np.full(len(b), ABSENT) if b.time_ns is None else b.time_ns for b in batches]
        places = [np.full((len(b), width), ABSENT) if b.keys is None else b.keys for b in batches]
        theirs = [np.zeros((len(b), width), np.int64) if b.key_checks is None else b.key_checks for b in batches]
        time_ns, keys, checks = np.concatenate(times), np.concatenate(places), np.concatenate(theirs)
    return replace(
        batches[0], id_code=np.concatenate([b.id_code for b in batches]),
        id_check=np.concatenate([b.id_check for b in batches]), key_checks=checks,
        label=np.concatenate([b.label for b in batches]), known_ns=np.concatenate([b.known_ns for b in batches]),
        amount=np.concatenate([b.amount for b in batches]), time_ns=time_ns, keys=keys,
        texts={one: text for b in batches for one, text in b.texts.items()},
    )  # fmt: skip


def joined(parts: Sequence[DecisionBatch], events: EventBatch, features: Features, scores: Scores) -> DecisionBatch:
    """The decisions of consecutive slices as one batch, of the whole batch's events, features and scores.

    It took until the last slice was decided.
    """
    one, took_us = parts[0], parts[-1].took_us
    if len(parts) == 1:
        if one.events is events and one.features is features and one.scores is scores:
            return one
        return replace(one, events=events, features=features, scores=scores)

    def column(of: Callable[[DecisionBatch], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([of(part) for part in parts])

    fused = Fused(column(lambda p: p.fused.risk), column(lambda p: p.fused.contributions))
    proposal = Proposal(
        column(lambda p: p.proposal.action), column(lambda p: p.proposal.propensity),
        column(lambda p: p.proposal.explored), column(lambda p: p.proposal.fallback),
    )  # fmt: skip
    ruling = Ruling(column(lambda p: p.ruling.action), column(lambda p: p.ruling.rule), column(lambda p: p.ruling.hits))
    fallback = column(lambda p: p.fallback)
    arm = None if one.arm is None else np.concatenate([part.arm for part in parts if part.arm is not None])
    return DecisionBatch(
        events, features, scores, fused, proposal, ruling, fallback, one.version, took_us, one.words, one.settings,
        one.canary, arm,
    )  # fmt: skip

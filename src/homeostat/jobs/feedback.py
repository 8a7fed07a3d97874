"""Feedback with its quality: what people and programs say of decisions, held against what became known of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.preview import ENTRIES_MAX
from homeostat.models.feedback import Known, Scored, scored, trend_of
from homeostat.ports import StandingJournal
from homeostat.ports.statements import Statements
from homeostat.records.events import OutcomeBatch
from homeostat.records.rows import rows_of
from homeostat.records.statements import DECISION, Statement, StatementKind, shown

FEEDBACK_MAX = 100_000  # Pieces that are looked at, the newest ones.


@dataclass(frozen=True, slots=True)
class FeedbackSince:
    """Feedback that came since a time.

    number : of pieces; quality : their mean quality in [0, 1], None without any
    weight : the sum of the qualities: so many pieces of full quality they are worth
    """

    number: int
    quality: float | None
    weight: float


def feedback_since(statements: Statements, journal: StandingJournal | None, since_ns: int) -> FeedbackSince:
    """How much feedback came since a time, and how good it is: for who decides whether to train again.

    statements : where feedback is kept; journal : of the decisions, None where there is none yet
    since_ns : stored from then on, nanoseconds since 1970. The history of a source counts from its first feedback on.
    Raises Unavailable.
    """
    found = [one for one in scored_feedback(statements, journal) if one.statement.at_ns >= since_ns]
    weight = sum(one.quality for one in found)
    return FeedbackSince(len(found), weight / len(found) if found else None, weight)


def scored_feedback(statements: Statements, journal: StandingJournal | None) -> list[Scored]:
    """All feedback with its quality, oldest first; the newest FEEDBACK_MAX pieces. Raises Unavailable."""
    given = statements.list(StatementKind.FEEDBACK, limit=FEEDBACK_MAX)
    return scored(given, known_of(given, journal))


def known_of(given: Iterable[Statement], journal: StandingJournal | None) -> dict[int, Known]:
    """The facts known of the decisions that statements are about, by the statements' numbers."""
    about = [one for one in given if one.subject == DECISION]
    if journal is None or not about:
        return {}
    past = PastOutcomes(
        entry.body for entry in journal.read(max(0, journal.last - ENTRIES_MAX)) if isinstance(entry.body, OutcomeBatch)
    )
    seen: dict[str, Known] = {}
    for one in about:
        if one.about not in seen:
            seen[one.about] = _known(one.about, journal, past)
    return {one.number: seen[one.about] for one in about}


def _known(event_id: str, journal: StandingJournal, past: PastOutcomes) -> Known:
    found = journal.find_text(event_id)
    if found is None:
        return Known()
    batch, row = found
    decision = rows_of(batch, row, row + 1)
    label = float(past.labels_by(decision.events, None)[0])
    label = float(decision.events.label[0]) if label != label else label
    return Known(None if label != label else float(label > 0.5), bool(decision.ruling.action[0] > 0))


def as_json(one: Scored) -> dict[str, Any]:
    """A piece of feedback with its quality."""
    return {
        **shown(one.statement), "quality": round(one.quality, 6), "priority": round(one.priority, 6),
        "history": round(one.history, 6), "agrees_outcome": one.agrees_outcome, "agrees_others": one.agrees_others,
    }  # fmt: skip


def summary(found: Sequence[Scored]) -> dict[str, Any]:
    """Feedback by kind and by source: how much, how good, and which way it moves."""
    kinds, sources = defaultdict[str, list[Scored]](list), defaultdict[str, list[Scored]](list)
    for one in found:
        kinds[one.statement.topic].append(one)
        sources[one.statement.source].append(one)
    return {
        "feedback": len(found),
        "kinds": [_summed({"kind": kind}, kinds[kind]) for kind in sorted(kinds)],
        "sources": [_summed({"source": source}, sources[source]) for source in sorted(sources)],
        "first": [as_json(one) for one in sorted(found, key=lambda o: (-o.priority, o.statement.number))[:10]],
    }


def _summed(head: dict[str, Any], found: Sequence[Scored]) -> dict[str, Any]:
    checked = [one.agrees_outcome for one in found if one.agrees_outcome is not None]
    return {
        **head, "number": len(found), "quality": round(sum(one.quality for one in found) / len(found), 6),
        "checked": len(checked), "right": sum(checked), "trend": trend_of([one.statement.at_ns for one in found]),
    }  # fmt: skip

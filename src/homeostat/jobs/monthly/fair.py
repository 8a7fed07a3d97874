"""How groups of people fared in a month: figures with verdicts, and questions by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from homeostat.config.plans import group_name
from homeostat.engine.assembly import Prepared
from homeostat.errors import HomeostatError
from homeostat.jobs.by_group import shown
from homeostat.jobs.fair_evidence import ALL_HOURS, evidence_of, recorded_fairness
from homeostat.jobs.monthly.month import RECENT, Month, decisions_in
from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.preview import last_decisions
from homeostat.ports import StandingJournal
from homeostat.ports.statements import Statements
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.features import Features
from homeostat.records.statements import UPHELD, StatementKind
from homeostat.stats.intervals import share_interval

_WITHOUT = ""  # The group of a decision that has none.


class NoFairness(HomeostatError):
    """The app declares no groups of people, so there is nothing to compare."""

    why = "groups are compared by a field of the events that the app file names"
    remedy = "Declare `fairness` in the app file"


def fairness(
    prepared: Prepared, month: Month, journal: StandingJournal, statements: Statements | None
) -> dict[str, Any]:
    """The report as JSON: figures of the decisions whose events lie in the month, by the outcomes known today.

    Questions are those that were asked in the month; a rate is of the month's decisions.
    Raises NoFairness, Unavailable.
    """
    fair, outcomes = prepared.app.fairness, list[OutcomeBatch]()
    if fair is None:
        raise NoFairness(f"{prepared.app.app} declares no fairness, so there are no groups to compare")
    if month.name == RECENT:
        batches, past = last_decisions(journal, ALL_HOURS)
    else:
        batches = [_light(batch) for batch in decisions_in(journal, month, outcomes)]
        past = PastOutcomes(outcomes)
    found = recorded_fairness(prepared, batches, past)
    evidence = evidence_of(found)
    rows = {f.group: f.rows for f in found.found.figures if f.measure == "selection_rate"}
    return {
        "report": "fairness", "app": prepared.app.app, "month": month.name, "decisions": sum(map(len, batches)),
        "why": evidence.why, **shown(fair, found.found, found.left_out),
        "questions": list(_questions(prepared, month, journal, statements, rows)),
    }  # fmt: skip


def _light(batch: DecisionBatch) -> DecisionBatch:
    """A decision without its features, of which a month has more than fit into memory."""
    n = len(batch)
    return replace(batch, features=Features((), np.empty((n, 0)), np.empty((n, 0), np.uint8)))


def _questions(
    prepared: Prepared, month: Month, journal: StandingJournal, statements: Statements | None, rows: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """Questions by group, with the rate at which they are asked and the share that was upheld, and their intervals."""
    asked, answered, upheld = Counter[str](), Counter[str](), Counter[str]()
    given = [] if statements is None else statements.list(
        StatementKind.QUESTION, from_ns=month.from_ns, until_ns=month.until_ns
    )  # fmt: skip
    answers = {} if statements is None else statements.answers([one.number for one in given])
    for one in given:
        group = _group(prepared, journal, one.about)
        asked[group] += 1
        if one.number in answers:
            answered[group] += 1
            upheld[group] += answers[one.number].topic == UPHELD
    for group in sorted(rows.keys() | asked.keys()):
        yield {
            "group": group or None, "decisions": rows.get(group, 0), "asked": asked[group],
            "answered": answered[group], "upheld": upheld[group],
            "rate": _share(min(asked[group], rows.get(group, 0)), rows.get(group, 0)),
            "upheld_share": _share(upheld[group], answered[group]),
        }  # fmt: skip


def _share(part: int, of: int) -> dict[str, float] | None:
    """A share with its 95 % interval; None of nothing."""
    if not of:
        return None
    interval = share_interval(part / of, float(of))
    return {"value": interval.estimate, "low": interval.low, "high": interval.high}


def _group(prepared: Prepared, journal: StandingJournal, event_id: str) -> str:
    found, fair = journal.find_text(event_id), prepared.app.fairness
    assert fair is not None
    if found is None:
        return _WITHOUT
    batch, row = found
    fields = [name for name, _ in batch.words.fields]
    if fair.groups not in fields:
        return _WITHOUT
    value = float(batch.events.numbers[row, fields.index(fair.groups)])
    return _WITHOUT if value != value else group_name(prepared.app, value, batch.events.category_texts)

"""How far a month's decisions were a machine's: who decided what, who changed the settings, and who was overturned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.decide.guards.plan import BY_BREAKER, BY_FALLBACK
from homeostat.jobs.monthly.month import Month, decisions_in
from homeostat.ports import StandingJournal
from homeostat.ports.jobs import Jobs
from homeostat.ports.settings import Settings
from homeostat.ports.statements import Statements
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import BY_CHANCE, BY_GROUP, DecisionBatch
from homeostat.records.job import Job
from homeostat.records.statements import CHANGED, UPHELD, StatementKind

BY = ("model", "rule", "breaker", "fallback", "chance")
_MACHINES = ("homeostat", "prefect")  # Actors of changes that no person made.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Sources:
    """The stores that the report reads; None where there is none."""

    journal: StandingJournal | None
    settings: Settings | None = None
    statements: Statements | None = None
    jobs: Jobs | None = None


def autonomy(app: str, month: Month, sources: Sources) -> dict[str, Any]:
    """The report as JSON.

    Decisions count in the month of their event; questions, changes and jobs in that in which they were made. A decision
    that a person changed after a question is no longer the machine's alone. Raises Unavailable.
    """
    counts = _Counts()
    for batch in () if sources.journal is None else decisions_in(sources.journal, month):
        counts.add(batch)
    questions = _questions(sources.statements, month)
    return {
        "report": "autonomy", "app": app, "month": month.name, "decisions": counts.total,
        "machine_alone": max(counts.total - questions["changed"], 0),
        "by": {name: counts.by[name] for name in BY}, "without_a_part": counts.lacking,
        "moved_by_group_thresholds": counts.moved, "actions": dict(counts.actions.most_common()),
        "versions": dict(counts.versions.most_common()), "rules": dict(counts.rules.most_common()),
        "questions": questions, "changes": _changes(sources.settings, month), "jobs": _jobs(sources.jobs, month),
    }  # fmt: skip


class _Counts:
    """Decisions, counted batch by batch; each is in one part of `by`."""

    def __init__(self) -> None:
        self.total = self.lacking = self.moved = 0
        self.by, self.actions, self.versions, self.rules = (Counter[str]() for _ in range(4))

    def add(self, batch: DecisionBatch) -> None:
        """Take a batch in."""
        rule, explored, words = batch.ruling.rule, batch.proposal.explored, batch.words
        by_chance = (rule == -1) & (explored & BY_CHANCE != 0)
        masks = {
            "rule": rule >= 0, "breaker": rule == BY_BREAKER, "fallback": rule == BY_FALLBACK, "chance": by_chance,
            "model": (rule == -1) & ~by_chance,
        }  # fmt: skip
        for name, mask in masks.items():
            self.by[name] += int(np.count_nonzero(mask))
        self.total += len(batch)
        self.lacking += int(np.count_nonzero(batch.fallback))
        self.moved += int(np.count_nonzero((rule == -1) & (explored & BY_GROUP != 0)))
        for action, n in zip(*np.unique(batch.ruling.action, return_counts=True), strict=True):
            self.actions[words.action(int(action))] += int(n)
        for number, n in zip(*np.unique(rule[rule >= 0], return_counts=True), strict=True):
            self.rules[words.rule(int(number))] += int(n)
        self.versions.update(batch.makers)


def _questions(statements: Statements | None, month: Month) -> dict[str, int]:
    if statements is None:
        return dict.fromkeys(("asked", "open", "upheld", "changed"), 0)
    asked = statements.list(StatementKind.QUESTION, from_ns=month.from_ns, until_ns=month.until_ns)
    answers = statements.answers([one.number for one in asked])
    verdicts = Counter(one.topic for one in answers.values())
    changed = {one.about for one in asked if one.number in answers and answers[one.number].topic == CHANGED}
    return {
        "asked": len(asked), "open": len(asked) - len(answers), "upheld": verdicts[UPHELD], "changed": len(changed)
    }  # fmt: skip


def _changes(settings: Settings | None, month: Month) -> dict[str, Any]:
    made = [] if settings is None else [c for c in settings.since(0) if month.from_ns <= c.at_ns < month.until_ns]
    deploys = [change for change in made if change.kind == ChangeKind.DEPLOY]
    return {
        "made": len(made), "by_people": sum(not by_machine(change.actor) for change in made),
        "by_machines": sum(by_machine(change.actor) for change in made),
        "actors": dict(Counter(change.actor for change in made).most_common()),
        "kinds": dict(Counter(str(change.kind) for change in made).most_common()),
        "promotions": [_deployed(change) for change in deploys if not change.reverts],
        "rollbacks": [_deployed(change) for change in deploys if change.reverts],
    }  # fmt: skip


def _deployed(change: Change) -> dict[str, Any]:
    version = None if change.body is None else change.body.get("version")
    return {
        "change": change.number, "role": change.scope, "version": version, "actor": change.actor,
        "reason": change.reason, "by_machine": by_machine(change.actor),
    }  # fmt: skip


def by_machine(actor: str) -> bool:
    """Whether a change was made by a program of its own accord, and not for a person or a key.

    >>> by_machine("homeostat"), by_machine("homeostat canary"), by_machine("ann"), by_machine("key 0a1b")
    (True, True, False, False)
    """
    return actor.partition(" ")[0] in _MACHINES


def _jobs(jobs: Jobs | None, month: Month) -> dict[str, Any]:
    made = [] if jobs is None else [job for job in _all(jobs) if month.from_ns <= job.created_ns < month.until_ns]
    return {
        "submitted": len(made), "kinds": dict(Counter(job.kind for job in made).most_common()),
        "states": dict(Counter(str(job.state) for job in made).most_common()),
        "actors": dict(Counter(job.actor for job in made).most_common()),
    }  # fmt: skip


def _all(jobs: Jobs) -> Iterable[Job]:
    below: int | None = None
    while True:
        page: Sequence[Job] = jobs.list((), _PAGE, below)
        yield from page
        if len(page) < _PAGE:
            return
        below = page[-1].id

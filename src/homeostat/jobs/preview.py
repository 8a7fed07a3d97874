"""A version's effect on the last hours' traffic: what it would have decided on the features that were served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.app import brain, costs_of
from homeostat.engine.assembly import Prepared, bundle_of, fitting_bundle, prepare
from homeostat.jobs.guard_trial import CanNotTry, Labels
from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.shadow import InMemory, Shadow
from homeostat.jobs.training import final
from homeostat.models.training_set import Progress
from homeostat.ports import NamedJournal, StandingJournal
from homeostat.records.arrays import Float, Small
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.rows import rows_of
from homeostat.records.times import time_text

ROWS_MAX, ENTRIES_MAX = 100_000, 20_000
"""The last decisions and journal entries that are looked at, at the most."""
_HOUR_NS = 3600 * 10**9


def preview(
    app: str | Path, journal: NamedJournal, bundle: Path | None, changes: Iterable[Change], hours: float,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """How the decisions of the last hours would have differed, and what both cost where the outcome is known.

    app : the app that decided
    journal : that it was recorded in, which a server may be writing
    bundle : of the version; None for the shipped one
    changes : the settings in force, without the champion
    It decides as it would in shadow: on the features that were served, with circuit breakers that begin with no past.
    Thresholds stand in for a bandit, which would decide by what it has learned since then.
    Raises CanNotTry where the decisions have other features or actions than the app; BundleError, NotTrained,
    Inapplicable.
    """
    prepared = prepare(app).keyed(journal.coding)
    models = bundle_of(prepared, None) if bundle is None else fitting_bundle(bundle, prepared)
    ready = brain(prepared.app, prepared.features, models)
    one = Shadow(prepared, ready, journal, InMemory(), "", models)
    try:
        one.put_in_force(list(changes))
        stages = one.loop.stages
        if prepared.app.policy.kind == "bandit" and stages.thresholds is not None:
            stages.policy = stages.thresholds
        batches, past = last_decisions(journal, hours)
        for batch in batches:
            _check_same(batch, prepared, journal.where)
        return _compared(batches, one, prepared, past, progress)
    finally:
        one.close()


def last_decisions(journal: StandingJournal, hours: float) -> tuple[list[DecisionBatch], PastOutcomes]:
    """The decisions of a journal's last hours, in event time, oldest first, and the outcomes that came since.

    The newest decisions where there are too many.
    """
    found: list[DecisionBatch] = []
    outcomes: list[OutcomeBatch] = []
    for entry in journal.read(max(0, journal.last - ENTRIES_MAX)):
        if isinstance(entry.body, DecisionBatch):
            found.append(entry.body)
        elif isinstance(entry.body, OutcomeBatch):
            outcomes.append(entry.body)
    since_ns = max((int(batch.events.time_ns.max()) for batch in found), default=0) - int(hours * _HOUR_NS)
    kept: list[DecisionBatch] = []
    room = ROWS_MAX
    for batch in reversed(found):
        rows = np.flatnonzero(batch.events.time_ns >= since_ns)
        if len(rows) and room > 0:
            first, last = int(rows[0]), int(rows[-1]) + 1
            kept.append(rows_of(batch, max(first, last - room), last))
            room -= len(kept[-1])
    return kept[::-1], PastOutcomes(outcomes)


@dataclass(slots=True)
class _Sums:
    known: int = 0
    before: float = 0.0
    after: float = 0.0


def _compared(
    batches: list[DecisionBatch], one: Shadow, prepared: Prepared, past: PastOutcomes, progress: Progress
) -> dict[str, Any]:
    names = prepared.app.actions
    shown = ((batch.events, np.zeros(len(batch), bool)) for batch in batches)
    labels = Labels.of(shown, past, final(prepared.app, len(past) > 0))
    pairs: Counter[tuple[int, int]] = Counter()
    sums = _Sums()
    for at, batch in enumerate(batches):
        progress("deciding again", at / len(batches))
        was, action = batch.ruling.action, one.decide(batch).ruling.action
        pairs.update(zip(was.tolist(), action.tolist(), strict=True))
        label = labels.labels(batch.events, np.zeros(len(batch), bool))
        _add_costs(sums, prepared, batch, label, action)
    differing = {pair: count for pair, count in pairs.items() if pair[0] != pair[1]}
    times = [batch.events.time_ns for batch in batches]
    costed = sums.known > 0
    return {
        "decisions": pairs.total(), "differ": sum(differing.values()),
        "from": time_text(int(min(part.min() for part in times))) if times else None,
        "until": time_text(int(max(part.max() for part in times))) if times else None,
        "changes": [
            {"before": names[was], "after": names[now], "count": count}
            for (was, now), count in sorted(differing.items(), key=lambda item: (-item[1], item[0]))
        ],
        "known": sums.known, "cost_before": sums.before if costed else None,
        "cost_after": sums.after if costed else None, "currency": prepared.app.currency,
    }  # fmt: skip


def _add_costs(sums: _Sums, prepared: Prepared, batch: DecisionBatch, label: Float, action: Small) -> None:
    costs = costs_of(prepared.app)
    known = np.flatnonzero(~np.isnan(label))
    if costs is None or not len(known):
        return
    positive, negative = costs(batch.events)
    cost = np.where(label[:, None] == 1, positive, negative)
    sums.known += len(known)
    sums.before += float(cost[known, batch.ruling.action[known]].sum())
    sums.after += float(cost[known, action[known]].sum())


def _check_same(batch: DecisionBatch, prepared: Prepared, where: str) -> None:
    app = prepared.app
    other = [
        what
        for what, same in (
            ("features", batch.features.names == prepared.features.names),
            ("actions", (batch.words.actions or app.actions) == app.actions),
        )
        if not same
    ]
    if other:
        raise CanNotTry(
            f"the last decisions in {where} have other {' and '.join(other)} than {app.app}, so none can be tried on "
            "them"
        )

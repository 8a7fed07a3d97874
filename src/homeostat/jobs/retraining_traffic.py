"""The recent events of a journal, for retraining: how many outcomes count, and how good the decisions were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.app import censoring_of, costs_of
from homeostat.engine.assembly import Prepared
from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.training import final, groups_of, teaches
from homeostat.models.maturity import Maturity, matured
from homeostat.ports import StandingJournal
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.renaming import Unnamed, decisions_as
from homeostat.records.rows import decisions_at
from homeostat.stats.resampling import People

ROWS_MAX = 1_000_000  # Of the newest events that are kept, and as many outcomes; older ones count no more.
_LONG_AGO = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Decided:
    """Events of one entry.

    hidden : (n,) whether the action hides the outcome
    cost : (n, 2) of the action under a negative outcome, and a positive one
    """

    entry: int
    events: EventBatch
    hidden: Mask
    risk: Float
    cost: Float


@dataclass(frozen=True, slots=True)
class Counted:
    """Events with an outcome that counts."""

    outcomes: int
    positives: int


@dataclass(frozen=True, slots=True)
class Quality:
    """A metric with its bounds; None where there is not enough data, and `why` says so."""

    value: float
    bounds: tuple[float, float] | None
    outcomes: int
    why: str


class Traffic:
    """The decisions and outcomes of a journal, read once each."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared, self._costs = prepared, costs_of(prepared.app)
        self._hiding = np.array(censoring_of(prepared.app), np.bool_)
        self._parts: list[Decided] = []
        self._outcomes: list[tuple[int, OutcomeBatch]] = []
        self._rows = self._heard = 0
        self.position = 0

    def catch_up(self, journal: StandingJournal) -> None:
        """Read what is new. Raises Unavailable, JournalError."""
        for entry in journal.read(self.position):
            self.position = entry.sequence
            if isinstance(entry.body, OutcomeBatch):
                self._hear(entry.sequence, entry.body)
            elif isinstance(entry.body, DecisionBatch) and len(entry.body):
                self._take(entry.sequence, entry.body)

    def _hear(self, entry: int, body: OutcomeBatch) -> None:
        self._outcomes.append((entry, body))
        self._heard += len(body)
        while self._heard - len(self._outcomes[0][1]) >= ROWS_MAX:
            self._heard -= len(self._outcomes.pop(0)[1])

    def _take(self, entry: int, body: DecisionBatch) -> None:
        prepared = self._prepared
        try:
            was = decisions_as(body, prepared.words, tuple(prepared.app.scorers), prepared.coding)
        except Unnamed:
            return
        was = decisions_at(was, (was.ruling.action >= 0) & (was.events.kind != Row.OUTCOME))
        n, action = len(was), was.ruling.action.astype(np.int64)
        cost = np.full((n, 2), np.nan)
        if self._costs is not None:
            positive, negative = self._costs(was.events, was.features)
            cost = np.stack([negative[np.arange(n), action], positive[np.arange(n), action]], axis=1)
        self._parts.append(Decided(entry, was.events, self._hiding[action], was.fused.risk, cost))
        self._rows += n
        while self._rows - len(self._parts[0].events) >= ROWS_MAX:
            self._rows -= len(self._parts.pop(0).events)

    @property
    def newest_ns(self) -> int:
        """The time of the newest event or outcome; long ago where there is none."""
        return _today(self._parts, PastOutcomes(body for _, body in self._outcomes))

    def entry_before(self, since_ns: int) -> int:
        """The last entry all of whose events, and all of those before it, are older than a time."""
        older = 0
        for part in self._parts:
            if int(part.events.time_ns.max(initial=_LONG_AGO)) >= since_ns:
                break
            older = part.entry
        return older

    def counted(self, entry: int | None = None) -> Counted:
        """The events whose outcome counts today; as it was at the end of an entry, where one is named."""
        parts = [one for one in self._parts if entry is None or one.entry <= entry]
        past = PastOutcomes(body for at, body in self._outcomes if entry is None or at <= entry)
        return _count(_labels(parts, past, final(self._prepared.app, len(past) > 0), None)[1])

    def teaching(self, from_ns: int | None, until_ns: int) -> Counted:
        """The events that teach at a moment, of those since `from_ns`."""
        past = PastOutcomes(body for _, body in self._outcomes)
        app = self._prepared.app
        time_ns, label = _labels(self._parts, past, teaches(app, len(past) > 0), until_ns)
        within = time_ns < until_ns if from_ns is None else (time_ns < until_ns) & (time_ns >= from_ns)
        return _count(label[within])

    def quality(self, metric: str, over_ns: int, confidence: float) -> Quality:
        """A metric of the last events whose outcome counts, with the bounds that hold one by one so surely.

        metric : average_precision, roc_auc or cost; the outcomes are those that could be seen
        People are drawn with replacement: all events of a person come and go together.
        """
        past, parts = PastOutcomes(body for _, body in self._outcomes), self._parts
        time_ns, label = _labels(parts, past, final(self._prepared.app, len(past) > 0), None)
        age = final(self._prepared.app, len(past) > 0).age_ns
        known = ~np.isnan(label) & (time_ns > _today(parts, past) - age - over_ns)
        y, person = label[known], _whole([groups_of(part.events) for part in parts], np.int64)[known]
        people = People(person, seed=self._prepared.app.seed)
        if metric == "cost":
            cost = _whole([part.cost for part in parts]).reshape(-1, 2)[known]
            found = people.mean(np.where(y == 1.0, cost[:, 1], cost[:, 0]))
        else:
            auc, precision = people.ranking(y, _whole([part.risk for part in parts])[known])
            found = auc if metric == "roc_auc" else precision
        bounds = found.interval(2 * confidence - 1)
        return Quality(found.value, bounds, len(y), found.why)


def _count(label: Float) -> Counted:
    return Counted(int(np.count_nonzero(~np.isnan(label))), int(np.count_nonzero(label == 1.0)))


def _today(parts: Sequence[Decided], past: PastOutcomes) -> int:
    newest = max((int(part.events.time_ns.max(initial=_LONG_AGO)) for part in parts), default=_LONG_AGO)
    return max(newest, past.newest_ns)


def _labels(
    parts: Sequence[Decided], past: PastOutcomes, maturity: Maturity, moment_ns: int | None
) -> tuple[Int, Float]:
    """Times, and the labels that count at a moment, today when None."""
    today = _today(parts, past) if moment_ns is None else moment_ns
    time_ns = _whole([part.events.time_ns for part in parts], np.int64)
    later = _whole([past.labels_by(part.events, moment_ns) for part in parts])
    known = np.where(np.isnan(later), _whole([part.events.label for part in parts]), later)
    if moment_ns is not None:
        known = np.where(time_ns < moment_ns, known, np.nan)
    hidden = _whole([part.hidden for part in parts], np.bool_)
    return time_ns, matured(time_ns, known, today, maturity, hidden).label


def _whole(columns: Sequence[np.ndarray], kind: type = np.float64) -> np.ndarray:
    return np.concatenate(columns) if columns else np.empty(0, kind)

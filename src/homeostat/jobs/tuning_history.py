"""Gathers the events that tuning learns from and judges on: the features once, the outcomes with their moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from homeostat.app import costs_of
from homeostat.decide.costs import Costs
from homeostat.engine.assembly import Prepared
from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.training import groups_of, people_of
from homeostat.models.training_set import NothingToLearn, TrainingSet
from homeostat.models.tuning.bench import Fold
from homeostat.models.tuning.folds import History
from homeostat.records.arrays import Float, Int
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import rows_in

_Columns = tuple[np.ndarray, ...]


@dataclass(slots=True)
class HistoryCollector:
    """Takes in batches of events, as `Collector` does, and keeps what any moment of training may ask for.

    since_ns : earlier events only fill the windows
    past : outcomes that came apart
    """

    since_ns: int
    delay_ns: int
    past: PastOutcomes | None
    costs: Costs | None
    people: Callable[[EventBatch], Float] | None
    names: tuple[str, ...] = ()
    texts: dict[float, str] = field(default_factory=dict)
    _parts: list[_Columns] = field(default_factory=list)
    _known: list[_Columns] = field(default_factory=list)
    _people: list[Float] = field(default_factory=list)
    _rows: int = 0

    @classmethod
    def of(cls, prepared: Prepared, since_ns: int | None, past: PastOutcomes | None) -> HistoryCollector:
        """For an app."""
        since = np.iinfo(np.int64).min if since_ns is None else since_ns
        return cls(since, prepared.app.outcomes.delay, past, costs_of(prepared.app), people_of(prepared.app))

    def add(
        self, events: EventBatch, features: Features, known: Float | None = None, censored: np.ndarray | None = None
    ) -> None:
        """Take a batch in; see `Collector.add`. `known` is of one moment, and not looked at."""
        del known
        self.names = features.names
        rows = events.time_ns >= self.since_ns
        if not rows.any():
            return
        self.texts.update(events.category_texts)
        chosen = events.rows(rows)
        hidden = np.zeros(len(events), bool) if censored is None else censored
        costs = () if self.costs is None else self.costs(chosen)
        columns = (chosen.time_ns, chosen.id_code, groups_of(chosen), chosen.label, hidden[rows], *costs)
        self._parts.append((features.values[rows], *columns))
        if self.people is not None:
            self._people.append(self.people(chosen))
        outcomes = None if self.past is None else self.past.of(chosen)
        if outcomes is not None:
            at = rows_in(chosen.ids, outcomes.ids)
            order = np.lexsort((outcomes.known_ns, at))
            self._known.append((at[order] + self._rows, outcomes.known_ns[order], outcomes.label[order]))
        self._rows += len(chosen)

    def history(self) -> History:
        """All that was gathered. Raises NothingToLearn where that is nothing."""
        if not self._parts:
            raise NothingToLearn("no event lies in the training window: check the times, and the events' file")
        x, time_ns, id_code, groups, label, hidden, *costs = (
            np.concatenate(column) for column in zip(*self._parts, strict=True)
        )
        self._parts = []
        known = [np.concatenate(column) for column in zip(*self._known, strict=True)] or [np.empty(0)] * 3
        return History(
            self.names, x, time_ns, id_code, groups, label, self.delay_ns,
            known[0].astype(np.int64), known[1].astype(np.int64), known[2].astype(np.float64), self.past is not None,
            hidden, costs[0] if costs else None, costs[1] if costs else None,
            np.concatenate(self._people) if self._people else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Material:
    """The history of an app, cut into what trainers take.

    categories, texts : see `TrainingSet`
    """

    history: History
    categories: frozenset[str]
    texts: dict[float, str]

    def training_set(self, rows: Int, y: Float) -> TrainingSet:
        """Some rows with their labels as known at a moment. Raises NothingToLearn where these are of one kind."""
        past = self.history
        return TrainingSet(
            past.names, past.x[rows], y, past.time_ns[rows], past.id_code[rows], past.groups[rows], self.categories,
            self.texts, None if past.people is None else past.people[rows],
        )  # fmt: skip

    def fold(self, key: str, learn: tuple[Int, Float], judge: tuple[Int, Float]) -> Fold:
        """One fold, of rows with their labels."""
        past, (rows, y) = self.history, judge
        costs: Sequence[Float | None] = [
            None if cost is None else cost[rows] for cost in (past.positive, past.negative)
        ]
        return Fold(key, self.training_set(*learn), past.x[rows], y, costs[0], costs[1])

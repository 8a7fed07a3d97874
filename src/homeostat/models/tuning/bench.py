"""Judges settings on folds over time: trains as the final training does, and scores the events that follow.

A scorer whose settings were met before is not trained once more: most of a fold's time goes into it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from homeostat.models.training.bundles import Serve, Served, features_of, fitted_fusions, fold_of, lighter, train_part
from homeostat.models.training.fusion import fused_risk
from homeostat.models.training_set import FusionTask, ScorerTask, TrainingSet
from homeostat.models.tuning.measures import Judged
from homeostat.records.arrays import Float
from homeostat.records.parts import Part

_CACHED_MAX = 96  # Scorers of a fold whose scores are kept: one has some hundred thousand rows at most.
_SINGLE_ROWS = 48  # Events that are scored one by one, to time them.


@dataclass(frozen=True, slots=True)
class Fold:
    """The rows that one fold learns from, and those that it is judged on.

    learn : the rows that teach at its moment; judge : (m, features), y : (m,) the events after it
    positive, negative : (m, actions) costs, None without
    key : tells folds apart
    """

    key: str
    learn: TrainingSet
    judge: Float
    y: Float
    positive: Float | None = None
    negative: Float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """One scorer of a fold.

    left_out : (n,) scores of rows that it had not learned from; judged : (m,) of the events after
    training_s, latency_s : processor time of its trainings, and of one event
    size : bytes of what is served
    """

    left_out: Float
    judged: Float
    training_s: float
    latency_s: float
    size: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How settings do on one fold: what came of it, and what it took."""

    seen: Judged
    training_s: float
    latency_us: float
    size: int


@dataclass(slots=True)
class Bench:
    """Judges settings.

    serve, ready, group : see `train_bundle`
    inner_folds : that the fusion is fitted on
    cpu_s : the processor time of this thread
    """

    serve: Serve
    ready: Mapping[str, Served]
    cpu_s: Callable[[], float]
    seed: int
    inner_folds: int
    group: str
    _cache: OrderedDict[str, Trained] = field(default_factory=OrderedDict)

    def judged(self, fold: Fold, tasks: Sequence[ScorerTask], fusion: FusionTask, cut: float = 0.5) -> Outcome:
        """Train on a fold and score what follows. Raises what the trainers raise."""
        made = [self._trained(fold, task) for task in tasks]
        began = self.cpu_s()
        left_out = [one.left_out for one in made]
        judged = [one.judged for one in made]
        known = features_of(fold.learn.names, fold.learn.x)
        after = features_of(fold.learn.names, fold.judge)
        for scorer in self.ready.values():
            left_out.append(scorer.score(known)[0])
            judged.append(scorer.score(after)[0])
        names = (*(task.name for task in tasks), *self.ready)
        alone = replace(fusion, also=())
        part = fitted_fusions(alone, np.column_stack(left_out), fold.learn, names)[fusion.kind]
        fitted = self.cpu_s() - began
        scores, whole = np.column_stack(judged), (1 << len(names)) - 1
        risk = fused_risk(part, scores, whole)
        single = self._timed(lambda row: fused_risk(part, scores[row : row + 1], whole), len(scores))
        return Outcome(
            Judged(fold.y, risk, fold.positive, fold.negative, cut),
            fitted + sum(one.training_s for one in made),
            1e6 * (single + sum(one.latency_s for one in made)),
            _bytes(part) + sum(one.size for one in made),
        )

    def _trained(self, fold: Fold, task: ScorerTask) -> Trained:
        key = json.dumps([fold.key, task.name, task.kind, task.features, dict(task.settings)], default=list)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        found = self._cache[key] = self._train(fold, task)
        if len(self._cache) > _CACHED_MAX:
            self._cache.popitem(last=False)
        return found

    def _train(self, fold: Fold, task: ScorerTask) -> Trained:
        rows, began = fold.learn, self.cpu_s()
        of = fold_of(rows, self.inner_folds, self.seed, self.group)
        left_out = np.full(len(rows), np.nan)
        for k in range(self.inner_folds):
            part = train_part(lighter(task), rows.rows(of != k), self.seed)
            seen = features_of(rows.names, rows.x[of == k])
            left_out[of == k] = self.serve(task.name, part, rows.names).score(seen)[0]
        part = train_part(task, rows, self.seed)
        spent = self.cpu_s() - began
        served = self.serve(task.name, part, rows.names)
        judged = served.score(features_of(rows.names, fold.judge))[0]

        def one(row: int) -> object:
            return served.score(features_of(rows.names, fold.judge[row : row + 1]))

        return Trained(left_out, judged, spent, self._timed(one, len(judged)), _bytes(part))

    def _timed(self, act: Callable[[int], object], rows: int) -> float:
        """The median processor time of one event, in seconds."""
        spent = []
        for row in range(min(rows, _SINGLE_ROWS)):
            began = self.cpu_s()
            act(row)
            spent.append(self.cpu_s() - began)
        return float(np.median(spent))


def _bytes(part: Part) -> int:
    return sum(array.nbytes for array in part.arrays.values()) + sum(len(graph) for graph in part.graphs.values())

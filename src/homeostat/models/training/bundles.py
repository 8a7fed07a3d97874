"""A whole bundle: scorers, and the fusion of their out-of-fold scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import numpy as np

from homeostat.models.bundle import Bundle
from homeostat.models.training.boosted_trees import train_boosted
from homeostat.models.training.extras import BadSetting
from homeostat.models.training.folds import grouped_folds
from homeostat.models.training.fusion import train_fusion
from homeostat.models.training.isolation_forest import train_isolation_forest
from homeostat.models.training.network import train_network
from homeostat.models.training_set import FusionTask, Progress, ScorerTask, TrainingSet, silent
from homeostat.records.arrays import Float
from homeostat.records.features import Features
from homeostat.records.parts import Part
from homeostat.stats.metrics import average_precision, brier, expected_calibration_error, log_loss, roc_auc

Trainer = Callable[[Float, Float, tuple[str, ...], Mapping[str, Any], int, Progress], Part]
TRAINERS: dict[str, Trainer] = {
    "isolation_forest": train_isolation_forest,
    "boosted_trees": train_boosted,
    "network": train_network,
}
_LIBRARIES = ("numpy", "scikit-learn", "xgboost-cpu", "torch", "onnx", "onnxruntime")


class Served(Protocol):
    """A scorer as it serves."""

    def score(self, features: Features) -> tuple[Float, Float]: ...


Serve = Callable[[str, Part, tuple[str, ...]], Served]


def train_bundle(
    rows: TrainingSet,
    tasks: Sequence[ScorerTask],
    fusion: FusionTask,
    serve: Serve,
    *,
    app: str = "",
    ready: Mapping[str, Served] | None = None,
    seed: int = 0,
    folds: int = 4,
    about: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    left_out: Callable[[tuple[str, ...], Float, Part], None] | None = None,
) -> Bundle:
    """Train every scorer, fit the fusion on scores of rows left out, then train each scorer again on all rows.

    serve : (name, part, feature names) -> the scorer that will serve the part: it also scores the folds, so that the
        fusion sees what it will see later
    ready : scorers that need no training (rules, plug-ins), by name; they are fused with the others
    folds : share no group (see `TrainingSet`)
    left_out : called with the scorers' names, their scores (n, scorers) of rows left out, and the fusion of those
    Metrics in the manifest are those of the out-of-fold scores, never of rows that were learned from.
    """
    ready = ready or {}
    names = tuple(task.name for task in tasks) + tuple(ready)
    if len(set(names)) != len(names) or not names:
        raise BadSetting("scorers need names, each its own")
    fold = grouped_folds(rows.groups, rows.y, folds, seed)
    scores = np.full((len(rows), len(names)), np.nan)
    steps = len(tasks) * (folds + 1)
    for k in range(folds):
        learn, score = rows.rows(fold != k), fold == k
        seen = features_of(rows.names, rows.x[score])
        for j, task in enumerate(tasks):
            progress(f"{task.name}, fold {k + 1} of {folds}", (k * len(tasks) + j) / steps)
            part = train_part(_lighter(task), learn, seed)
            scores[score, j] = serve(task.name, part, rows.names).score(seen)[0]
    everything = features_of(rows.names, rows.x)
    for j, scorer in enumerate(ready.values()):
        scores[:, len(tasks) + j] = scorer.score(everything)[0]
    parts: dict[str, Part] = {"fusion": train_fusion(fusion.kind, scores, rows.y, names, fusion.settings)}
    if left_out is not None:
        left_out(names, scores, parts["fusion"])
    for j, task in enumerate(tasks):
        progress(task.name, (folds * len(tasks) + j) / steps)
        parts[f"scorer.{task.name}"] = train_part(task, rows, seed)
    progress("done", 1.0)
    return Bundle(app, rows.names, {**_facts(rows, names, scores, seed, folds), **(about or {})}, parts)


def _lighter(task: ScorerTask) -> ScorerTask:
    """The task with one model where it averages several: a fold's scores need not be the smoothest."""
    averaged = {"boosted_trees": "bags", "network": "members"}.get(task.kind)
    return task if averaged is None else replace(task, settings={**task.settings, averaged: 1})


def train_part(task: ScorerTask, rows: TrainingSet, seed: int, progress: Progress = silent) -> Part:
    """One scorer; raises BadSetting for a kind that nobody trains."""
    trainer = TRAINERS.get(task.kind)
    if trainer is None:
        raise BadSetting(f"scorer {task.name!r}: nobody trains {task.kind!r}; kinds are {', '.join(sorted(TRAINERS))}")
    names, x = rows.columns(task.features)
    return trainer(x, rows.y, names, task.settings, seed, progress)


def features_of(names: tuple[str, ...], x: Float) -> Features:
    """A matrix as features, all fresh."""
    return Features(names, np.ascontiguousarray(x), np.zeros(x.shape, np.uint8))


def _facts(rows: TrainingSet, names: tuple[str, ...], scores: Float, seed: int, folds: int) -> dict[str, Any]:
    metrics = {
        name: {
            "roc_auc": roc_auc(rows.y, scores[:, j]),
            "average_precision": average_precision(rows.y, scores[:, j]),
            "brier": brier(rows.y, scores[:, j]),
            "log_loss": log_loss(rows.y, scores[:, j]),
            "calibration_error": expected_calibration_error(rows.y, scores[:, j]),
        }
        for j, name in enumerate(names)
    }
    return {
        "rows": len(rows),
        "positives": int(rows.y.sum()),
        "from_ns": int(rows.time_ns.min()),
        "until_ns": int(rows.time_ns.max()),
        "seed": seed,
        "folds": folds,
        "out_of_fold": metrics,
        "libraries": {name: found for name in _LIBRARIES if (found := _installed(name)) is not None},
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

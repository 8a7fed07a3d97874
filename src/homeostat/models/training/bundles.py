"""A whole bundle: scorers, and the fusion of their out-of-fold scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import numpy as np

from homeostat.models.bundle import Bundle
from homeostat.models.training.boosted_trees import train_boosted
from homeostat.models.training.categories import learned_encodings
from homeostat.models.training.continued import continue_boosted, log_odds
from homeostat.models.training.ensemble import train_ensemble
from homeostat.models.training.extras import BadSetting
from homeostat.models.training.folds import grouped_folds, lacking
from homeostat.models.training.fusion import full_weights, fused_risk, train_fusion
from homeostat.models.training.isolation_forest import train_isolation_forest
from homeostat.models.training.network import train_network
from homeostat.models.training.normal import NORMAL_TRAINERS
from homeostat.models.training_set import (
    UNSUPERVISED,
    FusionTask,
    NothingToLearn,
    Progress,
    ScorerTask,
    TrainingSet,
    silent,
)
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.features import Features
from homeostat.records.parts import Part
from homeostat.stats.categories import SETTING, written
from homeostat.stats.metrics import average_precision, brier, expected_calibration_error, log_loss, roc_auc

Trainer = Callable[[Float, Float, tuple[str, ...], Mapping[str, Any], int, Progress], Part]
TRAINERS: dict[str, Trainer] = {
    "isolation_forest": train_isolation_forest,
    "boosted_trees": train_boosted,
    "network": train_network,
}
_LIBRARIES = ("numpy", "scikit-learn", "xgboost-cpu", "torch", "onnx", "onnxruntime")


_FLOAT32_MAX = float(np.finfo(np.float32).max)


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
    group: str = "entity",
    about: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    left_out: Callable[[tuple[str, ...], Float, Part], None] | None = None,
    start: Mapping[str, Part] | None = None,
) -> Bundle:
    """Train every scorer, fit the fusion on scores of rows left out, then train each scorer again on all rows.

    serve : (name, part, feature names) -> the scorer that will serve the part: it also scores the folds, so that the
        fusion sees what it will see later
    ready : scorers that need no training (rules, plug-ins), by name; they are fused with the others
    folds : share no group (see `TrainingSet`)
    group : what a group of rows is, in words: customer
    start : parts of boosted trees, by scorer, that get more trees in place of being trained from nothing
    left_out : called with the scorers' names, their scores (n, scorers) of rows left out, and the fusion of those
    Metrics in the manifest are those of the out-of-fold scores, never of rows that were learned from. Rows without
    outcomes train scorers that need none, and no fusion: the declared weights serve.
    Raises NothingToLearn, with what is missing.
    """
    ready = ready or {}
    names = tuple(task.name for task in tasks) + tuple(ready)
    if len(set(names)) != len(names) or not names:
        raise BadSetting("scorers need names, each its own")
    if not rows.labelled:
        return _without_outcomes(rows, tasks, fusion, app, seed, about, progress)
    fold = fold_of(rows, folds, seed, group)
    scores = np.full((len(rows), len(names)), np.nan)
    parts: dict[str, Part] = {}
    steps = len(tasks) * (folds + 1)
    begun = _begun(rows, tasks, start or {}, serve)
    for k in range(folds):
        learn, score = rows.rows(fold != k), fold == k
        seen = features_of(rows.names, rows.x[score])
        for j, task in enumerate(tasks):
            progress(f"{task.name}, fold {k + 1} of {folds}", (k * len(tasks) + j) / steps)
            if task.kind in NORMAL_TRAINERS:
                continue
            part = train_part(lighter(task), learn, seed, start=_of_rows(begun, task.name, fold != k))
            scores[score, j] = serve(task.name, part, rows.names).score(seen)[0]
    everything = features_of(rows.names, rows.x)
    for j, task in enumerate(tasks):
        if task.kind in NORMAL_TRAINERS:  # Outcomes have no part in it, and a fold would not know the other's series.
            parts[f"scorer.{task.name}"] = part = train_part(task, rows, seed, progress)
            scores[:, j] = serve(task.name, part, rows.names).score(everything)[0]
    for j, scorer in enumerate(ready.values()):
        scores[:, len(tasks) + j] = scorer.score(everything)[0]
    answered = ~np.isnan(scores).any(axis=1)  # A row of which a scorer has no opinion says nothing about its weight.
    fused, known = (rows, scores) if answered.all() else (rows.rows(answered), scores[answered])
    fusions = fitted_fusions(fusion, known, fused, names)
    parts |= {"fusion" if kind == fusion.kind else f"fusion.{kind}": p for kind, p in fusions.items()}
    if left_out is not None:
        left_out(names, scores, parts["fusion"])
    for j, task in enumerate(tasks):
        progress(task.name, (folds * len(tasks) + j) / steps)
        if task.kind not in NORMAL_TRAINERS:
            parts[f"scorer.{task.name}"] = train_part(task, rows, seed, start=begun.get(task.name))
    progress("done", 1.0)
    facts = {**_facts(rows, seed), "folds": folds, "out_of_fold": _by_scorer(fused.y, names, known)}
    facts["fused"] = _fused(parts["fusion"], names, known, fused.y)
    if len(fusions) > 1:
        whole = (1 << len(names)) - 1
        facts["fusions"] = {kind: _metrics(fused.y, fused_risk(part, known, whole)) for kind, part in fusions.items()}
    return Bundle(app, rows.names, {**facts, **(about or {})}, parts)


def fitted_fusions(task: FusionTask, scores: Float, rows: TrainingSet, names: tuple[str, ...]) -> dict[str, Part]:
    """Each fusion that is asked for, by its kind; the declared one first."""
    return {
        kind: train_ensemble(task.members, scores, rows.y, rows.time_ns, names, task.settings)
        if kind == "ensemble"
        else train_fusion(kind, scores, rows.y, names, task.settings)
        for kind in dict.fromkeys((task.kind, *task.also))
    }


def fold_of(rows: TrainingSet, folds: int, seed: int, group: str = "entity") -> Int:
    """(n,) the fold of each row. Raises NothingToLearn where a fold leaves nothing of one kind to learn from."""
    fold = grouped_folds(rows.groups, rows.y, folds, seed)
    missing = lacking(fold, rows.y, rows.groups, folds, group)
    if missing is not None:
        raise NothingToLearn(missing)
    return fold


def _without_outcomes(
    rows: TrainingSet, tasks: Sequence[ScorerTask], fusion: FusionTask, app: str, seed: int,
    about: Mapping[str, Any] | None, progress: Progress,
) -> Bundle:  # fmt: skip
    """A bundle of scorers that learn without outcomes."""
    for what, kind, enough in (
        *((f"scorer {task.name!r}", task.kind, task.kind in UNSUPERVISED) for task in tasks),
        *(("the fusion", kind, kind == "weighted") for kind in (fusion.kind, *fusion.also)),
    ):
        if not enough:
            raise NothingToLearn(
                f"no event has a known outcome, and {what} of kind {kind} learns from them; without any, "
                f"{' and '.join(UNSUPERVISED)} can be trained, with `fusion: {{kind: weighted}}`"
            )
    parts: dict[str, Part] = {}
    for j, task in enumerate(tasks):
        progress(task.name, j / len(tasks))
        parts[f"scorer.{task.name}"] = train_part(task, rows, seed)
    progress("done", 1.0)
    facts = {**_window(rows, seed), "positives": 0, "folds": 0, "out_of_fold": {}, "without_outcomes": True}
    return Bundle(app, rows.names, {**facts, **(about or {})}, parts)


def lighter(task: ScorerTask) -> ScorerTask:
    """The task with one model where it averages several: a fold's scores need not be the smoothest."""
    averaged = {"boosted_trees": "bags", "network": "members"}.get(task.kind)
    return task if averaged is None else replace(task, settings={**task.settings, averaged: 1})


_Begun = tuple[Part, Float]
"""A part that gets more trees, and (n,) what its trees say of the rows, as log-odds."""


def _begun(
    rows: TrainingSet, tasks: Sequence[ScorerTask], start: Mapping[str, Part], serve: Serve
) -> dict[str, _Begun]:  # fmt: skip
    """Those of boosted trees that can go on. Where categories were learned, trees are trained from nothing."""
    found = {}
    for task in tasks:
        part = start.get(task.name)
        if part is not None and task.kind == part.kind == "boosted_trees" and SETTING not in part.settings:
            score, _ = serve(task.name, part, rows.names).score(features_of(rows.names, rows.x))
            found[task.name] = part, log_odds(score)
    return found


def _of_rows(begun: Mapping[str, _Begun], name: str, rows: Mask) -> _Begun | None:
    found = begun.get(name)
    return None if found is None else (found[0], found[1][rows])


def train_part(
    task: ScorerTask, rows: TrainingSet, seed: int, progress: Progress = silent, start: _Begun | None = None
) -> Part:  # fmt: skip
    """One scorer; raises BadSetting for a kind that nobody trains."""
    if start is not None:
        part, margin = start
        _, x = rows.columns(tuple(part.features))
        return continue_boosted(part, margin, _held(x), rows.y, task.settings, seed)
    if task.kind in NORMAL_TRAINERS:
        return NORMAL_TRAINERS[task.kind](rows, task.features, task.settings, progress)
    trainer = TRAINERS.get(task.kind)
    if trainer is None:
        kinds = ", ".join(sorted((*TRAINERS, *NORMAL_TRAINERS)))
        raise BadSetting(f"scorer {task.name!r}: nobody trains {task.kind!r}; kinds are {kinds}")
    names, _ = rows.columns(task.features)
    encodings, columns, x = learned_encodings(rows, names, seed, supervised=task.kind not in UNSUPERVISED)
    part = trainer(_held(x), rows.y, columns, task.settings, seed, progress)
    if not encodings:
        return part
    return replace(part, features=names, settings={**part.settings, SETTING: written(encodings)})


def _held(x: Float) -> Float:
    """Values beyond float32 at its ends, where trees see them when they serve; libraries refuse them."""
    return np.clip(x, -_FLOAT32_MAX, _FLOAT32_MAX) if (np.abs(x) > _FLOAT32_MAX).any() else x


def features_of(names: tuple[str, ...], x: Float) -> Features:
    """A matrix as features, all fresh."""
    return Features(names, np.ascontiguousarray(x), np.zeros(x.shape, np.uint8))


def _facts(rows: TrainingSet, seed: int) -> dict[str, Any]:
    return {**_window(rows, seed), "positives": int(rows.y.sum())}


def _by_scorer(y: Float, names: tuple[str, ...], scores: Float) -> dict[str, dict[str, float]]:
    return {name: _metrics(y, scores[:, j]) for j, name in enumerate(names)}


def _metrics(y: Float, score: Float) -> dict[str, float]:
    return {
        "roc_auc": roc_auc(y, score),
        "average_precision": average_precision(y, score),
        "brier": brier(y, score),
        "log_loss": log_loss(y, score),
        "calibration_error": expected_calibration_error(y, score),
    }


def _fused(part: Part, names: tuple[str, ...], scores: Float, y: Float) -> dict[str, Any]:
    """How good the fused risk is, each scorer's weight in it, and how good it is without that scorer.

    The scores are of rows left out; the few numbers of the fusion were fitted on them.
    """
    whole = (1 << len(names)) - 1
    without = {}
    for j, name in enumerate(names):
        risk = fused_risk(part, scores, whole & ~(1 << j))
        without[name] = {
            "weight": float(full_weights(part)[j]),
            "average_precision": average_precision(y, risk),
            "log_loss": log_loss(y, risk),
        }
    return {**_metrics(y, fused_risk(part, scores, whole)), "without": without}


def _window(rows: TrainingSet, seed: int) -> dict[str, Any]:
    """The training data, and the libraries that were used."""
    return {
        "rows": len(rows),
        "from_ns": int(rows.time_ns.min()),
        "until_ns": int(rows.time_ns.max()),
        "seed": seed,
        "libraries": {name: found for name in _LIBRARIES if (found := _installed(name)) is not None},
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""The study of a tuning as files: what was tried, the settings to put into the app file, and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from homeostat.adapters.disk.files import FOLDER_MODE, replace_file
from homeostat.charts import Axis, Bar, Line, Mark, Scatter, Series, Values, svg
from homeostat.jobs.tuning import Found
from homeostat.models.tuning.measures import HIGHER
from homeostat.models.tuning.space import Dimension
from homeostat.models.tuning.trials import State, Tried

HISTORY, IMPORTANCES, STUDY, SETTINGS = "history.svg", "importances.svg", "study.json", "settings.yaml"
_SLICES_MAX = 16  # Pictures of single settings: the most important ones.
_HEAD = "# The settings of trial {trial}, for the app file. The bundle holds what they train.\n"


def write_study(found: Found, folder: Path) -> list[str]:
    """Write a study's files; returns their names. Raises Unavailable."""
    metric, trials = str(found.report["metric"]), found.trials
    files = {
        STUDY: json.dumps({**found.report, "all": [_as_json(trial) for trial in trials]}, indent=1),
        SETTINGS: _HEAD.format(trial=found.report["best"]["trial"]) + yaml.safe_dump(found.settings, sort_keys=False),
        HISTORY: svg(history_of(trials, metric, found.report["hand_made"])),
        IMPORTANCES: svg(importances_of(found.report["importances"])),
    }
    ranked = sorted(found.space, key=lambda one: -found.report["importances"].get(one.name, 0.0))
    for one in ranked[:_SLICES_MAX]:
        files[f"slice-{one.name}.svg"] = svg(slice_of(one, trials, metric))
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    for stale in folder.glob("slice-*.svg"):
        if stale.name not in files:
            stale.unlink()
    for name, text in files.items():
        replace_file(folder / name, [text.encode("utf-8")])
    return list(files)


def history_of(trials: Sequence[Tried], metric: str, hand: float | None) -> Line:
    """The metric by trial, and the best so far of those that keep the constraints."""
    complete = [trial for trial in trials if trial.state is State.COMPLETE]
    best, so_far = [], None
    for trial in complete:
        value = trial.value if trial.feasible else None
        if value is not None and (so_far is None or (value > so_far if metric in HIGHER else value < so_far)):
            so_far = value
        best.append(so_far)
    at = tuple(float(trial.slot) for trial in complete)
    each = Series("trial", at, tuple(trial.value for trial in complete))
    return Line(
        "Trials", (each, Series("best so far", at, tuple(best))),
        description=f"{metric} on the validation folds; trials that ended early are left out.",
        x=Axis("trial"), y=Axis(_words(metric)),
        marks=() if hand is None else (Mark(hand, "app file"),),
    )  # fmt: skip


def importances_of(importances: dict[str, float]) -> Bar:
    """The share of each setting in what the metric varies."""
    names = tuple(sorted(importances, key=lambda name: -importances[name]))
    return Bar(
        "Importance of the settings", names, (Values("share", tuple(importances[name] for name in names)),),
        description="How much of the differences between trials each setting explains.", y=Axis("share", low=0.0),
    )  # fmt: skip


def slice_of(one: Dimension, trials: Sequence[Tried], metric: str) -> Scatter:
    """The metric by one setting."""
    complete = [trial for trial in trials if trial.state is State.COMPLETE and one.name in trial.values]
    labels = tuple(one.choices or ())
    x: list[float] = [
        float(labels.index(str(value))) if one.choices is not None else float(value)
        for value in (trial.values[one.name] for trial in complete)
    ]
    return Scatter(
        one.name, (Series("trial", tuple(x), tuple(trial.value for trial in complete)),),
        description=f"{metric} of each complete trial by {one.name}.",
        x=Axis(one.name, log=one.log and one.choices is None, names=labels), y=Axis(_words(metric)),
    )  # fmt: skip


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _as_json(trial: Tried) -> dict[str, Any]:
    return {
        "number": trial.number, "state": trial.state.value, "value": trial.value, "params": dict(trial.values),
        "feasible": trial.feasible, **dict(trial.facts),
    }  # fmt: skip

"""The space that tuning searches, as an app file declares it, and the app that a point of it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from homeostat.app import TRAINED
from homeostat.config.scalars import duration_text
from homeostat.config.settings import SCORERS, ThresholdsSettings
from homeostat.config.tree import App, FusionSpec
from homeostat.config.tune import Tried, Tune
from homeostat.models.tuning.space import Dimension, Value, chosen_from, ranged

WINDOW, FUSION, WEIGHT, CUT = "window", "fusion.kind", "fusion.weights", "policy.cut"
WHOLE = "all"
"""The training window that holds every event."""
KINDS = ("weighted", "learned")
"""Kinds of fusions that can take each other's place."""
SHARES = {WHOLE: 1.0, "half": 0.5, "quarter": 0.25}
"""Training windows as shares of the history, where neither a start nor lengths are given."""

# The values of each kind of scorer, where the app file does not say: (low, high, by logarithm), or choices. Bags and
# members are left out, since more of them are never worse: they cost latency, which is the owner's to spend.
_RANGES: dict[str, dict[str, tuple[float, float, bool] | list[Any]]] = {
    "boosted_trees": {
        "trees": (50, 300, True), "depth": (2, 8, False), "rate": (0.02, 0.3, True), "rows": (0.5, 1.0, False),
        "columns": (0.2, 1.0, False), "leaf_weight_min": (0.1, 30.0, True), "l2": (0.1, 30.0, True),
        "positive_weight": (0.5, 20.0, True),
    },
    "network": {
        "hidden": [(32.0,), (32.0, 32.0), (64.0, 64.0), (128.0, 64.0)], "epochs": (4, 24, True),
        "rate": (5e-4, 1e-2, True), "dropout": (0.0, 0.5, False), "decay": (1e-6, 1e-2, True),
        "positive_weight": (0.5, 20.0, True),
    },
    "isolation_forest": {"trees": (50, 300, True), "rows": (128, 4096, True), "columns": (0.3, 1.0, False)},
    "reconstruction": {"kept": (0.5, 0.98, False), "contamination": (0.001, 0.1, True)},
    "profile": {"contamination": (0.001, 0.1, True)},
}  # fmt: skip


def space_of(app: App, windows: Mapping[str, float]) -> list[Dimension]:
    """Each setting that is tried, with the app file's own value.

    windows : of `windows_of`
    """
    tune = app.tune or Tune()
    found = [Dimension(WINDOW, next(iter(windows)), choices=dict(windows))] if len(windows) > 1 else []
    found += _scorers(app, tune)
    found += _fusion(app, tune)
    if tune.metric == "f1":
        cut = tune.cuts or Tried(low=0.05, high=0.95)
        found.append(_tried(CUT, first_cut(app), False, cut))
    return found


def windows_of(app: App, from_ns: int | None, end_ns: int) -> dict[str, float]:
    """The training windows to choose among, the hand-made one first: label -> nanoseconds, or a share up to 1.

    from_ns : where the hand-made one begins; None: with the history
    end_ns : the youngest event that teaches
    """
    declared = {duration_text(window): float(window) for window in (app.tune or Tune()).windows}
    if from_ns is not None:
        given_ns = max(2, end_ns - from_ns)
        exact = given_ns % 10**9 == 0
        return {duration_text(given_ns) if exact else f"{given_ns / 1e9:g}s": float(given_ns), **declared}
    return {WHOLE: 1.0, **declared} if declared else dict(SHARES)


def window_start(window: float | None, first_ns: int, end_ns: int) -> int | None:
    """Where a training window begins; None for the whole history.

    window : of `windows_of`; None for the whole history
    first_ns, end_ns : the first event, and the youngest that teaches
    """
    if window is None or window == 1.0:
        return None
    return end_ns - round(window if window > 1.0 else window * (end_ns - first_ns))


def first_cut(app: App) -> float:
    """The risk from which on the second action is proposed, of an app without costs."""
    cuts = ThresholdsSettings.model_validate(app.policy.settings).cuts if app.policy.kind == "thresholds" else None
    return cuts[0] if cuts else 1.0 / len(app.actions)


def applied(app: App, values: Mapping[str, Value], space: Sequence[Dimension]) -> App:
    """The app with the settings of a point in place of its own."""
    chosen = {one.name: one.value(values[one.name]) for one in space}
    scorers = {}
    for name, spec in app.scorers.items():
        own = {key.partition(".")[2]: value for key, value in chosen.items() if _of_scorer(key) == name}
        scorers[name] = spec.model_copy(update={"settings": {**spec.settings, **own}}) if own else spec
    update: dict[str, Any] = {"scorers": scorers}
    fusion = _applied_fusion(app, chosen)
    if fusion is not None:
        update["fusion"] = fusion
    if CUT in chosen:
        cuts = ThresholdsSettings.model_validate(app.policy.settings).cuts
        rest = (cuts or tuple((at + 1) / len(app.actions) for at in range(len(app.actions) - 1)))[1:]
        settings = {**app.policy.settings, "cuts": tuple(max(chosen[CUT], one) for one in (chosen[CUT], *rest))}
        update["policy"] = app.policy.model_copy(update={"settings": settings})
    return app.model_copy(update=update)


def in_bundle(name: str) -> bool:
    """Whether a bundle holds what a dimension changes: settings of a scorer, or the training window."""
    return name == WINDOW or _of_scorer(name) != ""


def with_settings(app: App, settings: Mapping[str, Any]) -> App:
    """The app with the settings of its scorers that a tuning found, in the form of `differences`."""
    found = {name: one["settings"] for name, one in settings.get("scorers", {}).items()}
    scorers = {
        name: spec.model_copy(update={"settings": {key: _frozen(value) for key, value in found[name].items()}})
        if name in found else spec
        for name, spec in app.scorers.items()
    }  # fmt: skip
    return app.model_copy(update={"scorers": scorers})


def _of_scorer(key: str) -> str:
    """The scorer that a setting is of; empty for those of the app."""
    return "" if key in (WINDOW, FUSION, CUT) or key.startswith(f"{WEIGHT}.") else key.partition(".")[0]


def differences(app: App, tuned: App) -> dict[str, Any]:
    """The settings in which a tuned app differs, in the form of an app file."""
    found: dict[str, Any] = {}
    for name, spec in tuned.scorers.items():
        if spec.settings != app.scorers[name].settings:
            settings = {key: _plain(value) for key, value in spec.settings.items()}
            found.setdefault("scorers", {})[name] = {"settings": settings}
    if tuned.fusion != app.fusion:
        found["fusion"] = {"kind": tuned.fusion.kind}
        if tuned.fusion.kind == "weighted":
            found["fusion"]["weights"] = dict(tuned.fusion.weights)
    if tuned.policy != app.policy:
        found["policy"] = {"settings": {key: _plain(value) for key, value in tuned.policy.settings.items()}}
    return found


def _frozen(value: Any) -> Any:
    """A setting as an app file that was read has it."""
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """A setting as YAML and JSON have it."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _scorers(app: App, tune: Tune) -> Iterator[Dimension]:
    for name, spec in app.scorers.items():
        if spec.kind not in TRAINED:
            continue
        own = SCORERS[spec.kind].model_validate(dict(spec.settings))
        declared = tune.scorers.get(name)
        if declared is None:
            for setting, about in _RANGES[spec.kind].items():
                hand = getattr(own, setting)
                tried = Tried(choices=tuple(about)) if isinstance(about, list) else _range(*about)
                yield _tried(f"{name}.{setting}", hand, _whole(spec.kind, setting), tried)
        else:
            for setting, tried in declared.items():
                yield _tried(f"{name}.{setting}", getattr(own, setting), _whole(spec.kind, setting), tried)


def _fusion(app: App, tune: Tune) -> Iterator[Dimension]:
    kinds = tune.fusion.kinds
    if kinds and app.fusion.kind in KINDS and set(kinds) != {app.fusion.kind}:
        yield chosen_from(FUSION, app.fusion.kind, kinds)
    weighted = app.fusion.kind == "weighted" or "weighted" in kinds
    if weighted and app.fusion.kind in KINDS and len(app.scorers) > 1:
        for name in app.scorers:
            tried = tune.fusion.weights or Tried(low=0.0, high=2.0)
            yield _tried(f"{WEIGHT}.{name}", app.fusion.weights.get(name, 1.0), False, tried)


def _applied_fusion(app: App, chosen: Mapping[str, Any]) -> FusionSpec | None:
    kind = chosen.get(FUSION, app.fusion.kind)
    own = {
        key.removeprefix(f"{WEIGHT}."): float(value) for key, value in chosen.items() if key.startswith(f"{WEIGHT}.")
    }
    weights = own if kind == "weighted" and own else dict(app.fusion.weights)
    if kind == app.fusion.kind and weights == app.fusion.weights:
        return None
    return app.fusion.model_copy(update={"kind": kind, "weights": weights})


def _range(low: float, high: float, log: bool) -> Tried:
    return Tried(low=low, high=high, log=log)


def _whole(kind: str, setting: str) -> bool:
    return isinstance(SCORERS[kind].model_fields[setting].default, int)


def _tried(name: str, hand: Any, whole: bool, tried: Tried) -> Dimension:
    if tried.choices:
        return chosen_from(name, hand, tried.choices)
    assert tried.low is not None and tried.high is not None
    return ranged(name, hand, tried.low, tried.high, log=tried.log, whole=whole)

"""Faults in the `tune` section: settings that no scorer has, values that no setting takes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from homeostat.config.faults import Fault, Step, nearest, shortened
from homeostat.config.nodes import YamlNode
from homeostat.config.settings import SCORERS
from homeostat.config.tree import App
from homeostat.config.tune import Tried, Tune

FIXED = ("threads", "block")
"""Settings that change nothing in what is learned."""


def tune_faults(app: App, root: YamlNode, scorers_whole: bool = True) -> list[Fault]:
    """Every fault of meaning in `tune`.

    scorers_whole : whether every scorer of the file could be read
    """
    if app.tune is None:
        return []
    found = [*_metric(app, app.tune), *_ranges(app, app.tune, scorers_whole)]
    return [_node(root, ("tune", *path)).fault(message, meant) for path, message, meant in found]


_CANARY = "a tuned version becomes a canary first: let canary.steps begin below 1"
_Found = tuple[tuple[Step, ...], str, str | None]


def _metric(app: App, tune: Tune) -> Iterator[_Found]:
    named: list[tuple[tuple[Step, ...], str]] = [(("metric",), tune.metric)]
    named += [(("constraints", "floors", at, "metric"), one.metric) for at, one in enumerate(tune.constraints.floors)]
    for path, metric in named:
        if metric == "cost" and not app.costs:
            yield path, "the app declares no costs: choose another metric", None
        if metric == "f1" and (app.costs or app.policy.kind != "thresholds"):
            yield path, "f1 judges fixed cut-offs: it needs the policy thresholds and an app without costs", None
    if tune.cuts is not None:
        if tune.metric != "f1":
            yield ("cuts",), "a cut-off changes f1 and no other metric: say metric: f1", None
        if fault := tune.cuts.fault() or _chances(tune.cuts):
            yield ("cuts",), fault, None
    if tune.fold is not None and tune.fold <= 0:
        yield ("fold",), "should be longer than nothing", None
    if tune.when is not None and (fault := tune.when.fault_in(bool(app.costs))):
        yield ("when",), fault, None
    if tune.by_itself and app.canary is not None and app.canary.steps[0] >= 1:
        yield ("every" if tune.when is None else "when",), _CANARY, None
    for at, window in enumerate(tune.windows):
        if window <= 0:
            yield ("windows", at), "should be longer than nothing", None


def _ranges(app: App, tune: Tune, scorers_whole: bool) -> Iterator[_Found]:
    for name, settings in tune.scorers.items():
        path: tuple[Step, ...] = ("scorers", name)
        if name not in app.scorers:
            if scorers_whole:
                yield path, f"there is no scorer {name!r}", nearest(name, app.scorers)
            continue
        kind = app.scorers[name].kind
        if kind not in SCORERS or kind == "rules":
            yield path, f"a scorer of kind {shortened(kind)} is not trained, so nothing of it can be tuned", None
            continue
        for setting, tried in settings.items():
            yield from _of_setting((*path, setting), kind, setting, tried)
    fusion = tune.fusion
    if fusion.kinds and app.fusion.kind not in ("weighted", "learned"):
        yield (
            ("fusion", "kinds"),
            f"the kind of a fusion can be tuned if it is weighted or learned, not {app.fusion.kind}",
            None,
        )
    if fusion.weights is not None and (fault := fusion.weights.fault() or _weights(fusion.weights)):
        yield ("fusion", "weights"), fault, None


def _of_setting(path: tuple[Step, ...], kind: str, setting: str, tried: Tried) -> Iterator[_Found]:
    fields = SCORERS[kind].model_fields
    if setting not in fields:
        meant = nearest(setting, fields)
        yield path, f"{kind} has no setting {shortened(setting)}" + ("" if meant else f": {', '.join(fields)}"), meant
        return
    if setting in FIXED:
        yield path, f"{setting} changes nothing in what is learned", None
        return
    if fault := tried.fault():
        yield path, fault, None
        return
    if not tried.choices and not isinstance(fields[setting].default, int | float):
        yield path, f"{setting} is no number: give choices", None
        return
    for value in tried.values():
        try:
            SCORERS[kind].model_validate({setting: list(value) if isinstance(value, tuple) else value})
        except ValidationError as error:
            yield path, f"{shortened(value)} can't be set: {error.errors()[0]['msg']}", None


def _chances(tried: Tried) -> str | None:
    return None if all(_number(one) and 0 <= one <= 1 for one in tried.values()) else "a cut-off lies between 0 and 1"


def _weights(tried: Tried) -> str | None:
    return None if all(_number(one) and 0 <= one <= 1e6 for one in tried.values()) else "a weight is at least 0"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _node(root: YamlNode, path: tuple[Step, ...]) -> YamlNode:
    """The node at a path, or the nearest above it that the file has."""
    node = root
    for step in path:
        node = node.child(step) or node
    return node

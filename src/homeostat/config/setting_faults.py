"""Faults in the `settings` of scorers and policies: each kind has a type of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter, ValidationError

from homeostat.config.faults import Fault, Step, nearest, shortened
from homeostat.config.nodes import YamlNode
from homeostat.config.scalars import Node
from homeostat.config.settings import POLICIES, SCORERS, ThresholdsSettings
from homeostat.config.shape import faults_of
from homeostat.config.tree import App, ScorerSpec
from homeostat.decide.scorers.plugins import PluginError, apart, settings_type


def setting_faults(app: App, root: YamlNode) -> list[Fault]:
    """Every fault in the settings of scorers and policy."""
    return [fault for found in _each(app, root) for fault in found]


def plugin_settings(spec: ScorerSpec) -> Any:
    """A plug-in's settings as its factory takes them: of the type that it declares, a mapping where it declares none.

    Raises PluginError where they don't fit, which an app file was asked about before.
    """
    kind = settings_type(spec.kind, spec.start)
    if kind is None:
        return dict(spec.settings)
    found = apart(f"settings of {spec.kind}", partial(_typed, kind, dict(spec.settings)), spec.start)
    if isinstance(found, list):
        raise PluginError(f"the settings of a scorer of kind {spec.kind!r} can't be used: {found[0]['msg']}")
    return dict(spec.settings) if found is None else found


def _each(app: App, root: YamlNode) -> Iterator[list[Fault]]:
    for name, scorer in app.scorers.items():
        node = _node(root, ("scorers", name, "settings"))
        if node is None:
            continue
        if scorer.kind in SCORERS:
            yield _checked(node, SCORERS[scorer.kind])
        elif (kind := settings_type(scorer.kind, scorer.start)) is not None:
            yield _of_plugin(node, scorer, kind)
    node = _node(root, ("policy", "settings"))
    if node is not None:
        yield _checked(node, POLICIES[app.policy.kind]) or _cuts(app, node)
    if app.policy.kind == "plugin":
        yield _plugin_policy(app, root, node is not None)


def _plugin_policy(app: App, root: YamlNode, named: bool) -> list[Fault]:
    """Faults of a policy of another package: it has to be named, and draws its own hold-out."""
    policy = _node(root, ("policy",))
    assert policy is not None, "its kind stands there"
    found = []
    if not named:
        found.append(policy.fault("which one? Name its entry point: settings: {name: ...}"))
    if app.policy.holdout:
        found.append(policy.fault("a policy of another package draws its own hold-out: leave it out", key="holdout"))
    return found


def _checked(node: YamlNode, kind: type[Node]) -> list[Fault]:
    """The faults that a type of ours finds in the settings at a node."""
    try:
        kind.model_validate(node.plain())
    except ValidationError as error:
        return faults_of(node, error.errors(include_url=False), lambda _: list(kind.model_fields))
    return []


def _of_plugin(node: YamlNode, spec: ScorerSpec, kind: Any) -> list[Fault]:
    """The faults that a stranger's type finds, asked in a thread of its own, since its checks are a stranger's."""
    known = apart(f"settings of {spec.kind}", partial(_keys, kind), spec.start)
    unknown = [] if known is None else [key for key in node.plain() if key not in known]
    faults = []
    for key in unknown:
        meant = nearest(key, known or ())
        listed = "" if meant else f"; known here: {', '.join(known or ())}"
        faults.append(node.fault(f"unknown key {shortened(key)}{listed}", meant, key=key))
    given = {key: value for key, value in node.plain().items() if key not in unknown}
    found = apart(f"settings of {spec.kind}", partial(_typed, kind, given), spec.start)
    return faults + (faults_of(node, found, lambda _: known or []) if isinstance(found, list) else [])


def _typed(kind: Any, given: dict[str, Any]) -> Any:
    """The settings as a plug-in's type has them, or pydantic's errors. None where the type itself fails."""
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        return error.errors(include_url=False)


def _keys(kind: Any) -> list[str] | None:
    """The names that a plug-in's type knows; None where it takes any."""
    schema = TypeAdapter(kind).json_schema()
    known = schema.get("properties")
    return None if known is None or schema.get("additionalProperties") is True else list(known)


def _cuts(app: App, node: YamlNode) -> list[Fault]:
    """Cut-offs that don't fit the app's actions."""
    cuts = node.child("cuts")
    if cuts is None or app.policy.kind != "thresholds":
        return []
    if app.costs:
        return [node.fault("the app declares costs, which say where each action begins: leave cuts out", key="cuts")]
    chosen = ThresholdsSettings.model_validate(node.plain()).cuts or ()
    wanted = len(app.actions) - 1
    if len(chosen) != wanted:
        return [cuts.fault(f"{len(app.actions)} actions need {wanted} cut-offs, not {len(chosen)}")]
    if any(second < first for first, second in pairwise(chosen)):
        return [cuts.fault("cut-offs should ascend")]
    return []


def _node(root: YamlNode, path: tuple[Step, ...]) -> YamlNode | None:
    node: YamlNode | None = root
    for step in path:
        node = None if node is None else node.child(step)
    return node

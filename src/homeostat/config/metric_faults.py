"""Faults in the `metrics` section: names that the events do not have, and steps that the windows would not count."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.config.faults import Fault, Step, nearest
from homeostat.config.metrics import Metrics
from homeostat.config.nodes import YamlNode
from homeostat.config.scalars import duration_text
from homeostat.config.tree import App

_NUMERIC = ("number", "integer", "boolean")


def metric_faults(app: App, root: YamlNode) -> list[Fault]:
    """Every fault of meaning in `metrics`."""
    node = root.child("metrics")
    if app.metrics is None or node is None:
        return []
    return [_at(node, path).fault(message, meant) for path, message, meant in _faults(app, app.metrics)]


def unwise(app: App) -> list[str]:
    """Sentences about a section that can be used, and may not do what its author meant."""
    metrics = app.metrics
    if metrics is None:
        return []
    found = []
    optional = [name for name in metrics.entity if not app.events.entities[name].required]
    if optional and len(metrics.entity) > 1:
        tags = ", ".join(metrics.entity[name] for name in optional)
        found.append(f"lines with and without the tag {tags} become different events: name it only if all have it")
    sources: dict[object, str] = {}
    for name, source in metrics.fields.items():
        other = sources.setdefault((source.measurement, source.field, tuple(sorted(source.tags.items()))), name)
        if other != name:
            found.append(f"the metrics {other} and {name} are the same field of the same lines")
    return found


def _at(node: YamlNode, path: tuple[Step, ...]) -> YamlNode:
    for step in path:
        node = node.child(step) or node
    return node


def _faults(app: App, metrics: Metrics) -> Iterator[tuple[tuple[Step, ...], str, str | None]]:
    entities, fields = app.events.entities, app.events.fields
    read = [name for name, entity in entities.items() if entity.of is None]
    for name in metrics.entity:
        if name not in read:
            yield ("entity", name), f"events.entities has no {name!r} that events carry", nearest(name, read)
    for name in read:
        if entities[name].required and name not in metrics.entity:
            yield ("entity",), f"events need the entity {name!r}: say which tag holds it", None
    for name in metrics.fields:
        declared = fields.get(name)
        if declared is None:
            yield ("fields", name), f"events.fields has no {name!r}", nearest(name, fields)
        elif declared.type not in _NUMERIC:
            yield ("fields", name), f"a metric is a number, and {name!r} is of type {declared.type}", None
        elif declared.required:
            yield ("fields", name), f"a metric may be missing: say required: false at events.fields.{name}", None
    for name, declared in fields.items():
        if declared.required and name not in metrics.fields:
            yield ("fields",), f"events need the field {name!r}, which no metric fills: say required: false there", None
    least = metrics.step + metrics.lateness
    if app.events.lateness < least:
        yield (), (
            "the steps of one entity close up to step + lateness behind those of another, and windows would not count "
            f"them: let events.lateness be at least {duration_text(least)}"
        ), None  # fmt: skip

"""The meaning of each feature of an app, in a line: two apps mean the same by a name where the lines are the same."""

from __future__ import annotations

import ast
from functools import lru_cache

from homeostat.config.scalars import duration_text
from homeostat.config.tree import App, WindowGroup, duration_ns
from homeostat.expressions import ExpressionError, names_in
from homeostat.expressions.parse import parse


def feature_definitions(app: App) -> dict[str, str]:
    """Feature name -> what it means; names in other lines stand for what their own lines say.

    How an event is read (other names of a field, limits, lateness) and who is on a list are no part of a meaning.

    >>> from homeostat.config.load import load_app
    >>> lines = feature_definitions(load_app("payments"))
    >>> lines["night"], lines["terminal_frauds_mean_1d"]
    ('hour(time) <= 6', 'mean(fraud) of terminal over 1d, 7d ago, silence is negative')
    """
    lines = {name: f"a field of type {spec.type}" for name, spec in app.events.fields.items()}
    for group in app.features.windows:
        for length in group.lengths:
            for name, text in group.compute.items():
                lines[name.replace("{length}", length)] = _window(app, group, duration_ns(length), text)
    return lines | {name: _same(text) for name, text in app.features.derived.items()}


def durations(app: App) -> frozenset[str]:
    """The features that are numbers of seconds since something happened.

    >>> from homeostat.config.load import load_app
    >>> sorted(durations(load_app("access")))
    ['since_last']
    """
    begins = ("since_last of", "since_first of", "since_last(", "since_first(")
    return frozenset(name for name, line in feature_definitions(app).items() if line.startswith(begins))


def _window(app: App, group: WindowGroup, length_ns: int, text: str) -> str:
    entity = app.events.entities.get(group.entity)
    pair = f" ({' and '.join(entity.of)})" if entity is not None and entity.of else ""
    parts = [f"{_same(text)} of {group.entity}{pair} over {duration_text(length_ns)}"]
    parts += [f"{duration_text(group.delay)} ago"] if group.delay else []
    parts += ["this event left out"] if group.past else []
    parts += [f"where {_same(group.where)}"] if group.where is not None else []
    label = app.outcomes.label
    asks = {label} & (names_in(text) | names_in(group.where or ""))
    parts += ["silence is negative"] if asks and app.outcomes.unknown == "negative" else []
    return ", ".join(parts)


@lru_cache(maxsize=1024)
def _same(text: str) -> str:
    """The expression as Python would write it, whatever blanks and brackets it has; numbers by their value.

    >>> _same("( amount>220.0 )and night")
    'amount > 220 and night'
    """
    try:
        tree = parse(text)
    except ExpressionError:  # A faulty app file is refused elsewhere, with all its faults.
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value.is_integer():
            node.value = int(node.value)
    return ast.unparse(tree)

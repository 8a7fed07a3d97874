"""PromQL taken apart: which series an expression asks for, and by which labels."""

from __future__ import annotations

import re

import promql_parser

# Variables that Grafana fills in before Prometheus sees an expression.
_FILLED = {"$__rate_interval": "5m", "$app": "payments", "$scorer": "forest"}


def filled(expression: str) -> str:
    for name, value in _FILLED.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"{expression} has a variable that no dashboard defines"
    return expression


def asked(expression: str) -> list[tuple[str, set[str]]]:
    """Each series that is asked for, with the labels that its values are chosen by. Raises ValueError."""
    found = []

    def look(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        return True

    promql_parser.walk(promql_parser.parse(expression), look)
    return found


def grouped(expression: str) -> set[str]:
    """The labels that anything is summed or matched by."""
    lists = re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression)
    return {label.strip() for each in lists for label in each.split(",") if label.strip()}


def unknown(expression: str, exported: dict[str, set[str]]) -> set[str]:
    """Names in an expression that nothing exports: series, and labels that none of its series has."""
    series = asked(expression)
    wrong = {name for name, _ in series if name not in exported}
    wrong |= {f"{name}{{{label}}}" for name, own in series for label in own - exported.get(name, own)}
    return wrong | (grouped(expression) - {label for name, _ in series for label in exported.get(name, ())})

"""Faults in `maintain.gate`: kinds of action and time zones that there are not, conditions that don't compile."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from homeostat.config.faults import Fault, Step, nearest
from homeostat.config.gate import GateSpec
from homeostat.config.nodes import YamlNode
from homeostat.config.tree import App
from homeostat.expressions import ExpressionError, Type
from homeostat.maintain.gate.business import condition
from homeostat.maintain.gate.limits import WATCHING
from homeostat.records.plans import Remedy

ACTING = tuple(sorted(str(one) for one in Remedy if one not in WATCHING))
"""The kinds of action that a level can be declared for."""

_Found = tuple[tuple[Step, ...], str, str | None, int]


def gate_faults(app: App, root: YamlNode) -> list[Fault]:
    """Every fault of meaning in `maintain.gate`."""
    gate = app.maintain.gate
    found = [*_kinds(gate), *_zones(gate), *_rules(gate), *_spans(gate)]
    return [_node(root, ("maintain", "gate", *path)).fault(message, meant, at=at) for path, message, meant, at in found]


def zone_of(name: str) -> ZoneInfo:
    """A time zone. Raises ValueError with a sentence.

    >>> zone_of("Europe/Berlin").key
    'Europe/Berlin'
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r} on this machine") from None


def _kinds(gate: GateSpec) -> Iterator[_Found]:
    named: list[tuple[tuple[Step, ...], str]] = [(("autonomy", one), one) for one in gate.autonomy]
    named += [(("four_eyes", at), one) for at, one in enumerate(gate.four_eyes)]
    for path, kind in named:
        if kind not in ACTING:
            message = f"there is no kind of action {kind!r}; known: {', '.join(ACTING)}"
            yield path, message, nearest(kind, ACTING), 0


def _zones(gate: GateSpec) -> Iterator[_Found]:
    named: list[tuple[tuple[Step, ...], str]] = [(("zone",), gate.zone)]
    named += [(("blackouts", at, "zone"), one.zone) for at, one in enumerate(gate.blackouts)]
    for path, name in named:
        try:
            zone_of(name)
        except ValueError as error:
            yield path, str(error), nearest(name, {one.lower(): one for one in available_timezones()}.values()), 0


def _rules(gate: GateSpec) -> Iterator[_Found]:
    seen: set[str] = set()
    for at, rule in enumerate(gate.rules):
        if rule.name in seen:
            yield ("rules", at, "name"), f"there are two rules {rule.name!r}", None, 0
        seen.add(rule.name)
        path: tuple[Step, ...] = ("rules", at, "when")
        try:
            found = condition(rule.when)
        except ExpressionError as error:
            yield from ((path, one.message, one.nearest, one.offset) for one in error.all)
            continue
        if found.type != Type.BOOLEAN:
            yield path, f"should be {Type.BOOLEAN}, not {found.type}", None, 0


def _spans(gate: GateSpec) -> Iterator[_Found]:
    for key in ("worth_for", "plan_age", "answer"):
        if getattr(gate, key) <= 0:
            yield (key,), "should be longer than nothing", None, 0


def _node(root: YamlNode, path: tuple[Step, ...]) -> YamlNode:
    """The node at a path, or the nearest one above it that the file has."""
    node = root
    for step in path:
        node = node.child(step) or node
    return node

"""Evidence paths: from a cause through the causal graph to the symptom, over nodes that were measured to move."""

from __future__ import annotations

from collections import deque

from homeostat.maintain.investigate.effects import moved
from homeostat.maintain.investigate.inquiry import Inquiry
from homeostat.records.findings import Edge

_LAST = ("outcome", "action", "guards", "policy", "fusion", "scorer", "feature", "entity", "field", "serving")


def path_of(inquiry: Inquiry, node: str, shown: str, known: dict[str, str]) -> tuple[Edge, ...]:
    """The shortest path from a cause to the furthest place that moved; one to itself where only the cause shows.

    shown : the sentence of the test that shows the cause; empty where none does, so that the path is a guess
    known : sentences of nodes that were measured before; added to
    """
    before: dict[str, str] = {}
    waiting, seen = deque([node]), {node}
    while waiting:
        at = waiting.popleft()
        for effect in _effects(inquiry, at):
            if effect in seen:
                continue
            seen.add(effect)
            if effect not in known:
                known[effect] = moved(inquiry, effect)
            if known[effect]:
                before[effect] = at
                waiting.append(effect)
    symptoms = {one.series.node for one in inquiry.case.signals}
    ends = sorted(before, key=lambda one: (one not in symptoms, _rank(one), one))
    end = min(ends, key=lambda one: (_rank(one), one not in symptoms, one), default=None)
    if end is None:
        return (Edge(node, node, shown),)
    edges: list[Edge] = []
    while end != node:
        first = before[end]
        sentence = known[end] if first != node or not shown else f"{shown}; {known[end]}"
        edges.append(Edge(first, end, sentence if shown else ""))
        end = first
    return tuple(reversed(edges))


def _effects(inquiry: Inquiry, node: str) -> tuple[str, ...]:
    """The nodes that a node acts on; a segment acts on outcomes."""
    if node.startswith("segment:"):
        return ("outcome",)
    return tuple(inquiry.graph.effects.get(node, ()))


def _rank(node: str) -> int:
    kind = node.partition(":")[0]
    return _LAST.index(kind) if kind in _LAST else len(_LAST)

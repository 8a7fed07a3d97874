"""A graph of calls: by node, the nodes that it calls."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from homeostat.maintain.investigate.frames import RankingError

Calls: TypeAlias = Mapping[Hashable, Sequence[Hashable]]


def callees_of(graph: Iterable[Any], nodes: Iterable[Hashable]) -> dict[Hashable, tuple[Hashable, ...]]:
    """By node, the nodes that it calls; a node that calls itself is left out.

    graph : pairs (caller, callee)
    nodes : those of the frames, which need no call

    Raises RankingError.
    """
    called: dict[Hashable, dict[Hashable, None]] = {node: {} for node in nodes}
    if isinstance(graph, str) or not isinstance(graph, Iterable):
        raise RankingError(f"the graph is {graph!r}, and not pairs (caller, callee)")
    for place, pair in enumerate(graph):
        if isinstance(pair, str) or not isinstance(pair, Iterable) or len(ends := tuple(pair)) != 2:
            raise RankingError(f"item {place} of the graph is {pair!r}, and not a pair (caller, callee)")
        for end in ends:
            if not isinstance(end, Hashable):
                raise RankingError(f"item {place} of the graph names a node {end!r}, which can't be a node")
            called.setdefault(end, {})
        if ends[0] != ends[1]:
            called[ends[0]][ends[1]] = None
    return {node: tuple(callees) for node, callees in called.items()}


def callers(calls: Calls) -> dict[Hashable, tuple[Hashable, ...]]:
    """By node, the nodes that call it.

    >>> callers({"a": ("b",), "b": ()})
    {'a': (), 'b': ('a',)}
    """
    found: dict[Hashable, list[Hashable]] = {node: [] for node in calls}
    for node, callees in calls.items():
        for callee in callees:
            found[callee].append(node)
    return {node: tuple(those) for node, those in found.items()}


def cycles_of(calls: Calls) -> dict[Hashable, int]:
    """By node, the number of its cycle: nodes that reach each other have the same number (Kosaraju, Sharir 1981).

    >>> numbers = cycles_of({"a": ("b",), "b": ("a", "c"), "c": ()})
    >>> numbers["a"] == numbers["b"] != numbers["c"]
    True
    """
    finished: list[Hashable] = []
    seen: set[Hashable] = set()
    for start in calls:
        finished += _after_those_it_reaches(start, calls, seen)
    back, found = callers(calls), dict[Hashable, int]()
    for number, start in enumerate(reversed(finished)):
        if start not in found:
            reached = _after_those_it_reaches(start, back, set(found))
            found |= dict.fromkeys(reached, number)
    return found


def _after_those_it_reaches(start: Hashable, calls: Calls, seen: set[Hashable]) -> list[Hashable]:
    """The nodes reached from one that were not seen yet, each after those that it calls."""
    if start in seen:
        return []
    seen.add(start)
    order: list[Hashable] = []
    path = [(start, iter(calls[start]))]
    while path:
        node, left = path[-1]
        callee = next((one for one in left if one not in seen), None)
        if callee is None:
            order.append(node)
            path.pop()
        else:
            seen.add(callee)
            path.append((callee, iter(calls[callee])))
    return order


def widest_paths(target: Hashable, calls: Calls, shares: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """By node that the target reaches, the smallest share on the best path to it, itself left out.

    shares : of the target's excess; a node that is not here lets a path pass
    """
    best = {target: 1.0}
    left = {target}
    while left:
        node = max(left, key=lambda one: (best[one], str(one)))
        left.remove(node)
        passing = min(best[node], max(shares.get(node, 1.0), 0.0))
        for callee in calls[node]:
            if passing > best.get(callee, -1.0):
                best[callee] = passing
                left.add(callee)
    return best

"""Patterns of nodes and kinds in silences: those that mean no signal are most likely mistakes."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from homeostat.records.causes import NODE_HEADS
from homeostat.records.signals import Kind

KINDS = tuple(kind.value for kind in Kind)
WILD = "*?["
_NEAR_MAX = 3


def unknown_kind(kind: str) -> str:
    """Why a kind can't be silenced: it is no pattern, and none of those that signals have. Empty where it can be.

    >>> unknown_kind("units")
    "no signal has the kind 'units': the nearest is unit"
    >>> unknown_kind("unit"), unknown_kind("u*")
    ('', '')
    """
    if kind in KINDS or any(one in kind for one in WILD):
        return ""
    return f"no signal has the kind {kind[:100]!r}: {_near(kind, KINDS)}"


def doubts(node: str, kind: str, nodes: Iterable[str]) -> list[str]:
    """Why a silence may silence nothing, a sentence each.

    nodes : those that are known; segments are found as they go wrong, so any of them may be meant

    >>> doubts("field:amont", "un?t", ["field:amount", "source"])
    ["no signal is known at a node 'field:amont': the nearest is field:amount"]
    >>> doubts("fields:*", "x*", [])[0]
    "no signal is at a node 'fields:*': the nearest is field"
    """
    known, head = sorted(set(nodes)), node.split(":", 1)[0]
    found = []
    if not any(fnmatchcase(one, head) for one in NODE_HEADS):
        found.append(f"no signal is at a node {node[:100]!r}: {_near(head, NODE_HEADS)}")
    elif known and not fnmatchcase("segment", head) and not any(fnmatchcase(one, node) for one in known):
        found.append(f"no signal is known at a node {node[:100]!r}: {_near(node, known)}")
    if not any(fnmatchcase(one, kind) for one in KINDS):
        found.append(f"no signal has a kind such as {kind[:100]!r}: {_near(kind, KINDS)}")
    return found


def _near(word: str, known: Iterable[str]) -> str:
    """The known words that come nearest; all where none comes near."""
    words = list(known)
    near = get_close_matches(word.lower()[:100], words, _NEAR_MAX, 0.7)
    if near:
        return f"the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}"
    more = f" and {len(words) - 40:,} more" if len(words) > 40 else ""
    return f"there are {', '.join(words[:40])}{more}"

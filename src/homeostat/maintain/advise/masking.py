"""Masks secrets and personal fields in texts before a language model gets them.

Names of the app's own parts stay. Quoted values, addresses, numbers that identify somebody, and keys go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from homeostat.records.causes import NODE_HEADS

_OURS = frozenset({"app", *NODE_HEADS})
TEXT_MAX = 300  # Characters of one text that are sent.

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN[^-]*-----.*?(?:-----END[^-]*-----|$)", re.S), "<key>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s]+", re.I), "<address>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<e-mail>"),
    (re.compile(r"\b(?:bearer|token|api[_-]?key|password|secret)\b\s*[:=]?\s*\S+", re.I), "<secret>"),
    (re.compile(r"\b(?:sk|pk|ghp|gho|xox[a-z]|AKIA|AIza)[-_A-Za-z0-9]{8,}"), "<secret>"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "<secret>"),
    (re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"), "<account>"),
    (re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"), "<address>"),
    (re.compile(r"\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b", re.I), "<address>"),
    (re.compile(r"(?<![\w.])\+?[0-9](?:[ -]?[0-9]){6,}(?![\w.])"), "<number>"),
    (re.compile(r"\b(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{16,}={0,2}"), "<id>"),
    (re.compile(r"\"[^\"]*\"|'[^'\n]*'|`[^`]*`|“[^”]*”|‘[^’]*’"), "<value>"),
)


def masked(text: str) -> str:
    """A text without what could identify a person or open a door, on one line, of at most TEXT_MAX characters.

    >>> masked("values that nobody knew: 'Ann Lee', from ann@example.org or 4111 1111 1111 1111")
    'values that nobody knew: <value>, from <e-mail> or <number>'
    >>> masked("its median is 100.5 times what it was")
    'its median is 100.5 times what it was'
    """
    found = text[: 4 * TEXT_MAX]
    for pattern, place in _RULES:
        found = pattern.sub(place, found)
    return "".join(c if c.isprintable() else " " for c in found)[:TEXT_MAX]


class Masking:
    """Masks facts, and takes placeholders of nodes back.

    nodes : those of the app file, whose names are the owner's own; any other node's name may hold data, and is
        replaced by its kind and a number
    """

    def __init__(self, nodes: Collection[str]) -> None:
        self._known = frozenset(nodes)
        self._places: dict[str, str] = {}

    def node(self, node: str) -> str:
        """A node as a model sees it.

        >>> Masking(["field:amount"]).node("segment:shop == 'Ann Lee'")
        'segment:#1'
        """
        if node in self._known or node in _OURS:
            return node
        return self._places.setdefault(node, f"{masked(node.partition(':')[0])}:#{len(self._places) + 1}")

    def back(self, node: str) -> str | None:
        """The node that a model names; None where there is no such node."""
        if node in self._known:
            return node
        return next((real for real, place in self._places.items() if place == node), None)

    def text(self, text: str) -> str:
        """A sentence about nodes, masked."""
        for real, place in self._places.items():
            text = text.replace(real, place)
        return masked(text)

    def plain(self, value: Any) -> Any:
        """Facts with all texts in them masked. Names of members are ours."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {name: self.plain(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(one) for one in value]
        return value

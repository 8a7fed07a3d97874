"""Ways to damage bytes and trees, by chance."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

Chance = np.random.Generator
GARBAGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.0, -0.5, 1e308, 5e-324, "", "x", "7d",
    "-1s", "1e9",
    "\x00", "é", "‮", "9" * 300, "amount > ", "a.b", "x in", "((((", "block", "time", "risk", "2026-13-45",
    [], [[]], [1],
    ["x"], [None], {}, {"a": 1}, {"kind": "rules"}, {"": ""}, [1.5, "x"], "{length}", "score_x",
    "!!python/name:os.system",
    "7 days", "NaN", ".inf", "0x10", "1_000", "12345e6", "~", "*a", "&a", "<<", "../x.csv", "/etc/passwd",
)  # fmt: skip
PIECES = (
    b"\t", b": ", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"\n---\n", b'"', b"'", b"\\", b"#", b"\xff",
    b"\xed\xa0\x80", b"\x00",
    b"!!", b"<<: ", b"|", b">", b"? ", b"%", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"9" * 50,
    b"  ", b"\n", b",",
)  # fmt: skip


def damaged(data: bytes, chance: Chance) -> bytes:
    """Bytes with one to four damages: bits turned, bytes set, cut off, left out, doubled or put in."""
    for _ in range(1 if chance.random() < 0.6 else int(chance.integers(2, 5))):
        data = _once(data, chance)
    return data


def _once(data: bytes, chance: Chance) -> bytes:
    n = len(data)
    at = int(chance.integers(n + 1))
    size = int(min(chance.integers(1, 64), max(n - at, 0)))
    match int(chance.integers(7)):
        case 0 if n:
            at = min(at, n - 1)
            return data[:at] + bytes([data[at] ^ 1 << int(chance.integers(8))]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data[at + size :]
        case 3:
            return data[:at] + data[at : at + size] + data[at:]
        case 4:
            return data[:at] + chance.bytes(size) + data[at + size :]
        case 5:
            return data[:at] + bytes(size) + data[at + size :]
    return data[:at] + PIECES[int(chance.integers(len(PIECES)))] + data[at:]


def paths_of(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree of mappings and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(below for key, value in items for below in paths_of(value, (*path, key)))]


def change(tree: Any, chance: Chance) -> None:
    """Put garbage at one place of a tree, take it out, or give it another key."""
    paths = [path for path in paths_of(tree) if path]
    if not paths:
        return
    *above, last = paths[int(chance.integers(len(paths)))]
    parent = tree
    for step in above:
        parent = parent[step]
    match int(chance.integers(4)):
        case 0:
            del parent[last]
        case 1 if isinstance(parent, dict):
            parent[str(GARBAGE[int(chance.integers(len(GARBAGE)))])[:70]] = parent.pop(last)
        case 2 if isinstance(parent[last], int | float) and not isinstance(parent[last], bool):
            parent[last] = parent[last] * int(chance.integers(-3, 4)) + int(chance.integers(-1, 2))
        case _:
            parent[last] = deepcopy(GARBAGE[int(chance.integers(len(GARBAGE)))])  # It may be changed next.

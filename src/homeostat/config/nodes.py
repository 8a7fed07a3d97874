"""YAML text as a tree of nodes that know where they stand.

The text may be anything at all: depth, number of nodes and aliases are bounded, tags are refused, and nothing is
constructed but mappings, lists, text, numbers, true, false and null. Scalars are read by YAML 1.2's rules, with `_`
allowed within numbers; an integer with leading zeros stays text, since as a key it isn't the same as the number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from homeostat.config.faults import AppFileError, Fault, Step, path_text, shortened

Scalar: TypeAlias = str | int | float | bool | None
DEPTH_MAX = 24
NODES_MAX = 100_000
BYTES_MAX = 1 << 20

_NULL = ("", "~", "null", "Null", "NULL")
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]{0,40})")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]{0,40}(\.[0-9_]*)?)([eE][-+]?[0-9]{1,5})?")
_HALF = re.compile("[\ud800-\udfff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ADVICE = (
    ("cannot start any token", "if this is a tab, indent with spaces; text that starts with a sign needs quotes"),
    ("mapping values are not allowed", "text that contains ': ' needs quotes"),
    ("could not find expected ':'", "a key needs a colon and a space after it"),
    ("did not find expected", "check the indentation and the brackets above"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, line and column counted from 1."""

    source: str
    line: int
    column: int


@dataclass(slots=True)
class YamlNode:
    """A value and where it stands.

    value : a scalar, a list of nodes, or a mapping from key to node
    keys : where each key of a mapping stands
    path : from the root
    text_at : columns from the node's place to the first character of its text; None where they can't be counted
    size : nodes in this one, aliases counted in full
    written : a plain scalar as it stands in the file, which YAML may read as something else: 12345e6, 1_000, true
    """

    value: Scalar | list[YamlNode] | dict[str, YamlNode]
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    path: tuple[Step, ...] = ()
    text_at: int | None = None
    size: int = 1
    written: str | None = None

    def child(self, step: Step) -> YamlNode | None:
        """The node one step down, if there is one."""
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and 0 <= step < len(self.value):
            return self.value[step]
        return None

    def plain(self) -> Any:
        """The value alone, as dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def fault(self, message: str, meant: str | None = None, *, key: str | None = None, at: int = 0) -> Fault:
        """A fault here, or at one of this mapping's keys; `at` counts characters into a text."""
        place, path = self.place, self.path
        if key is not None:
            place, path = self.keys.get(key, place), (*path, key)
        column = place.column + (self.text_at + at if self.text_at is not None and key is None else 0)
        return Fault(place.source, place.line, column, path_text(path), message, meant)


def scalar_of(text: str) -> Scalar:
    """A plain (unquoted) scalar's value.

    >>> [scalar_of(text) for text in ("10_000", "1e3", "007", "no", "true", "~")]
    [10000, 1000.0, '007', 'no', True, None]
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    zeros = len(text) > 1 and text.lstrip("+-")[:1] == "0" and text.lstrip("+-")[1:2].isdigit()
    if _NUMBER.fullmatch(text) and not zeros:
        return float(text.replace("_", ""))
    return text


class _Builder:
    """Builds the tree from YAML events, without recursion: the text may be an attack."""

    def __init__(self, source: str, lines: int) -> None:
        self.source, self.lines = source, lines
        self.faults: list[Fault] = []
        self.root: YamlNode | None = None
        self.stack: list[tuple[YamlNode, str | None]] = []  # Open collections, each with the key still to be closed.
        self.anchors: dict[str, YamlNode] = {}
        self.opened: list[YamlNode] = []
        self.documents = 0
        self.nodes = 0

    def place(self, mark: Any) -> Place:
        return Place(self.source, min(mark.line + 1, self.lines), mark.column + 1)

    def stop(self, mark: Any, message: str, meant: str | None = None) -> AppFileError:
        place = self.place(mark)
        return AppFileError([*self.faults, Fault(self.source, place.line, place.column, "", message, meant)])

    def path(self) -> tuple[Step, ...]:
        """Where the next node goes; a key stands where its mapping does."""
        steps: list[Step] = []
        for node, key in self.stack:
            if isinstance(node.value, list):
                steps.append(len(node.value))
            elif key is not None:
                steps.append(key)
        return tuple(steps)

    def feed(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.stop(event.start_mark, "a second document starts here: an app file holds one")
        elif isinstance(event, yaml.AliasEvent):
            self.add(self.aliased(event), event)
        elif isinstance(event, yaml.ScalarEvent):
            self.add(self.anchored(event, self.scalar(event)), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self.open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.close(event)

    def scalar(self, event: Any) -> YamlNode:
        start, end = event.start_mark, event.end_mark
        plain = event.style in (None, "") and event.implicit[0]
        quoted = event.style in ("'", '"')
        raw = 0 if plain else 1 if quoted and end.column - start.column == len(event.value) + 2 else None
        at = raw if start.line == end.line else None
        if not plain:
            return YamlNode(event.value, self.place(start), text_at=at)
        return YamlNode(scalar_of(event.value), self.place(start), text_at=at, written=event.value)

    def open(self, event: Any) -> None:
        if len(self.stack) >= DEPTH_MAX:
            raise self.stop(event.start_mark, f"nested deeper than {DEPTH_MAX} levels")
        empty: list[YamlNode] | dict[str, YamlNode] = {} if isinstance(event, yaml.MappingStartEvent) else []
        node = self.anchored(event, YamlNode(empty, self.place(event.start_mark)))
        self.opened.append(node)
        self.stack.append((node, None))

    def close(self, event: Any) -> None:
        node, _ = self.stack.pop()
        self.opened.pop()
        value = node.value
        children = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        node.size = 1 + sum(child.size for child in children)
        self.add(node, event)

    def anchored(self, event: Any, node: YamlNode) -> YamlNode:
        node.path = self.path()
        if event.tag is not None and event.tag != "!":
            self.faults.append(node.fault(f"tags such as {shortened(event.tag)} are not allowed"))
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def aliased(self, event: Any) -> YamlNode:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise self.stop(event.start_mark, f"*{event.anchor} refers to nothing before it")
        if any(node is parent for parent in self.opened):
            raise self.stop(event.start_mark, f"*{event.anchor} would contain itself")
        return node

    def add(self, node: YamlNode, event: Any) -> None:
        self.nodes += node.size if isinstance(event, yaml.AliasEvent) else 1
        if self.nodes > NODES_MAX:
            raise self.stop(event.start_mark, f"more than {NODES_MAX:,} values, aliases counted in full")
        if not self.stack:
            self.root = node
            return
        parent, key = self.stack[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif isinstance(parent.value, dict):
            self.add_pair(parent, parent.value, key, node)

    def add_pair(self, parent: YamlNode, mapping: dict[str, YamlNode], key: str | None, node: YamlNode) -> None:
        if key is None:
            self.stack[-1] = (parent, self.key(parent, mapping, node))
        else:
            mapping[key] = node
            self.stack[-1] = (parent, None)

    def key(self, parent: YamlNode, mapping: dict[str, YamlNode], node: YamlNode) -> str:
        if isinstance(node.value, dict | list):
            self.faults.append(node.fault("a key must be text, not a list or a mapping"))
            key = f"?{len(mapping)}"
        else:
            key = node.value if isinstance(node.value, str) else node.written or "null"
        if key == "<<":
            self.faults.append(node.fault("merge keys (<<) are not supported: write the keys out"))
        elif key in mapping:
            first = parent.keys[key].line
            node.path = (*node.path, key)
            self.faults.append(node.fault(f"the key {shortened(key)} is here twice, first in line {first}"))
        parent.keys[key] = node.place
        return key


def compose(text: str, source: str, begins: str = "homeostat: 1") -> tuple[YamlNode, list[Fault]]:
    """The root node, and faults that leave a tree to look at (duplicate keys, tags).

    begins : how such a file usually begins, for whoever gave another
    Raises AppFileError where there is no tree: broken YAML, no mapping, too deep, too large.
    """
    lines = text.count("\n") + (not text.endswith("\n")) or 1
    builder = _Builder(source, lines)
    if (half := _HALF.search(text)) is not None:  # The parser would fail on it, and so would all that writes it.
        raise AppFileError([_unreadable(text, source, half.start(), "half of a surrogate pair", lines)])
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise builder.stop(mark, *_broken(str(error.problem or error.context))) from None
    except yaml.reader.ReaderError as error:
        bad = next((at for at, letter in enumerate(text) if _is_control(letter)), 0)
        raise AppFileError([_unreadable(text, source, bad, error.reason, lines)]) from None
    root = builder.root
    if root is None or root.value is None:
        instead = (
            "`homeostat init` writes one to start from"
            if begins.startswith("homeostat")
            else f"it begins with `{begins}`"
        )
        message = f"the file is empty: {instead}"
        raise AppFileError([*builder.faults, Fault(source, 1, 1, "", message)])
    if not isinstance(root.value, dict):
        message = f"the file is not a mapping: it should start with `{begins}`"
        raise AppFileError([*builder.faults, root.fault(message)])
    return _placed(root, ()), builder.faults


def _broken(problem: str) -> tuple[str]:
    advice = next((advice for part, advice in _ADVICE if part in problem), None)
    return (f"this is not valid YAML: {problem}" + (f" ({advice})" if advice else ""),)


def _unreadable(text: str, source: str, bad: int, why: str, lines: int) -> Fault:
    line = min(text.count("\n", 0, bad) + 1, lines)
    column = bad - (text.rfind("\n", 0, bad) + 1) + 1
    return Fault(source, line, column, "", f"a character that YAML does not allow ({why})")


def _is_control(letter: str) -> bool:
    code = ord(letter)
    if code < 32:
        return letter not in "\t\n\r"
    return (0x7F <= code < 0xA0 and code != 0x85) or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF)


def _placed(node: YamlNode, path: tuple[Step, ...]) -> YamlNode:
    """A copy in which no two nodes are shared and each knows its path."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _placed(child, (*path, key)) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_placed(child, (*path, at)) for at, child in enumerate(value)]
    return YamlNode(value, node.place, node.keys, path, node.text_at, node.size, node.written)

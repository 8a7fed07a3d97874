"""Nodes to the typed tree: what pydantic finds wrong, worded for the author of the file.

A part that is wrong is reported, cut out, and the rest is read once more, so that the meaning of what is right can be
checked in the same run. Sections that lost a part are named, so that a name that they may declare is not
reported as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from pydantic import ValidationError

from homeostat.config.faults import Fault, Step, nearest, shortened
from homeostat.config.nodes import Place, YamlNode
from homeostat.config.schema import json_schema
from homeostat.config.tree import App

Keys: TypeAlias = Callable[[tuple[Step, ...]], list[str]]
_ROUNDS_MAX = 200  # Each round cuts at least one part; beyond this, the rest is not looked at.
_STAND_INS: dict[str, Any] = {
    "homeostat": 1,
    "app": "unnamed",
    "events": {"entities": {"entity": {}}},
    "actions": ["nothing"],
    "guards": {"fallback": {"scorers_absent": "nothing"}},
}
_SHOULD_BE = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """The part of a file that could be read.

    app : the tree without its faulty parts; None where too little is left
    root : the nodes that it was read from
    damaged : top-level keys that lost a part
    """

    app: App | None
    root: YamlNode
    damaged: frozenset[str]
    faults: tuple[Fault, ...]


def shape(root: YamlNode) -> Shaped:
    """The typed tree of a file's nodes, and every fault of shape. The nodes are changed: faulty ones are cut out."""
    faults: tuple[Fault, ...] = ()
    damaged: set[str] = set()
    _keys_as_written(root)
    for _ in range(_ROUNDS_MAX):
        try:
            return Shaped(App.model_validate(root.plain()), root, frozenset(damaged), faults)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        faults = faults or tuple(faults_of(root, errors))  # Later rounds only find what the cuts left behind.
        cuts = [(found, *_located(root, found)) for found in errors]  # Cuts move what comes after them.
        for found, node, _, key in cuts:
            _cut(root, found, node, key, damaged)
    return Shaped(None, root, frozenset(damaged), faults)


def _keys_as_written(root: YamlNode) -> None:
    """An entity's key is a text: 12345e6 on a list is the key "12345e6", not the number that YAML makes of it."""
    named = root
    for step in ("guards", "lists"):
        named = named.child(step) or YamlNode({}, root.place)
    for members in named.value.values() if isinstance(named.value, dict) else ():
        entries = members.child("entries")
        for entry in entries.value if entries is not None and isinstance(entries.value, list) else ():
            key = entry.child("key") or entry
            whole = type(key.value) is int and str(key.value) == key.written
            if key.written is not None and key.value is not None and not whole:
                key.value = key.written


def _located(root: YamlNode, error: Any) -> tuple[YamlNode, list[Step], str | None]:
    """The node that an error is about, the names of union branches on the way, and the key if the mapping there lacks
    it or should lack it.

    Pydantic puts the branch of a union, and `[key]`, into an error's location beside the keys.
    """
    node, branches, location = root, list[Step](), error["loc"]
    of_key = error["type"] == "extra_forbidden" or location[-1:] == ("[key]",)
    of_branch = error["type"] == "literal_error" or error["type"] in _SHOULD_BE
    location = tuple(step for step in location if step != "[key]")
    for at, step in enumerate(location):
        child = node.child(step)
        if of_key and at == len(location) - 1:
            return node, branches, str(step)
        if child is not None:
            node = child
        elif at == len(location) - 1 and isinstance(step, str) and isinstance(node.value, dict) and not of_branch:
            return node, branches, step
        else:
            branches.append(step)
    return node, branches, None


def faults_of(root: YamlNode, errors: list[Any], keys: Keys | None = None) -> list[Fault]:
    """Pydantic's errors about a node as faults, those of one union's branches as one.

    keys : the keys that a mapping at a path may have; those of the app file's tree when absent
    """
    unions: dict[int, list[tuple[YamlNode, Any, str | None]]] = {}
    order: list[tuple[YamlNode, Any, str | None]] = []
    for error in errors:
        node, branches, key = _located(root, error)
        if branches and key is None:
            unions.setdefault(id(node), []).append((node, error, key))
            if len(unions[id(node)]) > 1:
                continue
        order.append((node, error, key))
    inner = [node.path for node, _, _ in order]
    order = [
        one for one in order
        if not (id(one[0]) in unions and one[2] is None and _holds_another(one[0].path, inner))
    ]  # fmt: skip
    within = {node.path[:-1] for node, _, _ in order if node.path and isinstance(node.path[-1], int)}
    return [
        _fault(node, _merged(unions.get(id(node), []), error), key, keys or known_keys)
        for node, error, key in order
        if not (error["type"] == "too_short" and node.path in within)  # Pydantic counts no item that is wrong.
    ]


def _holds_another(path: tuple[Step, ...], others: Sequence[tuple[Step, ...]]) -> bool:
    """Whether one of these paths lies below it: a value of the right kind with something wrong in it."""
    return any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _merged(alternatives: list[tuple[YamlNode, Any, str | None]], error: Any) -> Any:
    """One error of the errors of a union's branches: what would have been right."""
    if len(alternatives) < 2:
        return error
    kinds = dict.fromkeys(_SHOULD_BE.get(found["type"], "") for _, found, _ in alternatives)
    for _, found, _ in alternatives:
        if found["type"] not in _SHOULD_BE:
            return found
    return {**error, "type": "union", "should_be": " or ".join(kind for kind in kinds if kind)}


def _fault(node: YamlNode, error: Any, key: str | None, keys: Keys) -> Fault:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        missing = str(error["loc"][-1])
        return node.fault(f"the key {missing!r} is missing here")
    if kind == "extra_forbidden":
        return _unknown_key(node, str(error["loc"][-1]), keys(node.path))
    if "[key]" in error["loc"]:
        bad = str(error["input"])
        return node.fault(*_not_a_name(bad, error), key=bad)
    if kind == "union" or kind in _SHOULD_BE:
        return node.fault(*_wrong_type(node, error.get("should_be") or _SHOULD_BE[kind]))
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'|(\d+)", str(context.get("expected", "")))
        words = [word or number for word, number in options]
        return node.fault(
            f"{shortened(node.plain())} is not one of {', '.join(words)}", nearest(str(node.value), words)
        )
    if kind == "string_pattern_mismatch":
        return node.fault(*_not_a_name(str(node.value), error))
    if kind == "value_error":
        message = str(context.get("error", error["msg"]))
        return node.fault(message, nearest_duration(node.value) if "duration" in message else None)
    share = _of_percent(node.value, context, kind)
    if share is not None:
        return node.fault(f"should be a share from 0 to 1, not {shortened(node.plain())}", share)
    return node.fault(_plain_words(error["msg"]))


def _of_percent(value: object, context: Mapping[str, Any], kind: str) -> str | None:
    """The share that a percentage means, where a number may be 1 at most; None where this one is no percentage.

    >>> _of_percent(80, {"le": 1.0}, "less_than_equal"), _of_percent(100, {"lt": 1.0}, "less_than")
    ('0.8', None)
    """
    at_most = context.get("le", context.get("lt"))
    if kind not in ("less_than", "less_than_equal") or at_most != 1 or not isinstance(value, int | float):
        return None
    return f"{value / 100:g}" if 2 < value < 100 or (value == 100 and "le" in context) else None


def _plain_words(message: str) -> str:
    """Pydantic's message without its subject, which the path already names."""
    words = re.sub(r"^(Input|Value|String|Dictionary|Tuple|List) should ", "should ", message)
    return re.sub(r" after validation", "", words)


def _unknown_key(node: YamlNode, key: str, known: list[str]) -> Fault:
    meant = nearest(key, known)
    listed = f"; known here: {', '.join(known)}" if known and meant is None else ""
    return node.fault(f"unknown key {shortened(key)}{listed}", meant, key=key)


def _not_a_name(bad: str, error: Any) -> tuple[str, str | None]:
    if error["type"] != "string_pattern_mismatch":
        return f"{shortened(bad)}: {_plain_words(error['msg'])}", None
    if "ms|s|m" in error["ctx"]["pattern"]:
        return f"{shortened(bad)} is not a length: write a whole number and a unit, as in 7d", nearest_duration(bad)
    words = re.sub(r"[^a-z0-9_{}]+" if "{" in error["ctx"]["pattern"] else r"[^a-z0-9_]+", "_", bad.lower()).strip("_")
    meant = words if re.fullmatch(r"[a-z][a-z0-9_{}]{0,63}", words) else None
    return f"{shortened(bad)} is not a name: a small letter, then small letters, digits and _", meant


def _wrong_type(node: YamlNode, wanted: str) -> tuple[str, str | None]:
    value = node.value
    if node.path[-1:] == ("password",):
        return f"should be {wanted}: put it into quotes", None  # Without saying it.
    written = node.written if node.written is not None else str(node.plain())
    meant = None
    if isinstance(value, bool | int | float) and wanted == "text":
        meant = _as_text(node.path, written)
    elif isinstance(value, str | int | float) and wanted == "a list":
        meant = f"[{written}]"
    return f"should be {wanted}, not {described(node)}", meant if meant is None or len(meant) < 60 else None


def _as_text(path: tuple[Step, ...], written: str) -> str | None:
    """The probable meaning of a number where a text is asked for: something that the place takes, or nothing."""
    if path[-1:] in (("since",), ("until",)):
        return None  # A number in quotes is no time either.
    pattern = next((place["pattern"] for place in _resolved(_places(path)) if "pattern" in place), None)
    if pattern is None or re.search(pattern, written):
        return f'"{written}"'
    return nearest_duration(written) if "ms|s|m" in pattern else None


def described(node: YamlNode) -> str:
    """The content of a node, for a message."""
    value = node.value
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return f"the text {shortened(value)}" if isinstance(value, str) else f"the number {node.written or value}"


def nearest_duration(text: object) -> str | None:
    """The probable meaning of a misspelt duration.

    >>> nearest_duration("7 days"), nearest_duration("30sec"), nearest_duration(5), nearest_duration("soon")
    ('7d', '30s', '5s', None)
    """
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([a-zA-Z]*)\s*", str(text))
    if match is None:
        return None
    unit = match[2].lower()
    if unit in ("millis", "msec", "millisecond", "milliseconds"):
        return f"{match[1]}ms"
    return f"{match[1]}{unit[:1] or 's'}" if unit[:1] in ("", "s", "m", "h", "d", "w") and unit[:2] != "mo" else None


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    return json_schema()


def known_keys(path: tuple[Step, ...]) -> list[str]:
    """The keys that a mapping at this path may have.

    >>> known_keys(("outcomes",))
    ['label', 'delay', 'horizon', 'maturity', 'unknown', 'censoring']
    """
    return [key for place in _resolved(_places(path)) for key in place.get("properties", {})]


def _places(path: tuple[Step, ...]) -> list[Any]:
    """The schema's description of a path."""
    places = [_schema()]
    for step in path:
        places = [below for place in _resolved(places) for below in _below(place, step)]
    return places


def _resolved(places: list[Any]) -> list[Any]:
    """The places with their references and alternatives followed."""
    found = []
    for place in places:
        if "$ref" in place:
            found += _resolved([_schema()["$defs"][place["$ref"].rsplit("/", 1)[1]]])
        elif "anyOf" in place:
            found += _resolved(place["anyOf"])
        else:
            found.append(place)
    return found


def _below(place: Any, step: Step) -> list[Any]:
    if isinstance(step, int):
        return [place["items"]] if "items" in place else place.get("prefixItems", [])
    if step in place.get("properties", {}):
        return [place["properties"][step]]
    return list(place.get("patternProperties", {}).values())


def _cut(root: YamlNode, error: Any, node: YamlNode, key: str | None, damaged: set[str]) -> None:
    """Takes the part that an error is about out of the nodes; what the root must have gets a stand-in."""
    path = (*node.path, str(error["input"])) if "[key]" in error["loc"] else node.path
    if error["type"] == "extra_forbidden":
        unknown = node if key is None else node.child(key)
        path = unknown.path if unknown is not None else path
    if not path:
        missing = str(error["loc"][0])
        if isinstance(root.value, dict) and missing in _STAND_INS:
            root.value[missing] = _stand_in(_STAND_INS[missing], root.place, (missing,))
            damaged.add(missing)
        return
    damaged.add(str(path[0]))
    _remove(root, path)


def _remove(root: YamlNode, path: tuple[Step, ...]) -> None:
    """Cuts a node out; paths are those of the file, so a list is searched for its child."""
    parent = root
    for depth in range(1, len(path)):
        below = _child_at(parent, path[:depth])
        if below is None:
            return
        parent = below
    if isinstance(parent.value, dict):
        parent.value.pop(str(path[-1]), None)
    elif isinstance(parent.value, list):
        parent.value = [child for child in parent.value if child.path != path]


def _child_at(parent: YamlNode, path: tuple[Step, ...]) -> YamlNode | None:
    if isinstance(parent.value, dict):
        return parent.value.get(str(path[-1]))
    if isinstance(parent.value, list):
        return next((child for child in parent.value if child.path == path), None)
    return None


def _stand_in(value: Any, place: Place, path: tuple[Step, ...]) -> YamlNode:
    if isinstance(value, dict):
        return YamlNode({key: _stand_in(part, place, (*path, key)) for key, part in value.items()}, place, path=path)
    if isinstance(value, list):
        return YamlNode([_stand_in(part, place, (*path, at)) for at, part in enumerate(value)], place, path=path)
    return YamlNode(value, place, path=path)

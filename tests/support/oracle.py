"""The promises of the docs about features, in plain Python: an oracle that shares no code with what it judges.

Written from docs/app-file.md, docs/events.md and docs/expressions.md alone. Every window is found again for every
event, in the list of all events; sums are whole numbers in units of 2^-1074, of which every float64 is a multiple.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}
SCALE = 1074
TOLERANCE = 1e-12

Value = float | bool | str | None
EXACT = ("count", "min", "max", "distinct", "last", "count_since")


def duration_ns(text: str) -> int:
    """7d and the like.

    >>> duration_ns("2m")
    120000000000
    """
    number = text.rstrip("mshdw")
    return int(Fraction(number) * UNITS[text[len(number) :]])


@dataclass(eq=False, slots=True)
class Seen:
    """An event that was decided."""

    id: str
    time_ns: int
    keys: dict[str, str | None]
    fields: dict[str, Value]
    label: float | None
    counted: bool


@dataclass(frozen=True, slots=True)
class Feature:
    """A window's aggregate: `kind` of `of`, which is None, the label, or an expression."""

    name: str
    entity: str
    length_ns: int
    delay_ns: int
    past: bool
    where: ast.expr | None
    kind: str
    of: ast.expr | None


@dataclass(slots=True)
class Oracle:
    """Takes events and outcomes one by one, as the stream brings them."""

    app: Mapping[str, Any]
    events: dict[str, Seen] = field(default_factory=dict)
    logs: dict[tuple[str, str], list[Seen]] = field(default_factory=dict)
    newest_ns: int | None = None
    features: list[Feature] = field(default_factory=list)
    label: str = "label"

    def __post_init__(self) -> None:
        self.label = self.app.get("outcomes", {}).get("label", "label")
        for group in self.app["features"]["windows"]:
            for length in group["lengths"]:
                for name, text in group["compute"].items():
                    tree = ast.parse(text, mode="eval").body
                    kind = tree.func.id if isinstance(tree, ast.Call) else tree.id  # type: ignore[attr-defined]
                    self.features.append(
                        Feature(
                            name.replace("{length}", length), group["entity"], duration_ns(length),
                            duration_ns(group.get("delay", "0s")), group.get("past", False),
                            ast.parse(group["where"], mode="eval").body if "where" in group else None,
                            kind, tree.args[0] if isinstance(tree, ast.Call) else None,
                        )
                    )  # fmt: skip

    def decide(self, event: Mapping[str, Any]) -> dict[str, Value]:
        """The window features of an event; it counts for later ones, unless it is late."""
        declared = self.app["events"]
        fields = {name: event.get(name) for name in declared["fields"]}
        keys: dict[str, str | None] = {}
        for name, spec in declared["entities"].items():
            pair = [keys[part] for part in spec["of"]] if "of" in spec else None
            if pair is not None:
                keys[name] = None if None in pair else "\n".join(map(str, pair))
            else:
                keys[name] = None if event.get(name) is None else str(event[name])
        carried = event.get(self.label) if "label" in declared else None
        me = Seen(event["event_id"], event["time_ns"], keys, fields, carried, True)
        lateness = duration_ns(declared.get("lateness", "0s"))
        me.counted = self.newest_ns is None or me.time_ns >= self.newest_ns - lateness
        found = {feature.name: self.value(feature, me) for feature in self.features}
        self.events[me.id] = me
        if me.counted:
            self.newest_ns = me.time_ns if self.newest_ns is None else max(self.newest_ns, me.time_ns)
            for entity, key in keys.items():
                if key is not None:
                    log = self.logs.setdefault((entity, key), [])
                    log.append(me)
                    log.sort(key=lambda one: one.time_ns)  # Among equal times in the order in which they came.
        return found

    def learn(self, event_id: str, label: float) -> None:
        """An outcome of an event that was decided."""
        self.events[event_id].label = label

    def value(self, feature: Feature, me: Seen) -> Value:
        """One feature, by its definition."""
        key = me.keys[feature.entity]
        last = me.time_ns - feature.delay_ns
        log = [] if key is None else self.logs.get((feature.entity, key), [])
        held = [one for one in log if last - feature.length_ns < one.time_ns <= last]
        if feature.delay_ns == 0 and not feature.past and key is not None:
            held.append(me)
        if feature.where is not None:
            held = [one for one in held if self.evaluate(feature.where, one) is True]
        if feature.kind == "count_since":
            positive = [place for place, one in enumerate(held) if one.label == 1]
            return float(len(held) - 1 - positive[-1]) if positive else None
        admitted = [(one, x) for one in held if (x := self.seen_of(feature, one)) is not None]
        return AGGREGATES[feature.kind](feature, me, admitted)

    def seen_of(self, feature: Feature, one: Seen) -> Value:
        """The value that an aggregate looks at, None where the event has none."""
        if feature.of is None:
            return 0.0
        if isinstance(feature.of, ast.Name) and feature.of.id == self.label:
            silent = 0.0 if self.app.get("outcomes", {}).get("unknown", "skip") == "negative" else None
            return silent if one.label is None else float(one.label)
        found = self.evaluate(feature.of, one)
        return float(found) if isinstance(found, bool) else found

    def evaluate(self, tree: ast.expr, one: Seen) -> Value:
        return evaluate(tree, {**one.keys, **one.fields, self.label: one.label})


def evaluate(tree: ast.expr, names: Mapping[str, Value]) -> Value:
    """An expression's value, None where it is missing."""

    def of(part: ast.expr) -> Value:
        return evaluate(part, names)

    match tree:
        case ast.Constant(value=value):
            return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        case ast.Name(id=name):
            value = names[name]
            return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        case ast.BoolOp(op=ast.And(), values=values):
            return all(of(part) is True for part in values)
        case ast.BoolOp(values=values):
            return any(of(part) is True for part in values)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return of(part) is not True
        case ast.UnaryOp(operand=part):
            x = of(part)
            return None if x is None else -x  # type: ignore[operator]
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return compare(op, of(left), of(right))
        case ast.Call(func=ast.Name(id="missing"), args=[part]):
            return of(part) is None
        case ast.Call(func=ast.Name(id="default"), args=[part, other]):
            x = of(part)
            return of(other) if x is None else x
        case ast.Call(func=ast.Name(id=name), args=parts):
            given = [of(part) for part in parts]
            return None if None in given else {"abs": abs, "min": min, "max": max}[name](*given)  # type: ignore[operator]
        case ast.BinOp(left=left, op=op, right=right):
            return arithmetic(op, of(left), of(right))
    raise NotImplementedError(ast.unparse(tree))


def compare(op: ast.cmpop, a: Value, b: Value) -> bool:
    if a is None or b is None:
        return False
    if isinstance(a, bool) or isinstance(b, bool):
        a, b = float(a), float(b)
    match op:
        case ast.Eq():
            return a == b
        case ast.NotEq():
            return a != b
        case ast.Lt():
            return a < b  # type: ignore[operator]
        case ast.LtE():
            return a <= b  # type: ignore[operator]
        case ast.Gt():
            return a > b  # type: ignore[operator]
    return a >= b  # type: ignore[operator]


def arithmetic(op: ast.operator, a: Value, b: Value) -> float | None:
    if a is None or b is None:
        return None
    x, y = float(a), float(b)
    match op:
        case ast.Add():
            found = x + y
        case ast.Sub():
            found = x - y
        case ast.Mult():
            found = x * y
        case _:
            if y == 0:
                return None
            found = x / y
    return found if math.isfinite(found) else None


Admitted = list[tuple[Seen, Value]]


def whole(x: float) -> int:
    """x in units of 2^-SCALE."""
    numerator, denominator = x.as_integer_ratio()
    return (numerator << SCALE) // denominator


def ratio(numerator: int, denominator: int) -> float | None:
    """The nearest float64; missing where that is too large."""
    try:
        return numerator / denominator
    except OverflowError:
        return None


def deviation(admitted: Admitted) -> float | None:
    n = len(admitted)
    if n < 2:
        return None
    units = [whole(x) for _, x in admitted]  # type: ignore[arg-type]
    spread = n * sum(u * u for u in units) - sum(units) ** 2
    # The root to 128 bits at least, its last bit set where it is cut off.
    shift = max(0, 256 - spread.bit_length() + 2 * (n * n).bit_length()) // 2 * 2
    square, rest = divmod(spread << shift, n * (n - 1))
    root = math.isqrt(square)
    if rest or root * root != square:
        root |= 1
    return ratio(root, 1 << (SCALE + shift // 2))


def seconds(ns: int) -> float:
    return ns / 10**9


def since(place: int) -> Callable[[Feature, Seen, Admitted], float | None]:
    def found(feature: Feature, me: Seen, admitted: Admitted) -> float | None:
        times = [one.time_ns for one, _ in admitted if one is not me]
        return seconds(me.time_ns - times[place]) if times else None

    return found


AGGREGATES: dict[str, Callable[[Feature, Seen, Admitted], Value]] = {
    "count": lambda feature, me, xs: float(len(xs)),
    "rate": lambda feature, me, xs: ratio(len(xs) * 10**9, feature.length_ns),
    "sum": lambda feature, me, xs: ratio(sum(whole(x) for _, x in xs), 1 << SCALE),  # type: ignore[arg-type]
    "mean": lambda feature, me, xs: (
        ratio(sum(whole(x) for _, x in xs), len(xs) << SCALE) if xs else None  # type: ignore[arg-type]
    ),
    "std": lambda feature, me, xs: deviation(xs),
    "min": lambda feature, me, xs: min((x for _, x in xs), default=None),  # type: ignore[type-var]
    "max": lambda feature, me, xs: max((x for _, x in xs), default=None),  # type: ignore[type-var]
    "distinct": lambda feature, me, xs: float(len({x for _, x in xs})),
    "last": lambda feature, me, xs: xs[-1][1] if xs else None,
    "since_last": since(-1),
    "since_first": since(0),
}


def agrees(kind: str, found: Value, expected: Value) -> bool:
    """Whether a feature is the expected one: counts and extremes exactly, others rounded once or within TOLERANCE."""
    if found is None or expected is None:
        return found is expected
    a, b = float(found), float(expected)  # type: ignore[arg-type]
    if kind in EXACT:
        return a == b
    return a == b or abs(a - b) <= TOLERANCE * abs(b)

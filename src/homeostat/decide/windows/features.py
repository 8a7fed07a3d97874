"""The features that an app asks for, checked whole and resolved to columns: the featurizer's only configuration.

Nothing here loads a compiler, so that an app file can be checked at once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from homeostat.decide.windows.plan import (
    LABEL,
    MASKS_MAX,
    NO_VALUE,
    VALUED,
    Aggregate,
    Kind,
    LabelFilter,
    Window,
    WindowPlan,
)
from homeostat.expressions import (
    Compiled,
    ExpressionError,
    Scope,
    Type,
    compile_entity,
    compile_expression,
    names_in,
    nearest_name,
    split_conjunction,
)
from homeostat.expressions.parse import parse

Path = tuple[str | int, ...]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KINDS = {kind.name.lower(): kind for kind in Kind}
_OF_CATEGORIES = (Kind.COUNT, Kind.DISTINCT, Kind.LAST)


@dataclass(frozen=True, slots=True)
class WindowGroup:
    """Aggregates of one entity's past, over windows of several lengths.

    lengths : each as it was written, which names the features, and in nanoseconds
    where : which events count; may ask about the label, see `expressions.split_conjunction`
    compute : feature name, with {length} to be filled in -> count, mean(amount), ...
    """

    entity: str
    lengths: tuple[tuple[str, int], ...]
    compute: Mapping[str, str]
    delay_ns: int = 0
    past: bool = False
    where: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The features of an app, in plain words.

    entities : names, in the order of `EventBatch.keys`
    fields : names and types, in the order of `EventBatch.numbers`
    derived : feature name -> expression on fields, windows and earlier derived features
    label : what windows call the outcome, None if they may not ask for it
    label_delay_ns : when an outcome counts as known at the earliest
    lists, time : see `expressions.Scope`
    """

    entities: tuple[str, ...]
    fields: tuple[tuple[str, Type], ...] = ()
    windows: tuple[WindowGroup, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    label_delay_ns: int = 0
    lateness_ns: int = 0
    unknown_is_negative: bool = False
    lists: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    time: str = "time"


@dataclass(frozen=True, slots=True)
class PlanFault:
    """One thing that is wrong: where in the app's `features`, what, and what was probably meant.

    offset : the character of the expression at that place, None where it is not about one
    """

    path: Path
    message: str
    nearest: str | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """The features of an app, resolved.

    names, types : the declared fields, then the window features, then the derived ones
    fields, entities : how many columns events have
    inputs : programs that compute what the windows see beside the fields, each a further column; the last `masks`
        of them are the windows' filters
    windows : whose values are the fields and the inputs
    derived : programs on the features, which they extend
    sources : for each derived feature the fields and windows that it rests on, as columns
    categories : the features whose values are codes: these say whether two are the same, and are no quantities
    """

    names: tuple[str, ...]
    types: tuple[Type, ...]
    fields: int
    entities: int
    inputs: tuple[Compiled, ...]
    masks: int
    windows: WindowPlan
    derived: tuple[Compiled, ...]
    sources: tuple[tuple[int, ...], ...]
    categories: frozenset[str] = frozenset()

    def scope(
        self,
        entities: tuple[str, ...] = (),
        lists: Mapping[str, tuple[int, str]] | None = None,
        time: str | None = None,
    ) -> Scope:
        """The scope of expressions on the features; entities, lists and time as far as they are at hand there."""
        return Scope.of(zip(self.names, self.types), entities, lists, time)


def plan_features(spec: FeatureSpec) -> tuple[FeaturePlan | None, list[PlanFault]]:
    """The plan of what a spec wants, None if anything is wrong; and all that is wrong, in order.

    >>> group = WindowGroup("customer", (("1d", 86_400_000_000_000),), {"spent_{length}": "sum(amuont)"})
    >>> _, faults = plan_features(FeatureSpec(("customer",), (("amount", Type.NUMBER),), (group,)))
    >>> faults[0].path, faults[0].nearest
    (('windows', 0, 'compute', 'spent_{length}'), 'amount')
    """
    planner = _Planner(spec)
    plan = planner.plan()
    return (None if planner.faults else plan), planner.faults


class _Planner:
    """Resolves one spec; goes on after a fault, to find the others too."""

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self.faults: list[PlanFault] = []
        self.scope = Scope.of(spec.fields, spec.entities, spec.lists, spec.time)
        self.names = [name for name, _ in spec.fields]
        self.types = [kind for _, kind in spec.fields]
        self.values: dict[str, Compiled] = {}
        self.masks: dict[str, Compiled] = {}
        self.windows: list[Window] = []
        self.keys: set[str] = set()  # Features that hold an entity's key.

    def fault(self, path: Path, message: str, nearest: str | None = None, offset: int | None = None) -> None:
        self.faults.append(PlanFault(path, message, nearest, offset))

    def expression(self, path: Path, text: str, scope: Scope) -> Compiled | None:
        try:
            return compile_expression(text, scope, strict=True)
        except ExpressionError as error:
            for fault in error.all:
                self.fault(path, fault.message, fault.nearest, fault.offset)
            return None

    def plan(self) -> FeaturePlan | None:
        for number, group in enumerate(self.spec.windows):
            self.group(("windows", number), group)
        window_features = len(self.names) - len(self.spec.fields)
        derived, sources = self.derived()
        if len(self.masks) > MASKS_MAX:
            self.fault(("windows",), f"{len(self.masks)} different filters are too many: at most {MASKS_MAX}")
        if self.faults:
            return None
        inputs = (*self.values.values(), *self.masks.values())
        categories = {name for name, kind in zip(self.names, self.types, strict=True) if kind == Type.CATEGORY}
        windows = WindowPlan(
            entities=len(self.spec.entities),
            values=len(self.spec.fields) + len(inputs),
            masks=len(self.masks),
            features=window_features,
            windows=tuple(self.windows),
            lateness_ns=self.spec.lateness_ns,
            unknown_is_negative=self.spec.unknown_is_negative,
        )
        return FeaturePlan(
            tuple(self.names), tuple(self.types), len(self.spec.fields), len(self.spec.entities),
            inputs, len(self.masks), windows, derived, sources, frozenset(categories | self.keys),
        )  # fmt: skip

    def claim(self, path: Path, name: str, kind: Type) -> bool:
        """Takes a feature name, unless something else has it."""
        if _NAME.fullmatch(name) is None:
            self.fault(path, f"{name} is not a name: lower-case letters, digits and _, at most 64")
        elif name in self.names:
            self.fault(path, f"there are two features {name}")
        elif name in (*self.spec.entities, self.spec.time, "time", self.spec.label):
            self.fault(path, f"{name} is the name of something else")
        else:
            self.names.append(name)
            self.types.append(kind)
            return True
        return False

    def group(self, path: Path, group: WindowGroup) -> None:
        entity = self.entity(path, group.entity)
        label, mask = self.filter((*path, "where"), group.where)
        needs_label = label != LabelFilter.ANY
        if needs_label:
            self.check_delay((*path, "where"), group)
        aggregates: list[tuple[Path, str, Kind, int, Type]] = []
        for name, text in group.compute.items():
            found = self.aggregate((*path, "compute", name), text)
            if found is not None:
                if not needs_label and (found[1] == LABEL or found[0] == Kind.COUNT_SINCE):
                    self.check_delay((*path, "compute", name), group)
                aggregates.append(((*path, "compute", name), name, *found, self.type_of(*found)))
        for length, length_ns in group.lengths:
            made = []
            for place, name, kind, value, result in aggregates:
                slot, name = len(self.names) - len(self.spec.fields), name.replace("{length}", length)
                if self.claim(place, name, Type.NUMBER if result == Type.ENTITY else result):
                    made.append(Aggregate(kind, value, slot))
                    if result == Type.ENTITY:
                        self.keys.add(name)
            window = Window(entity, length_ns, group.delay_ns, mask, label, group.past, tuple(made))
            for message in replace(window, label=LabelFilter.ANY, aggregates=()).faults():
                self.fault((*path, "lengths"), message)
            self.windows.append(window)

    def type_of(self, kind: Kind, value: int) -> Type:
        """The type of an aggregate: the newest of something is of its type, all else is a number."""
        if kind != Kind.LAST or value < 0:
            return Type.NUMBER
        if value < len(self.spec.fields):
            found = self.spec.fields[value][1]
        else:
            text, compiled = list(self.values.items())[value - len(self.spec.fields)]
            found = Type.ENTITY if text in self.spec.entities else compiled.type
        return found if found in (Type.CATEGORY, Type.ENTITY) else Type.NUMBER

    def entity(self, path: Path, name: str) -> int:
        if name in self.spec.entities:
            return self.spec.entities.index(name)
        self.fault((*path, "entity"), f"there is no entity {name}", nearest_name(name, self.spec.entities))
        return 0

    def check_delay(self, path: Path, group: WindowGroup) -> None:
        needed = max(self.spec.label_delay_ns, 1)
        if group.delay_ns < needed:
            self.fault(path, f"an outcome is known {_duration(needed)} later: the window needs a delay of that")

    def filter(self, path: Path, text: str | None) -> tuple[LabelFilter, int]:
        """The label's part of a window's filter, and the mask that its other part became."""
        if text is None:
            return LabelFilter.ANY, -1
        label = LabelFilter.ANY
        rest: str | None = text
        try:
            if self.spec.label is not None:
                condition, rest = split_conjunction(text, self.spec.label)
                label = LabelFilter(int(condition))
        except ExpressionError as error:
            self.fault(path, error.message, error.nearest, error.offset)
            return label, -1
        if rest is None:
            return label, -1
        compiled = self.expression(path, rest, self.scope)
        if compiled is None:
            return label, -1
        if compiled.type not in (Type.BOOLEAN, Type.UNKNOWN):
            self.fault(path, "a filter is a condition: compare it with something", offset=0)
        self.masks.setdefault(rest, compiled)
        return label, list(self.masks).index(rest)

    def aggregate(self, path: Path, text: str) -> tuple[Kind, int] | None:
        """The function of an aggregate, and its column."""
        try:
            tree = parse(text)
        except ExpressionError as error:
            self.fault(path, error.message, error.nearest, error.offset)
            return None
        match tree:
            case ast.Name(id=name):
                argument = None
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
                pass
            case _:
                self.fault(path, f"{text} is not an aggregate: write count, mean(amount) or the like")
                return None
        kind = _KINDS.get(name)
        if kind is None:
            self.fault(path, f"there is no aggregate {name}", nearest_name(name, _KINDS), tree.col_offset)
            return None
        return self.aggregate_of(path, text, kind, argument)

    def aggregate_of(self, path: Path, text: str, kind: Kind, argument: ast.expr | None) -> tuple[Kind, int] | None:
        name = kind.name.lower()
        is_label = isinstance(argument, ast.Name) and argument.id == self.spec.label
        if kind == Kind.COUNT_SINCE:
            if is_label:
                return kind, NO_VALUE
            self.fault(
                path,
                f"count_since counts events since the last positive outcome: count_since({self.spec.label or 'label'})",
            )
            return None
        if argument is None:
            if kind in VALUED:
                self.fault(path, f"{name} needs to know of what: {name}(...)")
                return None
            return kind, NO_VALUE
        if is_label:
            return kind, LABEL
        value = self.value(path, text, kind, argument)
        return None if value is None else (kind, value)

    def value(self, path: Path, text: str, kind: Kind, argument: ast.expr) -> int | None:
        """The column of a value: a field's own, or that of an input that computes it."""
        inner = text[argument.col_offset : argument.end_col_offset]
        try:
            if inner in self.spec.entities:
                compiled = compile_entity(inner, self.scope)
            else:
                compiled = compile_expression(inner, self.scope, strict=True)
        except ExpressionError as error:
            names = {node.id for node in ast.walk(argument) if isinstance(node, ast.Name)}
            if self.spec.label in names:
                self.fault(path, f"{self.spec.label} stands alone in an aggregate", offset=argument.col_offset)
                return None
            for fault in error.all:
                self.fault(path, fault.message, fault.nearest, argument.col_offset + fault.offset)
            return None
        if compiled.type == Type.CATEGORY and kind not in _OF_CATEGORIES:
            self.fault(path, f"{inner} can be counted, not have a {kind.name.lower()}", offset=argument.col_offset)
            return None
        if compiled.column >= 0:
            return compiled.column
        self.values.setdefault(inner, compiled)
        return len(self.spec.fields) + list(self.values).index(inner)

    def derived(self) -> tuple[tuple[Compiled, ...], tuple[tuple[int, ...], ...]]:
        """The derived features' programs, each seeing those before it, and what each rests on."""
        made: list[Compiled] = []
        sources: dict[str, frozenset[int]] = {name: frozenset([slot]) for slot, name in enumerate(self.names)}
        base, order = len(self.names), list(self.spec.derived)
        self.order_faults()
        for at, (name, text) in enumerate(self.spec.derived.items()):
            below = [(later, Type.UNKNOWN) for later in order[at:] if later not in self.names]
            known = [*zip(self.names, self.types), *below]
            scope = Scope.of(known, self.spec.entities, self.spec.lists, self.spec.time)
            compiled = self.expression(("derived", name), text, scope)
            sure = compiled is not None and compiled.names.isdisjoint(later for later, _ in below)
            kind = compiled.type if compiled is not None and sure else Type.UNKNOWN
            if not self.claim(("derived", name), name, kind) or compiled is None:
                continue
            made.append(compiled)
            sources[name] = frozenset().union(*(sources[used] for used in compiled.names if used in sources))
        return tuple(made), tuple(tuple(sorted(sources[name])) for name in self.names[base:] if name in sources)

    def order_faults(self) -> None:
        """Derived features that name themselves, by whatever way round, or one that is declared below them."""
        order = list(self.spec.derived)
        uses = {name: names_in(text) for name, text in self.spec.derived.items()}
        reached = {name: _reached(name, uses) for name in order}
        named: set[str] = set()
        for at, name in enumerate(order):
            if name in reached[name]:
                round_ = [other for other in order if other in reached[name] and name in reached[other]]
                if name not in named:
                    says = (
                        f"{' and '.join(round_)} rest on each other" if len(round_) > 1 else f"{name} rests on itself"
                    )
                    self.fault(("derived", name), f"{says}: a derived feature may name only those above it", offset=0)
                named.update(round_)
                continue
            for other in [later for later in order[at + 1 :] if later in uses[name] and later not in self.names]:
                message = f"{other} is declared further down: a derived feature may name only those above it"
                self.fault(("derived", name), message, offset=0)


def _reached(name: str, uses: Mapping[str, frozenset[str]]) -> set[str]:
    """The names in an expression, and the names in those."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = (uses[waiting.pop()] & uses.keys()) - found
        found |= new
        waiting += new
    return found


def _duration(span_ns: int) -> str:
    """A span as an app file would write it.

    >>> _duration(7 * 86_400_000_000_000)
    '7d'
    """
    return next(_exact(span_ns), f"{span_ns / 1e6:g}ms")


def _exact(span_ns: int) -> Iterator[str]:
    for unit, length in (("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 10**9)):
        if span_ns % length == 0:
            yield f"{span_ns // length}{unit}"

"""From the app file's tree to the plan of each stage: names resolved to columns, texts to codes, durations kept."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from homeostat.config.instants import since_ns, until_ns
from homeostat.config.tree import App, Column, NamedList, duration_ns
from homeostat.decide.guards.limits import RateLimit
from homeostat.decide.guards.plan import BreakerPlan, FallbackPlan, GuardPlan, Names, Rule
from homeostat.decide.intake.schema import EntityColumn, EventSchema, FieldColumn
from homeostat.decide.intake.unknown import UnknownNames
from homeostat.decide.windows.features import FeaturePlan, FeatureSpec, WindowGroup
from homeostat.expressions import ExpressionError, Membership, Type
from homeostat.expressions.parse import parse
from homeostat.records.identity import Coding, Identity
from homeostat.records.software import VERSION
from homeostat.records.vocabulary import Vocabulary

_TYPES = {"number": Type.NUMBER, "integer": Type.NUMBER, "boolean": Type.BOOLEAN, "category": Type.CATEGORY}


def event_schema(app: App, coding: Coding) -> EventSchema:
    """How the app's events are read, and their texts coded."""
    events = app.events
    order = list(events.entities)
    entities = tuple(
        EntityColumn(
            name,
            () if entity.of else (name, *entity.aliases),
            entity.required,
            (order.index(entity.of[0]), order.index(entity.of[1])) if entity.of else None,
        )
        for name, entity in events.entities.items()
    )
    fields = tuple(
        FieldColumn(name, (name, *f.aliases), f.type, f.required, f.min, f.max, f.values)
        for name, f in events.fields.items()
    )
    label = () if events.label is None else _names(events.label, app.outcomes.label)
    return EventSchema(
        coding, _names(events.id, "event_id"), _names(events.time, "time"),
        entities, fields, label, events.ahead_max,
        skew_ns=events.skew, id_from_rows=events.id.from_rows, time_from_rows=events.time.from_rows,
        outcome=(app.outcomes.label,), unknown=UnknownNames((*event_names(app), app.outcomes.label)),
    )  # fmt: skip


def vocabulary(app: App) -> Vocabulary:
    """The names that the app's decisions are made in."""
    return Vocabulary(
        tuple((name, tuple(entity.of or ())) for name, entity in app.events.entities.items()),
        tuple((name, field.type) for name, field in app.events.fields.items()),
        tuple(app.actions),
        tuple((rule.name, rule.reason) for rule in app.guards.rules),
        f"homeostat {VERSION}",
    )


def event_names(app: App) -> dict[str, str]:
    """Every name under which a source may send something, and what it is read as."""
    events = app.events
    found = dict.fromkeys(_names(events.id, "event_id"), "the event's id")
    found |= dict.fromkeys(_names(events.time, "time"), "the event's time")
    if events.label is not None:
        found |= dict.fromkeys(_names(events.label, app.outcomes.label), "the label")
    named: dict[str, tuple[str, ...]] = {name: entity.aliases for name, entity in events.entities.items()}
    named |= {name: field.aliases for name, field in events.fields.items()}
    for name, aliases in named.items():
        found |= dict.fromkeys((name, *aliases), name)
    return found


def _names(column: Column, default: str) -> tuple[str, ...]:
    return (column.name or default, *column.aliases)


def field_types(app: App) -> tuple[tuple[str, Type], ...]:
    """Name and type of each declared field, in the order of `EventBatch.numbers`."""
    return tuple((name, _TYPES[f.type]) for name, f in app.events.fields.items())


def list_places(app: App) -> dict[str, tuple[int, str]]:
    """Each list's index in the membership, and what it lists."""
    return {name: (index, named.of) for index, (name, named) in enumerate(app.guards.lists.items())}


def feature_spec(app: App) -> FeatureSpec:
    """The features that the app wants, in the planner's words."""
    groups = tuple(
        WindowGroup(
            group.entity,
            tuple((text, int(duration_ns(text))) for text in group.lengths),
            group.compute,
            group.delay,
            group.past,
            group.where,
        )
        for group in app.features.windows
    )
    return FeatureSpec(
        tuple(app.events.entities), field_types(app), groups, app.features.derived, app.outcomes.label,
        app.outcomes.delay, app.events.lateness, app.outcomes.unknown == "negative", list_places(app),
    )  # fmt: skip


def guard_names(app: App, features: FeaturePlan) -> Names:
    """The names that guard rules may use."""
    typed = tuple(zip(features.names, features.types, strict=True))
    return Names(typed, tuple(app.events.entities), tuple(app.scorers), list_places(app))


def guard_plan(app: App, always: str = "", limits: Mapping[str, RateLimit] | None = None) -> GuardPlan:
    """Rules, breakers and fallbacks.

    always : the action that settings give each event that no hard rule decides; empty where there is none
    limits : rule -> the rate beyond which it holds
    """
    rates = limits or {}
    index: Mapping[str, int] = {name: number for number, name in enumerate(app.actions)}
    rules = tuple(
        Rule(
            r.name,
            r.when,
            index[r.action],
            r.priority,
            since_ns(r.since),
            until_ns(r.until),
            r.reason,
            rates.get(r.name),
        )
        for r in app.guards.rules
    )
    breakers = tuple(
        BreakerPlan(index[b.action], b.share_max, b.over, b.events_min, index[b.instead]) for b in app.guards.breakers
    )
    fallback = app.guards.fallback
    return GuardPlan(
        app.actions,
        FallbackPlan(
            index[fallback.scorers_absent],
            index.get(fallback.policy),
            index.get(fallback.deadline or ""),
            index.get(always),
        ),
        rules,
        breakers,
    )


def membership(app: App, coding: Coding) -> Membership:
    """The members of each list, and when; and how the literals of expressions become codes."""
    entries = (
        (number, identify(key), since_ns(since), until_ns(until))
        for number, named in enumerate(app.guards.lists.values())
        for identify in (_coder(app, named, coding),)
        for key, since, until in _entries(named)
    )
    return Membership.build(entries, coding)


def _coder(app: App, named: NamedList, coding: Coding) -> Callable[[str | int], Identity]:
    if named.of in app.events.entities:
        return coding.identify
    return lambda key: (int(coding.category(str(key))), 0)


def selected_actions(app: App) -> tuple[str, ...]:
    """The actions whose rates are compared between groups."""
    chosen = () if app.fairness is None else app.fairness.selected
    return chosen or app.actions[1:]


def group_values(app: App, names: Sequence[str]) -> list[float]:
    """The values of the field of groups, in events, for the names that people read. Raises ValueError for no name."""
    assert app.fairness is not None
    kind, code = app.events.fields[app.fairness.groups].type, category_coding(app)
    if kind == "boolean":
        return [float(("false", "true").index(name)) for name in names]
    return [code(name) if kind == "category" else float(name) for name in names]


def group_name(app: App, value: float, texts: Mapping[float, str]) -> str:
    """The name of a group, for people, by its value in events; texts : of categories, by code"""
    assert app.fairness is not None
    kind = app.events.fields[app.fairness.groups].type
    if kind == "boolean":
        return "true" if value else "false"
    return texts.get(value, f"{value:.15g}") if kind == "category" else f"{value:.15g}"


def category_coding(app: App) -> Callable[[str], float]:
    """How the app's categories become codes: these follow from the texts and the app file, whatever the secret."""
    return Coding.of_seed(app.seed, category_literals(app)).category


def category_literals(app: App) -> frozenset[str]:
    """Every text that the app file may mean as a category: in expressions, among `values`, on lists."""
    found = {value for declared in app.events.fields.values() for value in declared.values or ()}
    for text in _expressions(app):
        with suppress(ExpressionError):  # The compiler reports its faults.
            found |= {
                node.value
                for node in ast.walk(parse(text))
                if isinstance(node, ast.Constant) and type(node.value) is str
            }
    for named in app.guards.lists.values():
        if named.of not in app.events.entities:
            found |= {str(key) for key, _, _ in _entries(named)}
    return frozenset(found)


def _expressions(app: App) -> Iterator[str]:
    for group in app.features.windows:
        yield from group.compute.values()
        yield group.where or ""
    yield from app.features.derived.values()
    yield from (rule.when for rule in app.guards.rules)
    yield from (rule.when for scorer in app.scorers.values() for rule in scorer.rules)
    yield from (text for cost in app.costs.values() for text in (cost.positive, cost.negative))


def _entries(named: NamedList) -> list[tuple[str | int, str | None, str | None]]:
    return [
        (entry, None, None) if isinstance(entry, str | int) else (entry.key, entry.since, entry.until)
        for entry in named.entries
    ]

"""The faults of a repair, a quarantine and their like against the app: names, types, ranges, conditions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from homeostat.config import plans
from homeostat.config.faults import nearest
from homeostat.config.instants import instant_ns
from homeostat.config.remedies import (
    ConvertBody,
    CopiesBody,
    ImputeBody,
    LatenessBody,
    MapBody,
    QuarantineBody,
    RandomBody,
    RateBody,
    RenameBody,
    ShedBody,
)
from homeostat.config.scalars import Node
from homeostat.config.tree import App, FieldType
from homeostat.decide.guards.plan import Names, condition
from homeostat.decide.windows.features import plan_features
from homeostat.decide.windows.plan import SPAN_NS_MAX
from homeostat.expressions import ExpressionError, Scope, Type, compile_expression


class Found(NamedTuple):
    """A fault: of which key of the body (empty for the scope), what it is, and what was probably meant."""

    key: str
    message: str
    meant: str | None = None


def remedy_faults(scope: str, form: Node, app: App) -> list[Found]:
    """Every fault of a body of the right form.

    >>> from homeostat.config.load import load_app
    >>> body = ImputeBody(op="impute", value="much")
    >>> [(one.key, one.message) for one in remedy_faults("field:amount", body, load_app("payments"))]
    [('value', "should be a number, as amount is, not 'much'")]
    """
    where = getattr(form, "where", None)
    found = list(_of_form(scope, form, app))
    if where is not None:
        found += _of_where(where, app, as_rule=isinstance(form, RateBody))
    return found


def _of_form(scope: str, form: Node, app: App) -> Iterator[Found]:
    if scope.startswith("field:"):
        name = scope.removeprefix("field:")
        field = app.events.fields.get(name)
        if field is None:
            yield _unknown("", name, app.events.fields, "field")
        else:
            yield from _of_field(name, field, form, app)
    elif isinstance(form, CopiesBody):
        known = [*app.events.entities, *app.events.fields]
        yield from (_unknown("by", one, known, "field or entity") for one in form.by if one not in known)
        if len(set(form.by)) < len(form.by):
            yield Found("by", "names a field or an entity twice")
    elif isinstance(form, QuarantineBody):
        yield from _of_quarantine(scope, form)
    elif isinstance(form, LatenessBody) and form.lateness > SPAN_NS_MAX // 2:
        yield Found("lateness", "should be at most 18 years")
    elif isinstance(form, ShedBody):
        yield from (_unknown("scorers", one, app.scorers, "scorer") for one in form.scorers if one not in app.scorers)
        if set(form.scorers) >= set(app.scorers):
            yield Found("scorers", "leaves no scorer that could decide: use a fallback instead")
    elif isinstance(form, RateBody):
        if scope not in app.events.entities:
            yield _unknown("", scope, app.events.entities, "entity")
        if form.action not in app.actions:
            yield _unknown("action", form.action, app.actions, "action")
    elif isinstance(form, RandomBody):
        if scope not in app.actions:
            yield _unknown("", scope, app.actions, "action")
        if form.low >= form.high:
            yield Found("high", f"should be above low, {form.low:g}")


def _of_field(name: str, field: FieldType, form: Node, app: App) -> Iterator[Found]:
    if isinstance(form, ConvertBody):
        if field.type not in ("number", "integer"):
            yield Found("op", f"{name} is a {field.type}: only a number is converted")
        if form.factor == 0 or not math.isfinite(form.factor):
            yield Found("factor", "should be a number other than 0")
    elif isinstance(form, MapBody):
        if field.type != "category":
            yield Found("values", f"{name} is a {field.type}: only a category has other names")
        for to in dict.fromkeys(form.values.values()):
            if field.values is not None and to not in field.values:
                yield _unknown("values", to, field.values, f"category of {name}")
    elif isinstance(form, RenameBody):
        taken = plans.event_names(app)
        if form.from_ in taken:
            yield Found("from", f"{form.from_!r} is read as {taken[form.from_]} already")
    elif isinstance(form, ImputeBody):
        yield from _of_value(name, field, form.value)


def _of_value(name: str, field: FieldType, value: object) -> Iterator[Found]:
    """A value that a field is to have."""
    if field.type == "category":
        if not isinstance(value, str):
            yield Found("value", f"should be a text, as {name} is a category, not {value!r}")
        elif field.values is not None and value not in field.values:
            yield _unknown("value", value, field.values, f"category of {name}")
    elif field.type == "boolean":
        if not isinstance(value, bool):
            yield Found("value", f"should be true or false, as {name} is, not {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        yield Found("value", f"should be a number, as {name} is, not {value!r}")
    elif field.type == "integer" and not float(value).is_integer():
        yield Found("value", f"should be a whole number, as {name} is, not {value!r}")
    elif (field.min is not None and value < field.min) or (field.max is not None and value > field.max):
        yield Found("value", f"is outside of what {name} may be: {field.min} to {field.max}")


def _of_quarantine(scope: str, form: QuarantineBody) -> Iterator[Found]:
    if scope != "labels" and form.where is None:
        yield Found("where", "is missing: it says which events are in the quarantine, such as `terminal in (17, 21)`")
    if form.from_ is not None:
        try:
            instant_ns(form.from_)
        except ValueError as error:
            yield Found("from", str(error))


def _of_where(text: str, app: App, as_rule: bool) -> Iterator[Found]:
    try:
        if as_rule:
            condition(text, _rule_names(app))
        elif (kind := compile_expression(text, where_scope(app), strict=True).type) not in (Type.BOOLEAN, Type.UNKNOWN):
            yield Found("where", f"a condition is true or false; this is a {kind.value}")
    except ExpressionError as error:
        yield from (Found("where", one.message, one.nearest) for one in error.all)


def _rule_names(app: App) -> Names:
    features, _ = plan_features(plans.feature_spec(app))
    assert features is not None  # An app that was loaded has a plan.
    return plans.guard_names(app, features)


def where_scope(app: App) -> Scope:
    """The names of a `where`: fields, entities, lists and the event's time."""
    return Scope.of(plans.field_types(app), tuple(app.events.entities), plans.list_places(app))


def _unknown(key: str, word: str, known: Iterable[str], what: str) -> Found:
    words = list(known)
    return Found(key, f"there is no {what} {word!r}; known: {', '.join(words) or 'none'}", nearest(word, words))

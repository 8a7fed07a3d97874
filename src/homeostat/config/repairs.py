"""The repairs of the settings: their plan, and how events are read while they are in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from homeostat.config import plans
from homeostat.config.instants import since_ns
from homeostat.config.remedies import (
    ConvertBody,
    CopiesBody,
    ImputeBody,
    MapBody,
    MaskBody,
    QuarantineBody,
    RenameBody,
    ShiftBody,
)
from homeostat.config.remedy_faults import where_scope
from homeostat.config.scalars import Node
from homeostat.config.tree import App
from homeostat.decide.intake.schema import EventSchema, FieldColumn
from homeostat.decide.intake.unknown import UnknownNames
from homeostat.decide.repairing.plan import CopyPlan, FieldRepair, RepairPlan, Shift
from homeostat.decide.repairing.quarantine import Held
from homeostat.expressions import Compiled, compile_expression
from homeostat.records.identity import Coding


def repair_plan(app: App, repairs: Mapping[str, Node], coding: Coding) -> RepairPlan:
    """The plan of repairs, scope -> body."""
    found = RepairPlan()
    for scope, body in repairs.items():
        if isinstance(body, ShiftBody):
            found = replace(found, shift=Shift(body.by, _where(body.where, app)))
        elif isinstance(body, CopiesBody):
            found = replace(found, copies=_copies(body, app))
        elif not isinstance(body, RenameBody):  # Intake reads the other name.
            found = replace(found, fields=(*found.fields, _field(scope.removeprefix("field:"), body, app, coding)))
    return found


def held_of(app: App, quarantines: Mapping[str, QuarantineBody]) -> list[Held]:
    """The events of each quarantine."""
    return [Held(since_ns(one.from_), _where(one.where, app)) for one in quarantines.values()]


def _field(name: str, body: Node, app: App, coding: Coding) -> FieldRepair:
    column, declared = list(app.events.fields).index(name), app.events.fields[name]
    where = _where(getattr(body, "where", None), app)
    if isinstance(body, MaskBody):
        return FieldRepair(column, "mask", where)
    if isinstance(body, ImputeBody):
        if isinstance(body.value, str):
            code = coding.category(body.value)
            return FieldRepair(column, "impute", where, value=code, texts={code: body.value})
        return FieldRepair(column, "impute", where, value=float(body.value))
    if isinstance(body, MapBody):
        codes = {coding.category(one): coding.category(to) for one, to in body.values.items()}
        allowed = None if declared.values is None else frozenset(map(coding.category, declared.values))
        texts = {coding.category(to): to for to in body.values.values()}
        return FieldRepair(column, "map", where, codes=codes, allowed=allowed, texts=texts)
    assert isinstance(body, ConvertBody)
    low, high = -inf if declared.min is None else declared.min, inf if declared.max is None else declared.max
    return FieldRepair(
        column, "convert", where, body.factor, body.offset, declared.type == "integer", low, high
    )  # fmt: skip


def _copies(body: CopiesBody, app: App) -> CopyPlan:
    entities, fields = list(app.events.entities), list(app.events.fields)
    return CopyPlan(
        body.within, body.within + app.events.lateness,
        tuple(entities.index(name) for name in body.by if name in entities),
        tuple(fields.index(name) for name in body.by if name in fields), _where(body.where, app),
    )  # fmt: skip


def _where(text: str | None, app: App) -> Compiled | None:
    return None if text is None else compile_expression(text, where_scope(app))


def read_schema(app: App, repairs: Mapping[str, Node], coding: Coding) -> EventSchema | None:
    """How events are read while these repairs are in force; None where they are read as declared.

    Intake must not refuse an event that a repair will mend: another name, a category that is new, a value in another
    unit, nothing where a field is filled in, a time that is ahead of the clock.
    """
    if not repairs:
        return None
    schema = plans.event_schema(app, coding)
    fields = tuple(_read(field, repairs.get(f"field:{field.name}")) for field in schema.fields)
    shift = repairs.get("time")
    ahead_ns = max(0, -shift.by) if isinstance(shift, ShiftBody) else 0
    others = [one.from_ for one in repairs.values() if isinstance(one, RenameBody)]
    known = UnknownNames((*plans.event_names(app), app.outcomes.label, *others))
    return replace(schema, fields=fields, ahead_max_ns=schema.ahead_max_ns + ahead_ns, unknown=known)


def _read(field: FieldColumn, body: Node | None) -> FieldColumn:
    if isinstance(body, RenameBody):
        return replace(field, names=(*field.names, body.from_))
    if isinstance(body, MapBody) and field.values is not None:
        return replace(field, values=tuple(dict.fromkeys((*field.values, *body.values))))
    if isinstance(body, ImputeBody | MaskBody):
        return replace(field, required=False)
    if isinstance(body, ConvertBody):
        kind = "number" if field.kind == "integer" else field.kind
        return replace(
            field, kind=kind, min=_widened(field.min, field, body, min), max=_widened(field.max, field, body, max)
        )
    return field


def _widened(bound: float | None, field: FieldColumn, body: ConvertBody, choose: object) -> float | None:
    """A bound that lets values in either unit through; none where one of both units knows none."""
    assert callable(choose)
    ends = (field.min, field.max) if body.factor > 0 else (field.max, field.min)
    other = ends[0] if choose is min else ends[1]
    return None if bound is None or other is None else float(choose(bound, (other - body.offset) / body.factor))

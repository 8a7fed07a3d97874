"""The bodies of the changes by which loop 2 helps: repairs, quarantines, bounds and other paths, each a type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from homeostat.config.scalars import DURATION_PATTERN, Duration, Expression, Name, Node, duration_ns
from homeostat.records.changes import ChangeKind

WHERE = "a condition on fields, entities and time; all events when absent"


def _signed_ns(text: object) -> int:
    """A duration with a sign, such as -2h, in nanoseconds."""
    if isinstance(text, str) and text.strip()[:1] in ("-", "+"):
        sign = -1 if text.strip()[0] == "-" else 1
        return sign * duration_ns(text.strip()[1:])
    return duration_ns(text)


SIGNED_PATTERN = DURATION_PATTERN.replace(r"^\s*", r"^\s*[+-]?\s*")
SignedDuration = Annotated[
    int, BeforeValidator(_signed_ns, json_schema_input_type=Annotated[str, Field(pattern=SIGNED_PATTERN)])
]
Text = Annotated[StrictStr, Field(min_length=1, max_length=256)]


class ConvertBody(Node):
    """A field in another unit: value * factor + offset."""

    op: Literal["convert"] = Field(description="convert: a number in another unit")
    factor: StrictFloat = Field(description="multiplies the value; not 0")
    offset: StrictFloat = Field(default=0.0, description="is added to the product")
    where: Expression | None = Field(default=None, description=WHERE)


class MapBody(Node):
    """Other names of a field's categories."""

    op: Literal["map"] = Field(description="map: other categories, or another name of the field")
    values: dict[Text, Text] = Field(min_length=1, max_length=1000, description="category that arrives -> the app's")
    where: Expression | None = Field(default=None, description=WHERE)


class RenameBody(Node):
    """Another name under which a field arrives."""

    op: Literal["map"] = Field(description="map: other categories, or another name of the field")
    from_: Text = Field(alias="from", description="the other name, read where the field's own names are absent")


class ImputeBody(Node):
    """A value for a field that an event lacks."""

    op: Literal["impute"] = Field(description="impute: a value where the field has none")
    value: StrictBool | StrictFloat | StrictStr = Field(description="a number, true or false, or a category")
    where: Expression | None = Field(default=None, description=WHERE)


class MaskBody(Node):
    """A field that is taken for missing."""

    op: Literal["mask"] = Field(description="mask: the field counts as missing")
    where: Expression | None = Field(default=None, description=WHERE)


class ShiftBody(Node):
    """A clock that is wrong."""

    op: Literal["shift"] = Field(description="shift: another event time")
    by: SignedDuration = Field(description="is added to the event time, such as -2h")
    where: Expression | None = Field(default=None, description=WHERE)


class CopiesBody(Node):
    """Repeats of the same content under other ids."""

    op: Literal["drop_copies"] = Field(description="drop_copies: windows count repeats of the same content once")
    within: Duration = Field(gt=0, description="how long after an event one of the same content is its copy")
    by: tuple[Name, ...] = Field(min_length=1, description="the fields and entities that make the content")
    where: Expression | None = Field(default=None, description=WHERE)


class QuarantineBody(Node):
    """Events that are decided and do not teach."""

    where: Expression | None = Field(default=None, description=WHERE)
    from_: StrictStr | None = Field(
        default=None, alias="from", description="only events from this instant on, ISO 8601; event time decides"
    )


class LatenessBody(Node):
    """How far events may arrive out of order."""

    lateness: Duration = Field(description="the bound in place of the app file's events.lateness")


class ShedBody(Node):
    """Scorers that are not asked."""

    scorers: tuple[Name, ...] = Field(min_length=1, description="the scorers that are left out")


class RateBody(Node):
    """How many events of an entity go their ordinary way."""

    count: StrictInt = Field(ge=1, le=1_000_000, description="events of one entity that go their way in the span")
    per: Duration = Field(gt=0, description="the span, in event time")
    action: Name = Field(description="the action that further events get")
    where: Expression | None = Field(default=None, description="which events count: a condition as a rule's")


class RandomBody(Node):
    """A threshold that nobody can sit just below."""

    low: StrictFloat = Field(ge=0, le=1, description="the least threshold")
    high: StrictFloat = Field(ge=0, le=1, description="the highest threshold, above the least")


class RebuildBody(Node):
    """Windows that are made again; it has no keys."""


FORMS: Mapping[ChangeKind, tuple[type[Node], ...]] = {
    ChangeKind.REPAIR: (ConvertBody, MapBody, RenameBody, ImputeBody, MaskBody, ShiftBody, CopiesBody),
    ChangeKind.QUARANTINE: (QuarantineBody,), ChangeKind.LATENESS: (LatenessBody,), ChangeKind.SHED: (ShedBody,),
    ChangeKind.RATE: (RateBody,), ChangeKind.RANDOM: (RandomBody,), ChangeKind.REBUILD: (RebuildBody,),
}  # fmt: skip
"""The forms that a body may have; a repair's by its op."""

SCOPES: Mapping[ChangeKind, str] = {
    ChangeKind.REPAIR: r"^(field:[a-z][a-z0-9_]{0,63}|time|source)$",
    ChangeKind.QUARANTINE: r"^(labels|(source|account|segment):[!-~]([ -~]{0,98}[!-~])?)$",
    ChangeKind.LATENESS: "^app$", ChangeKind.SHED: "^app$", ChangeKind.RATE: r"^[a-z][a-z0-9_]{0,63}$",
    ChangeKind.RANDOM: r"^[a-z][a-z0-9_]{0,63}$", ChangeKind.REBUILD: "^windows$",
}  # fmt: skip
"""The form of a scope, as a regular expression."""

OPS: Mapping[str, tuple[type[Node], ...]] = {
    "field": (ConvertBody, MapBody, RenameBody, ImputeBody, MaskBody), "time": (ShiftBody,), "source": (CopiesBody,),
}  # fmt: skip
"""The repairs of a field, of the event time, and of a source."""


def form_of(kind: ChangeKind, scope: str, body: Mapping[str, object]) -> type[Node] | None:
    """The type that a body is to have; None for an op that its scope does not know.

    >>> form_of(ChangeKind.REPAIR, "field:amount", {"op": "map", "from": "total"}).__name__
    'RenameBody'
    """
    if kind != ChangeKind.REPAIR:
        return FORMS[kind][0]
    if body.get("op") == "map" and scope.startswith("field:"):
        return RenameBody if "from" in body else MapBody
    return next((form for form in OPS.get(scope.partition(":")[0], ()) if op_of(form) == body.get("op")), None)


def ops_of(scope: str) -> tuple[str, ...]:
    """The ops of a scope, each once."""
    return tuple(dict.fromkeys(op_of(form) for form in OPS.get(scope.partition(":")[0], ())))


def op_of(form: type[Node]) -> str:
    """The op of a repair's form."""
    return str(form.model_fields["op"].annotation.__args__[0])  # type: ignore[union-attr]


def keys_of(form: type[Node]) -> list[str]:
    """The keys of a body of this form, as they are written."""
    return [field.alias or name for name, field in form.model_fields.items()]


def scope_fault(kind: ChangeKind, scope: str) -> str | None:
    """The fault of a scope's form, as a sentence without its end."""
    if kind not in SCOPES or re.fullmatch(SCOPES[kind], scope):
        return None
    return {
        ChangeKind.REPAIR: "is not `field:NAME`, `time` or `source`",
        ChangeKind.QUARANTINE: "is not `labels`, `source:NAME`, `account:NAME` or `segment:NAME`",
        ChangeKind.REBUILD: "is not `windows`", ChangeKind.RATE: "is not the name of an entity",
        ChangeKind.RANDOM: "is not the name of an action",
    }.get(kind, "is not `app`")  # fmt: skip

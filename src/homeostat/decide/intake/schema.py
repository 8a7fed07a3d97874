"""The form of an event: the plain facts that intake needs of the app file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from homeostat.decide.intake.unknown import UnknownNames
from homeostat.records.identity import Coding

SKEW_NS = 10**9  # How much clocks differ, where nobody says.
Kind = Literal["number", "integer", "boolean", "category"]


@dataclass(frozen=True, slots=True)
class EntityColumn:
    """One entity key.

    name : the declared name, which dead letters use
    names : where it is found, in order: the first that is present and not null counts
    of : for a composite, the positions of its two entities among `EventSchema.entities`; it is computed, never read
    """

    name: str
    names: tuple[str, ...]
    required: bool = True
    of: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """One typed value. `min` and `max` are inclusive; `values` are the allowed categories."""

    name: str
    names: tuple[str, ...]
    kind: Kind = "number"
    required: bool = True
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EventSchema:
    """The columns of an event. Compared by identity, so that what is derived from it is looked up at once.

    id, time, label : names in order of precedence, the declared one first; no label when empty
    ahead_max_ns : how far ahead of the clock an event time may be
    skew_ns : so far ahead of the clock, an event's time is taken for the time that it is
    id_from_rows, time_from_rows : in a table without the column, the row's number is the id, or seconds since 1970
    coding : how ids, keys and categories become codes
    unknown : counts the names that mean nothing; None where nobody asks
    """

    coding: Coding
    id: tuple[str, ...]
    time: tuple[str, ...]
    entities: tuple[EntityColumn, ...] = ()
    fields: tuple[FieldColumn, ...] = ()
    label: tuple[str, ...] = ()
    ahead_max_ns: int = 300 * 10**9
    skew_ns: int = SKEW_NS
    time_required: bool = True
    label_required: bool = False
    id_from_rows: bool = False
    time_from_rows: bool = False
    outcome: tuple[str, ...] = ()
    unknown: UnknownNames | None = None

    def columns(self) -> tuple[tuple[str, ...], ...]:
        """The names of every column that is read, in the order in which faults are reported."""
        keys = tuple(entity.names for entity in self.entities if entity.of is None)
        return (
            self.id,
            self.time,
            *keys,
            *(field.names for field in self.fields),
            *((self.label,) if self.label else ()),
        )

    def names(self) -> tuple[str, ...]:
        """Every name that means something, each once, in order."""
        return tuple(dict.fromkeys(name for names in self.columns() for name in names))


def outcome_schema(events: EventSchema) -> EventSchema:
    """How an outcome of such events is read: an id and a label, and perhaps a time and an amount.

    Beside the app's own names, `event_id`, `label`, `time` and `amount` are always understood.

    >>> outcome_schema(EventSchema(Coding.of_seed(0), ("tx",), ("at",), label=("fraud",))).label
    ('fraud', 'label')
    """
    amounts = next((field.names for field in events.fields if field.name == "amount"), ())
    return EventSchema(
        events.coding,
        id=_with(events.id, "event_id"),
        time=_with(events.time, "time"),
        fields=(FieldColumn("amount", _with(amounts, "amount"), required=False),),
        label=tuple(dict.fromkeys((*_with(events.label, "label"), *events.outcome))),
        ahead_max_ns=events.ahead_max_ns,
        time_required=False,
        label_required=True,
    )


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)

"""Raw traffic on the wire: the columns that a source sends, in the names and types that it uses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from homeostat.decide.intake.columns import Array, read_columns
from homeostat.decide.intake.schema import EventSchema, FieldColumn
from homeostat.decide.intake.values import Source
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.sim.faults.adversaries import ORDER
from homeostat.sim.faults.traffic import AS_DECLARED, INSTRUCTION, RENAMED, RETYPED, Traffic

_UNFIT = np.inf  # No field takes it, so that the row is read again, from its object.


def columns_of(traffic: Traffic, schema: EventSchema) -> dict[str, Array]:
    """The columns of some events as they are sent. A renamed field is `NAME_v2`; a retyped number has its unit.

    A value that its column can't hold is infinite there, and `object_of` has it as it was sent.
    """
    columns: dict[str, Array] = {
        schema.id[0]: pa.array(traffic.id), schema.time[0]: pa.array(traffic.time_ns, pa.timestamp("ns", "UTC")),
    }  # fmt: skip
    read = [entity for entity in schema.entities if entity.of is None]
    for column, entity in enumerate(read):
        columns[entity.names[0]] = pa.array(traffic.keys[:, column])
    for column, field in enumerate(schema.fields):
        columns |= _field_columns(traffic.numbers[:, column], traffic.form[:, column], field, traffic.words[column])
    return columns


def _field_columns(value: Float, form: Bytes, field: FieldColumn, words: tuple[str, ...]) -> dict[str, Array]:
    name = field.names[0]
    if (form == AS_DECLARED).all():
        return {name: _typed(value, field, words)}
    found = {name: _typed(np.where(form == RENAMED, np.nan, value), field, words)}
    if (form == RENAMED).any():
        found[f"{name}_v2"] = _typed(np.where(form == RENAMED, value, np.nan), field, words)
    odd = (form == RETYPED) | (form == INSTRUCTION)
    if odd.any() and field.kind == "category":
        texts = [_text(one, how, field, words) for one, how in zip(value.tolist(), form.tolist())]
        found[name] = pa.array(texts, pa.string())
    elif odd.any():
        sent = np.where(form == RENAMED, np.nan, value)
        found[name] = pa.array(np.where(odd, _UNFIT, sent), mask=np.isnan(sent))
    return found


def _typed(value: Float, field: FieldColumn, words: tuple[str, ...]) -> Array:
    absent = np.isnan(value)
    if field.kind == "category":
        codes = pa.array(np.where(absent, 0, value).astype(np.int32), mask=absent)
        return pa.DictionaryArray.from_arrays(codes, pa.array(list(words), pa.string())).dictionary_decode()
    if field.kind == "boolean":
        return pa.array(value > 0, mask=absent)
    return pa.array(value, mask=absent)


def _text(value: float, form: int, field: FieldColumn, words: tuple[str, ...]) -> str | None:
    """A value as text, in its form."""
    if form == INSTRUCTION:
        return ORDER
    if value != value or form == RENAMED:
        return None
    text = words[int(value)] if field.kind == "category" else f"{value:g}"
    return f"{text} units" if form == RETYPED else text


def object_of(traffic: Traffic, row: int, schema: EventSchema) -> dict[str, object]:
    """One event as it was sent, as an object."""
    found: dict[str, object] = {
        schema.id[0]: int(traffic.id[row]), schema.time[0]: f"{np.datetime64(int(traffic.time_ns[row]), 'ns')}Z",
    }  # fmt: skip
    read = [entity for entity in schema.entities if entity.of is None]
    found |= {entity.names[0]: int(traffic.keys[row, column]) for column, entity in enumerate(read)}
    for column, field in enumerate(schema.fields):
        form, value = int(traffic.form[row, column]), float(traffic.numbers[row, column])
        name = f"{field.names[0]}_v2" if form == RENAMED else field.names[0]
        found[name] = _value(value, form, field, traffic.words[column])
    return found


def _value(value: float, form: int, field: FieldColumn, words: tuple[str, ...]) -> object:
    """A value as its source writes it."""
    if form in (RETYPED, INSTRUCTION):
        return _text(value, form, field, words)
    if value != value:
        return None
    if field.kind == "category":
        return words[int(value)]
    if field.kind == "boolean":
        return value > 0
    return int(value) if field.kind == "integer" and value == int(value) else value


def received(traffic: Traffic, schema: EventSchema, now_ns: int, lines: Int) -> tuple[EventBatch, list[DeadLetter]]:
    """Some events as intake makes them of what is on the wire."""
    columns = columns_of(traffic, schema)
    odd = (traffic.form >= RETYPED).any()
    fetch = (lambda row: object_of(traffic, row, schema)) if odd else None
    return read_columns(columns, len(traffic), schema, now_ns, lines, Source.COLUMNS, fetch)

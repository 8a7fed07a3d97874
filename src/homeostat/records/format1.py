"""Bodies of format 1, which version 0.1.0 wrote: their schema stands in the body itself, and names less.

The content: rows, sizes, schema (JSON: widths of the wide columns, names of features and scorers, version), texts, then
each column at a multiple of 8 bytes. Entities, fields, actions and rules have no names in it, only places.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from homeostat.records.arrays import AnyArray
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.features import Features
from homeostat.records.identity import IdTexts
from homeostat.records.texts import decode_texts, padding
from homeostat.records.vocabulary import NAMELESS, Vocabulary, numbered

FORMAT = 1
_DECISIONS = 1
_SIZES = struct.Struct("<QQIII")  # rows, columns stored as one row (bits), bytes of schema, texts, their bytes
_SIZES_BYTES = 32  # The sizes, padded to a multiple of 8.

_F8, _I8, _U8, _I2, _U1 = (np.dtype(code) for code in ("<f8", "<i8", "<u8", "<i2", "|u1"))

# The columns' names and types, in the format's order; the widths of the wide ones are in the schema.
_DECISION_COLUMNS = (
    ("events.id_code", _I8), ("events.time_ns", _I8), ("events.keys", _I8), ("events.numbers", _F8),
    ("events.label", _F8), ("features.values", _F8), ("scores.values", _F8), ("scores.confidence", _F8),
    ("fused.risk", _F8), ("fused.contributions", _F8), ("proposal.propensity", _F8), ("ruling.hits", _U8),
    ("proposal.action", _I2), ("ruling.action", _I2), ("ruling.rule", _I2), ("events.kind", _U1),
    ("features.freshness", _U1), ("scores.fallback", _U1), ("proposal.explored", _U1), ("proposal.fallback", _U1),
    ("fallback", _U1),
)  # fmt: skip
_OUTCOME_COLUMNS = (
    ("id_code", _I8), ("label", _F8), ("known_ns", _I8), ("amount", _F8),
    ("time_ns", _I8), ("keys", _I8),
)  # fmt: skip
_WIDE = frozenset({
    "time_ns", "keys", "events.keys", "events.numbers", "features.values", "features.freshness",
    "scores.values", "scores.confidence", "fused.contributions", "proposal.propensity",
})  # fmt: skip


def decode(content: memoryview, kind: int, took_us: float, legacy: Vocabulary) -> DecisionBatch | OutcomeBatch:
    """The batch of a content whose digest has been checked.

    legacy : the names of its columns and numbers, given where they fit
    Raises ValueError on anything but a whole body.
    """
    rows, alike, schema_bytes, text_count, text_bytes = _SIZES.unpack_from(content)
    if _SIZES_BYTES + schema_bytes + text_bytes > len(content):
        raise ValueError("the body's schema and texts are longer than the body")
    schema = _read_schema(bytes(content[_SIZES_BYTES : _SIZES_BYTES + schema_bytes]), kind)
    at = _SIZES_BYTES + schema_bytes
    texts = decode_texts(bytes(content[at : at + text_bytes]), text_count, checked=False)
    columns = _read_columns(content, at + text_bytes, rows, alike, schema["widths"], kind)
    if kind == _DECISIONS:
        return _decisions(columns, schema, texts, took_us, legacy)
    return _outcomes(columns, schema["version"], texts, legacy)


def _outcomes(columns: list[AnyArray], about: str, texts: IdTexts, legacy: Vocabulary) -> OutcomeBatch:
    id_code, label, known_ns, amount, time_ns, keys = columns
    located = keys if "keys" in about else None
    named = legacy.entities if located is not None and len(legacy.entities) == located.shape[1] else ()
    return OutcomeBatch(
        id_code, label, known_ns, amount, texts, "scheduled" in about, time_ns[:, 0] if time_ns.shape[1] else None,
        located, named, np.zeros_like(id_code), None if located is None else np.zeros_like(located),
    )  # fmt: skip


def _decisions(
    columns: list[AnyArray], schema: dict[str, Any], texts: IdTexts, took_us: float, legacy: Vocabulary
) -> DecisionBatch:
    (id_code, time_ns, keys, numbers, label, values, score, confidence, risk, contributions, propensity, hits,
     proposed, action, rule, kind, freshness, missing, explored, policy_fallback, fallback) = columns  # fmt: skip
    return DecisionBatch(
        EventBatch(id_code, time_ns, keys, numbers, label, kind, texts, np.zeros_like(id_code), np.zeros_like(keys)),
        Features(tuple(schema["features"]), values, freshness),
        Scores(tuple(schema["scorers"]), score, confidence, missing),
        Fused(risk, contributions),
        Proposal(proposed, propensity, explored, policy_fallback),
        Ruling(action, rule, hits),
        fallback,
        schema["version"],
        took_us,
        _words(tuple(schema["features"][: numbers.shape[1]]), keys.shape[1], propensity.shape[1], legacy),
    )


def _words(fields: tuple[str, ...], entities: int, actions: int, legacy: Vocabulary) -> Vocabulary:
    """The names of a batch, as far as they are known: features begin with the fields, which so have names of their own.

    The legacy's entities, actions and rules are its own where there are as many entities and actions.
    """
    if legacy.nameless:
        return NAMELESS
    types, known = dict(legacy.fields), numbered(entities, 0, actions)
    named = tuple((name, types.get(name, "number")) for name in fields)
    if (len(legacy.entities), len(legacy.actions)) != (entities, actions):
        return Vocabulary(known.entities, named, known.actions)
    return Vocabulary(legacy.entities, named, legacy.actions, legacy.rules)


def _read_schema(data: bytes, kind: int) -> dict[str, Any]:
    layout = _DECISION_COLUMNS if kind == _DECISIONS else _OUTCOME_COLUMNS
    try:
        schema = json.loads(data)
        widths = schema["widths"]
        whole = (
            len(widths) == len(layout)
            and all(isinstance(width, int) and 0 <= width < 1 << 20 for width in widths)
            and all(isinstance(name, str) for name in [*schema["features"], *schema["scorers"], schema["version"]])
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("the body's schema cannot be read") from error
    if not whole:
        raise ValueError("the body's schema is not one of this format")
    return dict(schema)


def _read_columns(content: memoryview, at: int, rows: int, alike: int, widths: list[int], kind: int) -> list[AnyArray]:
    columns: list[AnyArray] = []
    layout = _DECISION_COLUMNS if kind == _DECISIONS else _OUTCOME_COLUMNS
    for index, (name, dtype) in enumerate(layout):
        stored = 1 if alike >> index & 1 else rows
        width = widths[index] if name in _WIDE else 1
        count = stored * width
        if at + count * dtype.itemsize > len(content):
            raise ValueError(f"the body ends within {name}")
        column = np.frombuffer(content, dtype, count, at) if count else np.empty(0, dtype)
        at += count * dtype.itemsize + padding(count * dtype.itemsize)
        if name in _WIDE:
            column = column.reshape(stored, width)
        columns.append(np.repeat(column, rows, axis=0) if stored != rows else column)
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes follow the body's last column")
    return columns

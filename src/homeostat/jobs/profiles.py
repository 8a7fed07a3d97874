"""The likely role of each column of a table of events: id, time, entity, field or label, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import pyarrow as pa
import pyarrow.compute as pc

from homeostat.decide.intake.times import time_of_seconds, time_of_text

_TRIED = 200  # Values of a text column that are tried as times.
_CATEGORIES_MAX = 100  # A column with more different texts is an entity, or no category.
_REPEATS_MIN = 1.2  # Events for each key, on average, from which a key has a past worth knowing.
_ENTITIES_MAX = 6
_LABELS = ("label", "fraud", "is_fraud", "isfraud", "tx_fraud", "target", "abuse", "class", "chargeback", "outcome")
_TELLING = frozenset({
    "abuse", "abusive", "attack", "bad", "chargeback", "churn", "churned", "fraud", "fraudulent", "label", "malicious",
    "outcome", "scam", "spam", "target",
})  # fmt: skip
_GUESSES = frozenset({"pred", "predicted", "prediction", "probability", "risk", "score"})  # Of a model, not of life.
_IDS = ("event_id", "transaction_id", "id", "uuid", "request_id", "order_id", "login_id", "message_id")
_TIMES = ("time", "timestamp", "event_time", "datetime", "date", "created_at", "ts", "tx_datetime", "occurred_at")
_SUBJECTS = frozenset({
    "account", "address", "buyer", "card", "client", "customer", "device", "driver", "email", "employee", "fingerprint",
    "host", "iban", "ip", "member", "merchant", "owner", "phone", "player", "seller", "service", "session", "tenant",
    "terminal", "user", "wallet",
})  # fmt: skip
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


class Role(Enum):
    """The role of a column."""

    ID = "id"
    TIME = "time"
    ENTITY = "entity"
    LABEL = "label"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Profile:
    """One column.

    name : as the file has it
    distinct, nulls : different values, and rows without one
    examples : some values, in the order in which they occur
    low, high : of numbers
    why : what spoke for the role
    """

    name: str
    role: Role
    rows: int
    distinct: int
    nulls: int
    examples: tuple[object, ...] = ()
    low: float = 0.0
    high: float = 0.0
    why: str = ""

    @property
    def words(self) -> list[str]:
        """The parts of the name, in lower case."""
        return [word.lower() for word in _WORDS.findall(self.name)]


def profile(table: pa.Table) -> list[Profile]:
    """The columns of a table with the role that each seems to have: one id, one time, one label at the most."""
    columns = [_profile_of(name, table[name].combine_chunks()) for name in table.column_names]
    columns = _only_one(columns, Role.TIME, _TIMES)
    columns = _only_one(columns, Role.LABEL, _LABELS)
    columns = _only_one(columns, Role.ID, _IDS)
    columns = _without_hindsight(columns)
    entities = [one for one in columns if one.role is Role.ENTITY]
    kept = sorted(entities, key=lambda one: (not _names_subject(one), -one.rows / max(1, one.distinct)))[:_ENTITIES_MAX]
    return [
        replace(one, role=Role.UNUSED, why=f"more than {_ENTITIES_MAX} columns look like keys")
        if one.role is Role.ENTITY and one not in kept
        else one
        for one in columns
    ]


def _profile_of(name: str, values: pa.Array) -> Profile:
    if isinstance(values.type, pa.DictionaryType):
        values = values.dictionary_decode()
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind, rows = values.type, len(values)
    if pa.types.is_nested(kind) or pa.types.is_null(kind) or pa.types.is_binary(kind):
        return Profile(name, Role.UNUSED, rows, 0, values.null_count, why=f"values of the type {kind} are not read")
    distinct = int(pc.count_distinct(values, mode="only_valid").as_py())
    examples = tuple(values.drop_null().slice(0, 3).to_pylist())
    base = Profile(name, Role.UNUSED, rows, distinct, values.null_count, examples)
    if pa.types.is_temporal(kind):
        return replace(base, role=Role.TIME, why=f"its type is {kind}")
    if pa.types.is_boolean(kind):
        if _names_label(base):
            return replace(base, role=Role.LABEL, why="its name, and values of true and false")
        return replace(base, role=Role.BOOLEAN, why="true or false")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_text(base, values)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _of_numbers(base, values, whole=pa.types.is_integer(kind))
    return replace(base, why=f"values of the type {kind} are not read")


def _of_text(base: Profile, values: pa.Array) -> Profile:
    tried = values.drop_null().slice(0, _TRIED).to_pylist()
    if not tried:
        return replace(base, why="it is empty")
    if all(time_of_text(one) is not None for one in tried):
        return replace(base, role=Role.TIME, why="its texts are times")
    if base.name.lower() in _LABELS and base.distinct <= _CATEGORIES_MAX:
        why = "its name says that it is the outcome, and its values are texts: write 1 for positive, 0 for negative"
        return replace(base, why=why)
    if _is_id(base):
        return replace(base, role=Role.ID, why="each row has a text of its own")
    if base.distinct > _CATEGORIES_MAX or _names_subject(base):
        if _repeats(base):
            return replace(base, role=Role.ENTITY, why=_repetition(base))
        return replace(base, why="its texts hardly repeat: free text, or an id of its own")
    return replace(base, role=Role.CATEGORY, why=f"{base.distinct} different texts")


def _of_numbers(base: Profile, values: pa.Array, whole: bool) -> Profile:
    known = values.drop_null()
    if not len(known):
        return replace(base, why="it is empty")
    extremes = pc.min_max(pc.cast(known, pa.float64(), safe=False))
    base = replace(base, low=float(extremes["min"].as_py()), high=float(extremes["max"].as_py()))
    whole = whole or bool(pc.all(pc.equal(known, pc.floor(known))).as_py())
    two_valued = base.distinct == 2 and (base.low, base.high) == (0.0, 1.0)
    if whole and base.low >= 0.0 and base.high <= 1.0 and _names_label(base):
        return replace(base, role=Role.LABEL, why="its name, and values of 0 and 1")
    if base.name.lower() in _LABELS:
        why = f"its name says that it is the outcome; its values are from {base.low:g} to {base.high:g}, not 0 and 1"
        return replace(base, why=why)
    tried = known.slice(0, _TRIED).to_pylist()
    if base.name.lower() in _TIMES and all(time_of_seconds(float(one)) is not None for one in tried):
        return replace(base, role=Role.TIME, why="its name, and values that are seconds since 1970")
    if whole and _is_id(base):
        return replace(base, role=Role.ID, why="each row has a number of its own")
    if whole and (_names_subject(base) or base.words[-1:] == ["id"]) and base.distinct > 2 and _repeats(base):
        return replace(base, role=Role.ENTITY, why=_repetition(base))
    if two_valued:
        return replace(base, role=Role.BOOLEAN, why="values of 0 and 1")
    return replace(base, role=Role.INTEGER if whole else Role.NUMBER, why=f"from {base.low:g} to {base.high:g}")


def _without_hindsight(columns: Sequence[Profile]) -> list[Profile]:
    """Leave out columns that are named after the label: they are known only when the label is."""
    label = next((one for one in columns if one.role is Role.LABEL), None)
    if label is None:
        return list(columns)
    telling = {word for word in label.words if len(word) > 3} - {"label", "target", "class", "outcome"}
    fields = (Role.NUMBER, Role.INTEGER, Role.BOOLEAN, Role.CATEGORY, Role.ENTITY)
    why = f"its name says that it is known only when {label.name} is"
    return [
        replace(one, role=Role.UNUSED, why=why) if one.role in fields and telling & set(one.words) else one
        for one in columns
    ]


def _is_id(column: Profile) -> bool:
    named = column.name.lower() in _IDS or column.words[-1:] in (["id"], ["uuid"])
    return named and column.nulls == 0 and column.distinct == column.rows


def _names_subject(column: Profile) -> bool:
    return any(word in _SUBJECTS for word in column.words)


def _names_label(column: Profile) -> bool:
    if column.name.lower() in _LABELS:
        return True
    words = set(column.words)
    return bool(words & _TELLING) and not words & _GUESSES


def _repeats(column: Profile) -> bool:
    return column.rows - column.nulls >= _REPEATS_MIN * column.distinct


def _repetition(column: Profile) -> str:
    return f"{column.distinct:,} keys with {(column.rows - column.nulls) / column.distinct:.1f} events each"


def _only_one(columns: Sequence[Profile], role: Role, names: Sequence[str]) -> list[Profile]:
    """Leave the role to the column whose name says it, else to the first."""
    rivals = [one for one in columns if one.role is role]
    if len(rivals) < 2:
        return list(columns)
    best = min(rivals, key=lambda one: names.index(one.name.lower()) if one.name.lower() in names else len(names))
    why = f"{best.name} is taken as the {role.value}"
    return [replace(one, role=Role.UNUSED, why=why) if one.role is role and one is not best else one for one in columns]

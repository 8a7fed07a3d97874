"""The plan of the repairs in force: every name resolved to a column. Plain values, no arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from homeostat.expressions import Compiled


@dataclass(frozen=True, slots=True)
class FieldRepair:
    """The repair of one field, where `where` holds of the event as it came; everywhere without one.

    column : of `EventBatch.numbers`
    factor, offset : of convert: value * factor + offset, rounded where the field is of whole numbers
    codes : of map: category that arrives -> the app's
    value : of impute
    low, high : of convert: what the field may be; a value outside counts as missing
    allowed : of map: the categories that the field may have, any when None; another one counts as missing
    texts : the texts of the categories that a repair puts there, by code
    """

    column: int
    op: Literal["convert", "map", "impute", "mask"]
    where: Compiled | None = None
    factor: float = 1.0
    offset: float = 0.0
    whole: bool = False
    low: float = float("-inf")
    high: float = float("inf")
    codes: Mapping[float, float] = field(default_factory=dict)
    allowed: frozenset[float] | None = None
    value: float = float("nan")
    texts: Mapping[float, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shift:
    """How far event times are moved."""

    by_ns: int
    where: Compiled | None = None


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """Which events are copies: of the content of an earlier one, at most `within_ns` apart in event time.

    keys, numbers : the columns that make the content
    keep_ns : how far behind the newest time an event may be and still be found to be a copy or an original
    """

    within_ns: int
    keep_ns: int
    keys: tuple[int, ...]
    numbers: tuple[int, ...]
    where: Compiled | None = None


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """All repairs in force. Conditions read events as they came, so no repair hangs on another."""

    fields: tuple[FieldRepair, ...] = ()
    shift: Shift | None = None
    copies: CopyPlan | None = None

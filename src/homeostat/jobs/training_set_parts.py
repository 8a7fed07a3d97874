"""The part of a training set that one process computes: the windows of one kind of entity, for a share of its keys.

Windows of an entity know nothing of other entities, so its features can be computed wherever all rows that name it are,
in their order of arrival, by the kernel that serves. Processes exchange text and arrays, nothing that runs code when
read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.windows.plan import ABSENT_KEY, LABEL, Aggregate, Kind, LabelFilter, Window, WindowPlan
from homeostat.records.arrays import Bytes, Float, Int
from homeostat.records.events import Row

Piece: TypeAlias = tuple[Int, Int, Int, Float, Bytes, Float, Int, Bytes]
"""Rows as columns: time, key and its check, the values and masks that the windows read, label, tag, kind.

Label and tag have no rows where no window of the entity depends on labels.
"""

WATERMARK = 3
"""The kind of a row that only says how far event time had come in the whole stream before the row after it."""


@dataclass(frozen=True, slots=True)
class EntityCut:
    """The windows of one entity, cut out of a plan.

    entity : column of the batch's `keys`
    windows : of this entity alone, on one key column and the columns below
    values, masks, slots : which columns of the whole plan its values, masks and features are
    retained_ns : an outcome whose event is this much older than the newest, or more, no longer counts
    labelled : whether a window depends on labels
    """

    entity: int
    windows: WindowPlan
    values: tuple[int, ...]
    masks: tuple[int, ...]
    slots: tuple[int, ...]
    retained_ns: int
    labelled: bool


def cuts(plan: WindowPlan) -> tuple[EntityCut, ...]:
    """A plan entity by entity; entities without features are left out.

    >>> hour = Window(1, 3600, 0, -1, LabelFilter.ANY, False, (Aggregate(Kind.SUM, 2, 0),))
    >>> only, = cuts(WindowPlan(2, 3, 0, 1, (hour,), 0, False))
    >>> only.entity, only.values, only.windows.values
    (1, (2,), 1)
    """
    entities = sorted({window.entity for window in plan.windows if window.aggregates})
    return tuple(_cut(plan, entity) for entity in entities)


def _cut(plan: WindowPlan, entity: int) -> EntityCut:
    windows = [window for window in plan.windows if window.entity == entity and window.aggregates]
    aggregates = [aggregate for window in windows for aggregate in window.aggregates]
    values = sorted({aggregate.value for aggregate in aggregates if aggregate.value >= 0})
    masks = sorted({window.mask for window in windows if window.mask >= 0})
    slots = sorted(aggregate.slot for aggregate in aggregates)
    labelled = any(window.label != LabelFilter.ANY for window in windows) or any(
        aggregate.value == LABEL or aggregate.kind == Kind.COUNT_SINCE for aggregate in aggregates
    )

    def moved(aggregate: Aggregate) -> Aggregate:
        value = values.index(aggregate.value) if aggregate.value >= 0 else aggregate.value
        return Aggregate(aggregate.kind, value, slots.index(aggregate.slot))

    own = tuple(
        replace(
            window,
            entity=0,
            mask=masks.index(window.mask) if window.mask >= 0 else -1,
            aggregates=tuple(map(moved, window.aggregates)),
        )
        for window in windows
    )
    cut = WindowPlan(
        1, len(values), len(masks), len(slots), own, plan.lateness_ns, plan.unknown_is_negative, plan.own_time
    )
    retained_ns = max(window.delay_ns + window.length_ns for window in windows) + plan.lateness_ns
    return EntityCut(entity, cut, tuple(values), tuple(masks), tuple(slots), retained_ns, labelled)


def job_text(windows: WindowPlan, from_ns: int | None, version: str) -> str:
    """A process's job, as JSON: plans travel as text, so that no process runs what it is sent."""
    return json.dumps({"version": version, "from_ns": from_ns, "windows": asdict(windows)})


def plan_of(found: dict[str, Any]) -> WindowPlan:
    """The plan that `job_text` wrote; raises ValueError where it is none."""
    windows = tuple(
        Window(
            **{name: value for name, value in window.items() if name not in ("label", "aggregates")},
            label=LabelFilter(window["label"]),
            aggregates=tuple(Aggregate(Kind(a["kind"]), a["value"], a["slot"]) for a in window["aggregates"]),
        )
        for window in found["windows"]
    )
    return WindowPlan(**{name: value for name, value in found.items() if name != "windows"}, windows=windows)


def features_of_part(text: str, *pieces: Piece) -> tuple[Float, Bytes]:
    """The features of a share of an entity's rows, and their freshness: (m, features) each.

    text : of `job_text`
    pieces : its rows in order of arrival; rows of kind WATERMARK and outcomes have no features of their own, and
        events earlier than `from_ns` only fill the windows
    Raises ValueError where this process runs another version of homeostat.
    """
    import homeostat
    from homeostat.decide.windows.engine import Windows

    asked = json.loads(text)
    if asked["version"] != homeostat.__version__:
        raise ValueError(f"this process runs homeostat {homeostat.__version__}, it was asked by {asked['version']}")
    plan = plan_of(asked["windows"])
    windows = Windows(plan)
    made = [_advanced(windows, piece, asked["from_ns"]) for piece in pieces]
    if not made:
        return np.empty((0, plan.features)), np.empty((0, plan.features), np.uint8)
    return np.concatenate([values for values, _ in made]), np.concatenate([freshness for _, freshness in made])


def _advanced(windows: Any, piece: Piece, from_ns: int | None) -> tuple[Float, Bytes]:
    # Copies, because what lies in shared memory can't be written, and kernels would be compiled again for that.
    copies: list[Any] = [column.copy() for column in piece]
    time_ns, key, check, values, masks, label, tag, kind = copies
    n = len(time_ns)
    if len(label) != n:
        label, tag = np.full(n, np.nan), np.zeros(n, np.int64)
    asked = wanted(time_ns, kind, from_ns)
    key[kind == WATERMARK] = ABSENT_KEY
    kind[kind == WATERMARK] = Row.EVENT
    made, freshness = windows.advance(time_ns, key[:, None], check[:, None], values, masks, label, tag, kind)
    return (made, freshness) if asked.all() else (made[asked], freshness[asked])


def wanted(time_ns: Int, kind: Bytes, from_ns: int | None) -> NDArray[np.bool_]:
    """(n,) mask of the rows whose features are asked for."""
    rows: NDArray[np.bool_] = (kind == Row.EVENT) | (kind == Row.LATE_EVENT)
    return rows if from_ns is None else rows & (time_ns >= from_ns)


def share_of(key: Int, partitions: int) -> Int:
    """(n,) which partition each key belongs to, spread evenly whatever the keys are.

    Source: Steele, Lea, Flood (2014), OOPSLA, SplitMix64's finaliser.

    >>> share_of(np.arange(5), 3).tolist()
    [0, 1, 1, 2, 2]
    """
    word = key.astype(np.uint64)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return (word % np.uint64(partitions)).astype(np.int64)

"""The faults under which a version decides again: what may come in wrong, and what may be away.

Faults of fields change the events before the windows, as a sender with that fault would. Values stay within the
declared range, since the border refuses others. Chance depends on the app's seed and an event's id alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from homeostat.config.tree import App, FieldType
from homeostat.jobs.evaluation.deciding import Fault, Run, Truth
from homeostat.records.arrays import Float
from homeostat.records.events import EventBatch
from homeostat.records.features import Features, Freshness
from homeostat.stats.chance import uniform

FIELDS_MAX = 5  # That have a change of unit, or unknown categories, of their own.
FROZEN_MAX = 3
NOISE = (0.1, 0.5, 1.0)  # Of a field's standard deviation.
MISSING = (0.01, 0.1, 0.5)  # Of all values.
OUTLIERS = (0.001, 0.01, 0.1)  # Of all values, each this many times as large:
OUTLIER_FACTOR = 100.0
SHIFT = (0.5, 1.0, 2.0)  # Standard deviations.
UNITS = (0.01, 100.0)
UNKNOWN = (0.1, 0.5, 1.0)  # Of all values.
_STREAM = 97_000


@dataclass(frozen=True, slots=True)
class Column:
    """A numeric field: its place, declaration and standard deviation over the events."""

    place: int
    name: str
    declared: FieldType
    spread: float

    def within(self, values: Float) -> Float:
        """The values as the border lets them in."""
        low, high = self.declared.min, self.declared.max
        found = np.clip(values, -np.inf if low is None else low, np.inf if high is None else high)
        return np.round(found) if self.declared.type == "integer" else found


def faults(app: App, names: Sequence[str], truth: Truth, base: Run, unknown: float) -> Iterator[Fault]:
    """All faults of an app, from the mild to the strong of each kind.

    names : of the features; base : the decisions without a fault, with their features
    unknown : the code of a category that no event has
    """
    seed, columns = app.seed, _numeric(app, truth)
    if columns:
        yield from _of_numbers(seed, columns)
        for column in columns[:FIELDS_MAX]:
            for factor in UNITS:
                times = partial(_times, factor=factor)
                yield Fault("unit change", column.name, f"x {factor:g}", partial(_changed, columns=(column,), by=times))
    yield from _unknown_categories(app, seed, unknown)
    for share in MISSING:
        spoil = partial(_missing, seed=seed, share=share)
        yield Fault("missing values", "all features", f"{share:.0%} of values", features=spoil)
    for place in most_telling(base, read_by_scorers(app, names)):
        frozen = partial(_frozen, place=place, value=_first_known(base, place))
        yield Fault("frozen feature", names[place], "at its first value", features=frozen)
    for name in app.scorers:
        yield Fault("scorer away", name, "throughout", away=frozenset({name}))
    if len(app.scorers) > 1:
        yield Fault("scorer away", "all scorers", "throughout", away=frozenset(app.scorers))


def _numeric(app: App, truth: Truth) -> tuple[Column, ...]:
    found = []
    for place, (name, declared) in enumerate(app.events.fields.items()):
        if declared.type in ("number", "integer"):
            values = truth.numbers[:, place]
            known = values[np.isfinite(values)]
            found.append(Column(place, name, declared, float(known.std()) if len(known) else 0.0))
    return tuple(found)


def _of_numbers(seed: int, columns: tuple[Column, ...]) -> Iterator[Fault]:
    """Faults of all numeric fields at once."""
    named = columns[0].name if len(columns) == 1 else "all numbers"
    for strength in NOISE:
        change = partial(_changed, columns=columns, by=partial(_noisy, seed=seed, strength=strength))
        yield Fault("noise", named, _deviations(strength), change)
    for share in OUTLIERS:
        change = partial(_changed, columns=columns, by=partial(_outlying, seed=seed, share=share))
        yield Fault("outliers", named, f"{share:.1%} of values x {OUTLIER_FACTOR:g}", change)
    for strength in SHIFT:
        change = partial(_changed, columns=columns, by=partial(_shifted, strength=strength))
        yield Fault("shift", named, _deviations(strength), change)


def _deviations(strength: float) -> str:
    return f"{strength:g} standard deviation{'' if strength == 1.0 else 's'}"


def _unknown_categories(app: App, seed: int, unknown: float) -> Iterator[Fault]:
    """Only of fields that take any category: the border refuses others where the app file lists them."""
    fields = list(app.events.fields.items())
    open_ones = [(place, name) for place, (name, one) in enumerate(fields) if one.type == "category" and not one.values]
    for place, name in open_ones[:FIELDS_MAX]:
        for share in UNKNOWN:
            change = partial(_unknown, place=place, seed=seed, share=share, code=unknown)
            yield Fault("unknown categories", name, f"{share:.0%} of values", change)


# Changes of fields.


def _changed(
    events: EventBatch, columns: tuple[Column, ...], by: Callable[[Float, EventBatch, Column], Float]
) -> EventBatch:
    numbers = events.numbers.copy()
    for column in columns:
        values = numbers[:, column.place]
        numbers[:, column.place] = np.where(np.isnan(values), values, column.within(by(values, events, column)))
    return replace(events, numbers=numbers)


def _noisy(values: Float, events: EventBatch, column: Column, *, seed: int, strength: float) -> Float:
    """Source: Box, Muller (1958), for normal numbers."""
    one, other = (uniform(seed, events.id_code, _STREAM + 2 * column.place + k) for k in range(2))
    normal: Float = np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * other)
    return values + strength * column.spread * normal


def _outlying(values: Float, events: EventBatch, column: Column, *, seed: int, share: float) -> Float:
    hit = uniform(seed, events.id_code, _STREAM + 1_000 + column.place) < share
    return np.where(hit, values * OUTLIER_FACTOR, values)


def _shifted(values: Float, events: EventBatch, column: Column, *, strength: float) -> Float:
    return values + strength * column.spread


def _times(values: Float, events: EventBatch, column: Column, *, factor: float) -> Float:
    return values * factor


def _unknown(events: EventBatch, place: int, seed: int, share: float, code: float) -> EventBatch:
    numbers = events.numbers.copy()
    hit = uniform(seed, events.id_code, _STREAM + 2_000 + place) < share
    numbers[:, place] = np.where(hit & ~np.isnan(numbers[:, place]), code, numbers[:, place])
    return replace(events, numbers=numbers)


# Changes of features as served.


def _missing(events: EventBatch, features: Features, *, seed: int, share: float) -> Features:
    values, freshness = features.values.copy(), features.freshness.copy()
    for place in range(values.shape[1]):
        hit = uniform(seed, events.id_code, _STREAM + 3_000 + place) < share
        values[hit, place], freshness[hit, place] = np.nan, Freshness.ABSENT
    return replace(features, values=values, freshness=freshness)


def _frozen(events: EventBatch, features: Features, *, place: int, value: float) -> Features:
    values = features.values.copy()
    values[:, place] = value
    return replace(features, values=values)


def _first_known(base: Run, place: int) -> float:
    assert base.features is not None
    column = base.features[:, place]
    known = np.flatnonzero(~np.isnan(column))
    return float(column[known[0]]) if len(known) else np.nan


def read_by_scorers(app: App, names: Sequence[str]) -> list[int]:
    """The features that the scorers are declared to read; all, where one of them reads all."""
    wanted: set[str] = set()
    for spec in app.scorers.values():
        if spec.kind != "rules":  # Its conditions name what it reads; the others say.
            wanted |= set(names if spec.features is None else spec.features)
    return [place for place, name in enumerate(names) if name in wanted or not wanted]


def most_telling(base: Run, among: Sequence[int], most: int = FROZEN_MAX) -> list[int]:
    """The features whose order is most that of the risk, by the absolute rank correlation; ties by place.

    Source: Spearman (1904).
    """
    assert base.features is not None
    risk = _ranks(base.risk)
    scored = []
    for place in among:
        column = base.features[:, place]
        known = np.isfinite(column)
        if np.count_nonzero(known) > 1 and np.ptp(column[known]) > 0.0:
            scored.append((-abs(_correlation(_ranks(column[known]), risk[known])), place))
    return [place for _, place in sorted(scored)[:most]]


def _ranks(values: Float) -> Float:
    """Ranks of values without NaN; equal values share theirs."""
    distinct, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: Float = np.cumsum(counts) - 0.5 * (counts - 1)
    return middle[at] if len(distinct) else values


def _correlation(one: Float, other: Float) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / size) if size > 0.0 else 0.0


def unknown_code(truth: Truth) -> float:
    """A code that no category of the events has."""
    code = 1.0
    while code in truth.texts:
        code += 1.0
    return code

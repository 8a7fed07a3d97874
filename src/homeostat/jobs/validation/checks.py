"""The six checks of a table of measurements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from homeostat.jobs.validation.loading import Loaded
from homeostat.records.arrays import Float, Int, Mask

EXAMPLES_MAX = 5
_POSITIVE_LEAST = 0.99  # A metric with so many values of 0 and more is no difference: its negative values are faults.
_QUARTILES_LEAST = 8  # Values of a metric, for quartiles to mean something.
_GAP_STEPS = 1.5
_FROZEN_LEAST = 10
_FROZEN_CHANCE = 1e-6  # A run of equal values this unlikely, by how often the metric repeats a value, is a frozen one.


@dataclass(frozen=True, slots=True)
class Limits:
    """How strict the checks are.

    missing_max : the share of a column's cells that may be missing
    iqr : outliers lie so many times the distance of the quartiles below the first or above the third one (Tukey 1977)
    """

    missing_max: float = 0.0
    iqr: float = 3.0


@dataclass(slots=True)
class Check:
    """One check.

    rows : how many rows fail it
    examples : some of them, each with row (from 0), column, value and why
    """

    name: str
    passed: bool = True
    rows: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    faulty: dict[str, Mask] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "passed": self.passed, "rows": self.rows, "examples": self.examples}


def checks_of(table: Loaded, limits: Limits, again: Mask) -> list[Check]:
    """All six, in the order in which they build on each other. again : see `repeated`"""
    return [
        _schema(table), _ranges(table), _missing(table, limits), _order(table, again), _outliers(table, limits),
        _steady(table),
    ]  # fmt: skip


def _made(table: Loaded, name: str, found: Iterator[tuple[str, Mask, str]]) -> Check:
    """A check from its findings: column, the rows and why."""
    check, rows = Check(name), np.zeros(table.rows, np.bool_)
    for column, faulty, why in found:
        if not faulty.any():
            continue
        check.passed = False
        rows |= faulty
        check.faulty[column] = check.faulty.get(column, np.zeros(table.rows, np.bool_)) | faulty
        for row in np.flatnonzero(faulty)[: EXAMPLES_MAX - len(check.examples)].tolist():
            value = table.cell(column, row) if column in table.whole.column_names else None
            check.examples.append({"row": row, "column": column, "value": _plain(value), "why": why})
    check.rows = int(rows.sum())
    return check


def _plain(value: object) -> object:
    """A value that JSON can hold."""
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _schema(table: Loaded) -> Check:
    check = _made(table, "schema", ((name, odd, "is not of the column's type") for name, odd in table.odd.items()))
    for name in table.absent:
        check.passed = False
        check.examples.append({"row": None, "column": name, "value": None, "why": "the column is needed and not there"})
    return check


def _ranges(table: Loaded) -> Check:
    def found() -> Iterator[tuple[str, Mask, str]]:
        for name, values in table.metrics.items():
            wanted = table.wanted.get(name)
            yield name, np.isinf(values), "is infinite"
            finite = np.isfinite(values)
            low, high = (wanted.low, wanted.high) if wanted else (None, None)
            if low is not None:
                yield name, finite & (values < low), f"is below {low:g}"
            elif finite.any() and (values[finite] >= 0).mean() >= _POSITIVE_LEAST:
                yield name, finite & (values < 0), "is negative, while nearly all others are not"
            if high is not None:
                yield name, finite & (values > high), f"is above {high:g}"
        for name, texts in table.texts.items():
            wanted = table.wanted.get(name)
            if wanted and wanted.values is not None:
                known = np.isin(np.asarray(pc.fill_null(texts, ""), object), [*wanted.values, ""])
                yield name, ~known, f"is none of {', '.join(wanted.values)}"

    return _made(table, "ranges", found())


def _missing(table: Loaded, limits: Limits) -> Check:
    def found() -> Iterator[tuple[str, Mask, str]]:
        for name in table.whole.column_names:
            absent = table.whole.column(name).combine_chunks().is_null(nan_is_null=True)
            faulty = absent.to_numpy(zero_copy_only=False)
            if faulty.mean() > limits.missing_max:
                yield name, faulty, f"is missing; so are {faulty.mean():.2%} of the column"

    return _made(table, "missing", found())


def _order(table: Loaded, again: Mask) -> Check:
    return _made(table, "duplicates and order", _found_order(table, again))


def _found_order(table: Loaded, again: Mask) -> Iterator[tuple[str, Mask, str]]:
    first = table.time or table.whole.column_names[0]
    key = "time and entity" if table.entities else "time" if table.times is not None and not table.texts else "row"
    yield first, again, f"the {key} was there before"
    if table.times is not None:
        yield first, _backwards(table.times, table.entity), "is earlier than a row before it"


def repeated(table: Loaded) -> Mask:
    """Rows whose time and entity were there before, (n,).

    Without times, and where texts may name a series that nobody has named, the whole row has to be the same.
    """
    if table.times is None or (not table.entities and table.texts):
        keys = [np.unique(_bits(values), return_inverse=True)[1] for values in table.metrics.values()]
        keys += [pc.fill_null(one, "").dictionary_encode().indices.to_numpy() for one in table.texts.values()]
        keys += [] if table.times is None else [table.times]
        usable = np.ones(table.rows, np.bool_)
    else:
        keys, usable = [table.times, table.entity], table.times >= 0
    if not keys:
        return np.zeros(table.rows, np.bool_)
    order = np.lexsort([np.arange(table.rows), *keys])
    same = np.ones(table.rows, np.bool_)
    same[0] = False
    for one in keys:
        placed = np.asarray(one)[order]
        same[1:] &= placed[1:] == placed[:-1]
    found = np.zeros(table.rows, np.bool_)
    found[order] = same
    return found & usable


def _bits(values: Float) -> Int:
    """Numbers by their bits, so that a missing one equals a missing one."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def _backwards(times: Int, entity: Int) -> Mask:
    """Rows that come before an earlier row of their entity."""
    order = np.lexsort([np.arange(len(times)), entity])
    order = order[times[order] >= 0]
    placed, starts = times[order], np.r_[True, np.diff(entity[order]) != 0]
    latest = placed.copy()
    for begin, end in zip(np.flatnonzero(starts), [*np.flatnonzero(starts)[1:], len(order)], strict=True):
        latest[begin:end] = np.maximum.accumulate(placed[begin:end])
    found = np.zeros(len(times), np.bool_)
    found[order] = placed < latest
    return found


def _outliers(table: Loaded, limits: Limits) -> Check:
    def found() -> Iterator[tuple[str, Mask, str]]:
        for name, values in table.metrics.items():
            faulty, low, high = np.zeros(table.rows, np.bool_), np.inf, -np.inf
            for rows in _of_entities(table):
                usable = rows[np.isfinite(values[rows])]
                if len(usable) < _QUARTILES_LEAST:
                    continue
                first, third = np.quantile(values[usable], [0.25, 0.75])
                reach = limits.iqr * (third - first)
                if not reach:
                    continue  # Half of the values are equal: quartiles say nothing of the others.
                faulty[usable] = (values[usable] < first - reach) | (values[usable] > third + reach)
                low, high = min(low, float(first - reach)), max(high, float(third + reach))
            yield (
                name,
                faulty,
                f"lies outside of {low:g} to {high:g}: {limits.iqr:g} quartile distances",
            )

    return _made(table, "outliers", found())


def _of_entities(table: Loaded) -> list[Int]:
    """The rows of each entity, in their order."""
    order = np.argsort(table.entity, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(table.entity[order])) + 1)


def _steady(table: Loaded) -> Check:
    return _made(table, "gaps and frozen values", _found_steady(table))


def _found_steady(table: Loaded) -> Iterator[tuple[str, Mask, str]]:
    if table.times is not None and table.time is not None:
        faulty, step_s = np.zeros(table.rows, np.bool_), 0.0
        for rows in _of_entities(table):
            rows = rows[table.times[rows] >= 0]
            rows = rows[np.argsort(table.times[rows], kind="stable")]
            apart = np.diff(table.times[rows])
            if not (apart > 0).any():
                continue
            step = float(np.median(apart[apart > 0]))
            faulty[rows[1:][apart > _GAP_STEPS * step]] = True
            step_s = step / 1e9
        yield table.time, faulty, f"rows before it are missing: the usual step is {step_s:g} s"
    for name, values in table.metrics.items():
        faulty = np.zeros(table.rows, np.bool_)
        for rows in _of_entities(table):
            faulty[rows] |= frozen(values[rows])
        yield name, faulty, "is the same too long"


def frozen(values: Float) -> Mask:
    """Rows of runs of equal values that are too long for a metric that repeats itself as often as this one, (n,)."""
    found = np.zeros(len(values), np.bool_)
    if len(values) < _FROZEN_LEAST:
        return found
    change = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])  # A missing value equals none.
    lengths = np.diff(np.r_[change, len(values)])
    longest = lengths.max()
    others = len(values) - longest
    repeats = (lengths - 1).sum() - (longest - 1)
    share = max(repeats / others, 1.0 / len(values)) if others else 1.0
    least = _FROZEN_LEAST if not others else max(_FROZEN_LEAST, np.log(_FROZEN_CHANCE) / np.log(min(share, 0.999)))
    for start, length in zip(change[lengths >= least], lengths[lengths >= least], strict=True):
        found[start : start + length] = True
    return found

"""Categories as numbers that models can learn from: one definition, for training and serving.

A category reaches the app's stages as a code, which only says whether two are the same. A model that splits or scales
codes learns from the hash's order, which means nothing. So a part of a bundle says, by the categories' texts, which
numbers stand for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.parts import PartError

SETTING = "categories"
"""The setting of a part that holds its encodings."""

ONE_HOT, TARGET, FREQUENCY = "one_hot", "target", "frequency"
VALUES_MAX = 1 << 16
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the categories of one feature become numbers. A missing one stays missing.

    kind : one_hot is a column for each category, 1 for it and 0 else, and one for all other categories; target and
        frequency are one column
    values : the categories that have numbers of their own, the most frequent first
    numbers : theirs, where there is one column
    other : the number of all other categories there
    """

    kind: str
    values: tuple[str, ...]
    numbers: tuple[float, ...] = ()
    other: float = 0.0

    @property
    def width(self) -> int:
        """How many columns it makes."""
        return len(self.values) + 1 if self.kind == ONE_HOT else 1

    def table(self) -> Float:
        """(values + 1, width) the numbers of each category; the last row is that of every other one."""
        if self.kind == ONE_HOT:
            return np.eye(self.width)
        return np.array([*self.numbers, self.other])[:, None]

    def columns(self, feature: str) -> list[str]:
        """Names of its columns, which no feature of an app can have.

        >>> Encoding(ONE_HOT, ("DE", "FR")).columns("country")
        ['country.0', 'country.1', 'country.other']
        """
        if self.kind == ONE_HOT:
            return [*(f"{feature}.{place}" for place in range(len(self.values))), f"{feature}.other"]
        return [f"{feature}.{self.kind}"]

    def written(self) -> dict[str, Any]:
        """Plain JSON values."""
        if self.kind == ONE_HOT:
            return {"kind": self.kind, "values": list(self.values)}
        return {"kind": self.kind, "values": list(self.values), "numbers": list(self.numbers), "other": self.other}


def written(encodings: Mapping[str, Encoding]) -> dict[str, Any]:
    """The encodings of a part by feature, as its setting."""
    return {"version": _VERSION, "features": {name: one.written() for name, one in encodings.items()}}


def read(setting: Any, features: Sequence[str]) -> dict[str, Encoding]:
    """The encodings of a part that reads these features; raises PartError where they are none."""
    if not isinstance(setting, dict) or setting.keys() != {"version", "features"}:
        raise PartError("a part's categories need a version and features")
    version, found = setting["version"], setting["features"]
    if type(version) is not int or version != _VERSION:
        raise PartError(f"a part's categories have version {version!r}; this version reads {_VERSION}")
    if not isinstance(found, dict) or not found:
        raise PartError("a part's categories must be a mapping by feature")
    for name in found:
        if name not in features:
            raise PartError(f"a part has categories of {name!r}, which it does not read")
    return {name: _encoding(name, entry) for name, entry in found.items()}


def _encoding(name: str, entry: Any) -> Encoding:
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if kind not in (ONE_HOT, TARGET, FREQUENCY):
        raise PartError(f"the categories of {name!r} are of an unknown kind {kind!r}")
    if entry.keys() != ({"kind", "values"} if kind == ONE_HOT else {"kind", "values", "numbers", "other"}):
        raise PartError(f"the categories of {name!r} have other entries than {kind} has")
    values = entry["values"]
    if not isinstance(values, list) or len(values) > VALUES_MAX or not all(isinstance(text, str) for text in values):
        raise PartError(f"the categories of {name!r} must be a list of at most {VALUES_MAX:,} texts")
    if len(set(values)) != len(values):
        raise PartError(f"the categories of {name!r} hold a text twice")
    if kind == ONE_HOT:
        return Encoding(kind, tuple(values))
    numbers = entry["numbers"]
    if not isinstance(numbers, list) or len(numbers) != len(values) or not _finite([*numbers, entry["other"]]):
        raise PartError(f"the categories of {name!r} need a finite number each, and one for all others")
    return Encoding(kind, tuple(values), tuple(numbers), entry["other"])


def _finite(numbers: list[Any]) -> bool:
    return all(isinstance(number, float) and abs(number) < np.inf for number in numbers)


class Encoder:
    """Turns features into the columns that a model sees: numbers as they are, categories by their encodings.

    names : of the columns
    """

    def __init__(
        self, features: Sequence[str], sources: Int, encodings: Mapping[str, Encoding], code: Callable[[str], float]
    ) -> None:
        """features : that the model reads, in order
        sources : (features,) which columns of what it is given they are
        code : a category's text -> its code
        """
        names: list[str] = []
        owners: list[int] = []
        widths, starts, codes, tables = [], [0], [np.empty(0)], [np.empty(0)]
        places: list[Int] = [np.empty(0, np.int64)]
        for k, name in enumerate(features):
            encoding = encodings.get(name)
            columns = [name] if encoding is None else encoding.columns(name)
            names += columns
            owners += [k] * len(columns)
            widths.append(0 if encoding is None else encoding.width)
            if encoding is not None:
                # Of two texts with one code the first counts: they are one category wherever they come from.
                known, first = np.unique([code(text) for text in encoding.values], return_index=True)
                table = encoding.table()
                offset = sum(len(part) for part in tables)
                codes.append(known.astype(np.float64))
                places.append(offset + np.append(first, len(encoding.values)).astype(np.int64) * encoding.width)
                tables.append(table.ravel())
            starts.append(starts[-1] + (0 if encoding is None else len(codes[-1])))
        self.names = tuple(names)
        self.owners: Int = sources[np.array(owners, np.int64)]
        self._sources = np.ascontiguousarray(sources, np.int64)
        self._widths, self._starts = np.array(widths, np.int64), np.array(starts, np.int64)
        self._codes, self._tables = np.concatenate(codes), np.concatenate(tables)
        self._places: Int = np.concatenate(places)

    def encode(self, values: Float) -> Float:
        """(n, columns) of `values` (n, all features); each row by itself."""
        out: Float = np.empty((len(values), len(self.names)))
        _encode(
            values, self._sources, self._widths, self._starts, self._codes, self._places, self._tables, out
        )  # fmt: skip
        return out


@compiled
def _encode(
    values: Float, sources: Int, widths: Int, starts: Int, codes: Float, places: Int, tables: Float, out: Float
) -> None:
    """The codes of feature k are codes[starts[k] : starts[k + 1]], ascending. Its places are those, and one for others.

    A width of 0 says that a feature is a number.
    """
    for row in range(len(values)):
        at, encoded = 0, 0
        for k in range(len(sources)):
            x, width = values[row, sources[k]], widths[k]
            if width == 0:
                out[row, at] = x
                at += 1
                continue
            low, end = starts[k], starts[k + 1]
            high = end
            while low < high:
                middle = (low + high) // 2
                if codes[middle] < x:
                    low = middle + 1
                else:
                    high = middle
            known = low < end and codes[low] == x
            place = places[(low if known else end) + encoded]
            for j in range(width):
                out[row, at + j] = tables[place + j] if x == x else np.nan
            at += width
            encoded += 1

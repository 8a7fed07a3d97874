"""The rows that trainers learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import HomeostatError
from homeostat.records.arrays import Float, Int

UNSUPERVISED = ("isolation_forest", "reconstruction", "profile")
"""Kinds of scorers that learn without outcomes."""

Progress: TypeAlias = Callable[[str, float], None]


def silent(_what: str, _share: float) -> None:
    """Progress that nobody watches."""


class NothingToLearn(HomeostatError, ValueError):
    """Rows that nothing can be learned from; the text says what is missing."""

    why = "models need events of both outcomes, old enough for either to be known"
    remedy = "Give more events, or their outcomes"


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """`n` decided or recorded events with the features as they were served, and their outcomes.

    names : of the features
    x : (n, features) float64, NaN where a feature had no value
    y : (n,) 1 positive, 0 negative, both there; or NaN in every row, for what learns without outcomes
    time_ns : (n,) event time
    id_code : (n,)
    groups : (n,) an entity's key code (a customer): rows of one group never sit on both sides of a fold
    categories : the features whose values are categories' codes
    texts : the text of each code; a category without one counts among the rare
    people : (n, 3) the value of the field of groups, and the cost of selecting this row, were it negative, and of
        missing it, were it positive; None where thresholds by group are not asked for
    """

    names: tuple[str, ...]
    x: Float
    y: Float
    time_ns: Int
    id_code: Int
    groups: Int
    categories: frozenset[str] = frozenset()
    texts: Mapping[float, str] = field(default_factory=dict)
    people: Float | None = None

    def __post_init__(self) -> None:
        n = len(self.y)
        if self.x.shape != (n, len(self.names)) or {len(self.time_ns), len(self.id_code), len(self.groups)} != {n}:
            raise ValueError("a training set's columns differ in length")
        if n == 0:
            raise NothingToLearn("a training set needs rows")
        if self.labelled and (not np.isin(self.y, (0.0, 1.0)).all() or not 0 < self.y.sum() < n):
            raise NothingToLearn(
                f"a training set needs positive and negative outcomes, and no others: of {n:,} rows "
                f"{np.count_nonzero(self.y == 1.0):,} are positive and {np.count_nonzero(self.y == 0.0):,} negative"
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def labelled(self) -> bool:
        """Whether the rows have outcomes."""
        return not np.isnan(self.y).all()

    def columns(self, names: tuple[str, ...] | None) -> tuple[tuple[str, ...], Float]:
        """The named columns, all when None; raises KeyError for an unknown one."""
        if names is None:
            return self.names, self.x
        at = {name: index for index, name in enumerate(self.names)}
        return names, np.ascontiguousarray(self.x[:, [at[name] for name in names]])

    def rows(self, chosen: NDArray[np.generic]) -> TrainingSet:
        """A part of the rows, by index or mask."""
        columns = {name: getattr(self, name)[chosen] for name in ("x", "y", "time_ns", "id_code", "groups")}
        return replace(self, **columns, people=None if self.people is None else self.people[chosen])


@dataclass(frozen=True, slots=True)
class ScorerTask:
    """One scorer to train: what kind, on which features (all when None), with which settings."""

    name: str
    kind: str
    features: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FusionTask:
    """How the scorers' scores are to be fused.

    members : the fusions that an ensemble combines
    also : fusions that are trained beside it
    """

    kind: str = "learned"
    settings: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] = ("weighted", "learned")
    also: tuple[str, ...] = ()

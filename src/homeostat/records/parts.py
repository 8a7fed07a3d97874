"""One trained part of a model bundle: arrays and numbers, never code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import HomeostatError

Setting: TypeAlias = float | int | str | bool | tuple[float, ...]
Settings: TypeAlias = Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the models that a trainer makes and a stage serves.

    kind : which stage understands it, such as `isolation_forest`
    features : names of its input columns, in order; for a fusion, the scorers' names
    arrays : numbers by name
    graphs : ONNX files by name, as bytes
    settings : plain JSON values: how it was trained and what its server must know
    """

    kind: str
    features: tuple[str, ...]
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    graphs: Mapping[str, bytes] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


class PartError(HomeostatError, ValueError):
    """A part does not hold what its kind says it holds; the text says what is wrong."""

    why = "a bundle's files fit together and fit the app, or it is refused"
    remedy = "Train the bundle again with homeostat train"

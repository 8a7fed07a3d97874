"""Responses, plans and rulings as JSON, and back. A figure that is not known stays NaN in stored text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np

from homeostat.records.findings import Findings
from homeostat.records.plans import Plan, Ruling
from homeostat.records.responses import Response

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ruled:
    """A plan, the findings that it rests on, and the last ruling on it."""

    plan: Plan
    findings: Findings
    ruling: Ruling


def stored_text(record: Response | Ruled) -> str:
    """A record as JSON, the same for the same content.

    >>> read_stored(stored_text(Response("i1", 3)), Response) == Response("i1", 3)
    True
    """
    plain = msgspec.to_builtins(record, enc_hook=_plain)
    return json.dumps(plain, separators=(",", ":"), sort_keys=True)


def _plain(value: Any) -> Any:
    """A figure or a column of NumPy as Python has it; findings and rehearsals come with such."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} can't be stored")


def read_stored(text: str | bytes, kind: type[T]) -> T:
    """The record of such a text. Raises ValueError where it is none."""
    try:
        return read_dict(json.loads(text), kind)
    except RecursionError as error:
        raise ValueError("the record is nested too deep") from error


def read_dict(found: object, kind: type[T]) -> T:
    """The record of such a JSON value. Raises ValueError where it is none."""
    try:
        return msgspec.convert(found, kind)
    except (msgspec.ValidationError, TypeError, OverflowError) as error:
        raise ValueError(f"this is no {kind.__name__.lower()}: {error}") from error


def shown_plan(plan: Plan) -> dict[str, Any]:
    """A plan as people get it, with its hash. A figure that is not known is null."""
    found: dict[str, Any] = _shown(msgspec.to_builtins(plan, enc_hook=_plain))
    return {"hash": plan.hash, **found}


def shown_ruling(ruling: Ruling) -> dict[str, Any]:
    """A ruling as people get it."""
    found: dict[str, Any] = _shown(msgspec.to_builtins(ruling, enc_hook=_plain))
    return {"ruling": found.pop("tier"), **found}


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list | tuple) else value

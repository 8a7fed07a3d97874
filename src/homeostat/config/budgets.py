"""Budgets of the app file: how many in which span, such as `1 per 30d`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from homeostat.config.scalars import duration_ns

_BUDGET = re.compile(r"^\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s+per\s+([0-9.]+\s*(?:ms|s|m|h|d|w))\s*$")


def budget_of(text: str) -> tuple[float, int]:
    """How many are allowed, and in which span in nanoseconds. Raises ValueError with a sentence.

    >>> budget_of("1 per 30d") == (1.0, 30 * 86_400 * 10**9)
    True
    """
    match = _BUDGET.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a budget: write a number and a span, as in 1 per 30d")
    count, span_ns = float(match[1]), duration_ns(match[2])
    if count <= 0 or span_ns <= 0:
        raise ValueError("a budget is more than none in more than no time")
    return count, span_ns


def _budget(text: str) -> str:
    budget_of(text)
    return text


Budget = Annotated[str, AfterValidator(_budget), Field(pattern=_BUDGET.pattern)]

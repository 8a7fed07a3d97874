"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter, validators

Json: TypeAlias = Annotated[bool, Parameter("--json", negative="", help="Print the result as JSON.")]
Bundle: TypeAlias = Annotated[Path | None, Parameter(help="A trained bundle; the shipped one when absent.")]
Instant: TypeAlias = Annotated[str | None, Parameter(help="An ISO 8601 time; without a zone it is UTC.")]
Until: TypeAlias = Annotated[str, Parameter(help="The moment of training: only what is known by then counts.")]
Outcomes: TypeAlias = Annotated[
    Path | None, Parameter(help="A file of event_id, label and time: when each became known.")
]
Decisions: TypeAlias = Annotated[
    Path | None,
    Parameter(help="The decisions.parquet of an export: the silence of events that were blocked teaches nothing."),
]
STORABLE = validators.Number(gte=-(10**15), lte=10**15)
"""Checks a number that goes into a store; databases hold 64 bits."""
Stored: TypeAlias = Annotated[int, Parameter(validator=STORABLE)]

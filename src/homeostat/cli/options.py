"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

Json: TypeAlias = Annotated[bool, Parameter("--json", negative="", help="Print the result as JSON.")]
Bundle: TypeAlias = Annotated[Path | None, Parameter(help="A trained bundle; the shipped one when absent.")]
Instant: TypeAlias = Annotated[str | None, Parameter(help="An ISO 8601 time; without a zone it is UTC.")]

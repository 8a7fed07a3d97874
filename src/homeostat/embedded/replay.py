"""Decides on recorded events, as they would have been decided when they happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str, float], None]
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """What to replay.

    train_from_ns, train_until_ns : learn at `train_until_ns` from the events since `train_from_ns`, and decide from
        then on; None decides from the first event with the bundle
    until_ns : stop before the first event at or after this
    """

    events: Path
    out: Path
    outcomes: Path | None = None
    bundle: Path | None = None
    train_from_ns: int | None = None
    train_until_ns: int | None = None
    until_ns: int | None = None
    chunk_rows: int = _CHUNK_ROWS

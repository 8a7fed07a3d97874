"""How outcomes come, by a file of them: how late, and whether good ones are reported too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from homeostat.adapters.disk.event_lines import EventFileError
from homeostat.adapters.disk.event_samples import sample_events
from homeostat.decide.intake.times import time_of_seconds, time_of_text
from homeostat.jobs.profiles import Role, profile

_OUTCOMES_MAX = 200_000
_DAYS = (1, 2, 3, 7, 14, 30, 45, 60, 90, 120, 180, 365)  # Horizons that a person would write.
_NS = 10**9
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Reported:
    """How outcomes come.

    horizon_days : a round number of days within which nearly all came; 30 where their times are not known
    late_days : within how many days 99 of 100 came; NaN without times
    negatives : whether good outcomes are reported, too
    label : the name of the label's column
    """

    horizon_days: int
    late_days: float
    negatives: bool
    label: str

    def lines(self) -> Iterator[str]:
        """The lines of an app file's `outcomes`."""
        if np.isnan(self.late_days):
            yield "  horizon: 30d  # Outcomes come within this time: the file has no times. Put in yours."
        else:
            seen = f"in the file, 99 of 100 do within {self.late_days:.1f} days"
            yield f"  horizon: {self.horizon_days}d  # Outcomes come within this time: {seen}."
        if self.negatives:
            yield "  unknown: skip  # Good outcomes are reported, too: no report says nothing."
        else:
            yield "  unknown: negative  # The file has positives alone: silence for so long means that all was well."


def reported(
    path: Path, id: str, time: str, ids: pa.ChunkedArray, event_s: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> Reported:
    """The outcomes of a file, held against the events that a draft is made of.

    id, time : the names of these columns of the events, which a file of outcomes may use, too
    ids : (n,) of the events; event_s : (n,) their times in seconds
    Raises EventFileError where it has no id and label, or is about other events.
    """
    table = sample_events(path, _OUTCOMES_MAX)
    own_id = next((name for name in (id, "event_id") if name in table.column_names), None)
    own_time = next((name for name in (time, "time") if name in table.column_names), None)
    label = "label" if "label" in table.column_names else _label_of(table)
    if own_id is None or label is None:
        raise EventFileError(
            f"{path} lacks {'an id' if own_id is None else 'a label'}: a file of outcomes has event_id, label (1 or 0) "
            f"and time, when each became known. It has {', '.join(table.column_names)}"
        )
    place = {str(one): row for row, one in enumerate(ids.to_pylist())}
    rows = np.array([place.get(str(one), -1) for one in table[own_id].to_pylist()], np.int64)
    if not (rows >= 0).any():
        raise EventFileError(
            f"{path} holds outcomes of none of the first {len(place):,} events: give the file of the same events"
        )
    positive = np.array([str(one).lower() in ("1", "1.0", "true") for one in table[label].to_pylist()])
    late = np.full(1, np.nan)
    if own_time is not None:
        late = (seconds_of(table[own_time])[rows >= 0] - event_s[rows[rows >= 0]]) / _DAY_S
        late = late[np.isfinite(late) & (late >= 0)]
    days = float(np.quantile(late, 0.99)) if len(late) else float("nan")
    return Reported(_round(days), days, bool((~positive).mean() > 0.01), label)


def _label_of(table: pa.Table) -> str | None:
    """A column that seems to be the label, under a name that an app file may give it."""
    found = [one.name for one in profile(table) if one.role is Role.LABEL]
    return next((name for name in found if re.fullmatch("[a-z][a-z0-9_]{0,62}", name)), None)


def _round(days: float) -> int:
    return 30 if np.isnan(days) else next((one for one in _DAYS if one >= days), int(np.ceil(days)))


def seconds_of(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(n,) seconds since 1970, NaN where there is none."""
    if pa.types.is_temporal(column.type):
        ns = column.cast(pa.timestamp("ns"), safe=False).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return np.asarray(ns, np.float64) / _NS
    out = np.full(len(column), np.nan)
    for row, value in enumerate(column.to_pylist()):
        if value is not None:
            ns = time_of_text(value) if isinstance(value, str) else time_of_seconds(float(value))
            out[row] = np.nan if ns is None else ns / _NS
    return out

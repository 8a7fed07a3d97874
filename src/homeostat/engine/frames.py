"""Decides the rows of a data frame: of pandas, Polars, PyArrow, or anything else that hands out an Arrow C stream.

None of these libraries is asked for: a frame says itself what it is, by the Arrow PyCapsule interface
(`__arrow_c_stream__`), and its answer is made by the library that it came from.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from homeostat.decide.intake.values import shown
from homeostat.errors import HomeostatError

if TYPE_CHECKING:
    from homeostat.engine.engine import Engine
    from homeostat.engine.isolating import Answer

_ROWS = 4096  # Decided together, as replay does.


class Rows(Sequence[object]):
    """Rows of Arrow arrays (not chunked), by column. One row by itself is an object of its values."""

    def __init__(self, columns: dict[str, Any], rows: int) -> None:
        self.columns, self._rows = columns, rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            start, stop, _ = at.indices(self._rows)
            return Rows({name: column[start:stop] for name, column in self.columns.items()}, max(0, stop - start))
        if not -self._rows <= at < self._rows:
            raise IndexError(at)
        return {name: _plain(column[at]) for name, column in self.columns.items()}


class FrameError(HomeostatError, ValueError):
    """A data frame whose rows can't be distinguished or read; no row of it was decided."""

    why = "the rows of a frame are decided by the names and types of its columns"
    remedy = "Give each column a name of its own and values of one type"


def _plain(value: Any) -> object:
    """A value of Python; a text that says of which type it is, where Python has none like it."""
    try:
        return value.as_py()
    except Exception:  # A time beyond the years that Python knows, nanoseconds without pandas.
        return f"<{value.type}>"


def decide_frame(engine: Engine, frame: Any) -> Any:
    """One row of answers for each row of a frame, in its order, as a frame of the same library.

    Columns: `event_id`, `time` (UTC), `action`, `action_index`, `proposed`, `risk`, `rule`, `fallback`, `late`,
    `duplicate`, a `score_` for each scorer, and `problem`: why a row is no event, else nothing.
    Raises FrameError.
    """
    table = _read(frame)
    names = table.schema.names
    answers: list[Answer] = []
    for part in table.combine_chunks().to_batches(_ROWS):
        answers += engine.answer_rows(Rows(dict(zip(names, part.columns, strict=True)), len(part)))
    return _like(frame, _table(answers, tuple(engine.parts.app.scorers)))


def _read(frame: Any) -> Any:
    """The frame as a table whose columns hold what they say they hold."""
    import pyarrow as pa

    try:
        table = pa.table(frame)
        table.validate(full=True)  # Else what is damaged inside would be followed to places out of memory.
    except MemoryError:
        raise
    except Exception as error:  # Each library has its own.
        raise FrameError(f"the frame can't be read ({shown(str(error))}): each column holds one type") from error
    names = table.schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FrameError(f"the frame has the column {', '.join(twice)} more than once: rename or drop the others")
    return table


def _table(answers: Sequence[Mapping[str, Any]], scorers: tuple[str, ...]) -> Any:
    import pyarrow as pa

    def column(name: str, kind: Any) -> Any:
        return pa.array([answer.get(name) for answer in answers], kind)

    times = np.array([answer.get("time", "NaT").removesuffix("Z") for answer in answers], "datetime64[ns]")
    columns = {
        "event_id": column("event_id", pa.string()),
        "time": pa.array(times, pa.timestamp("ns", "UTC")),
        "action": column("action", pa.string()),
        "action_index": column("action_index", pa.int16()),
        "proposed": column("proposed", pa.string()),
        "risk": column("risk", pa.float64()),
        "rule": column("rule", pa.string()),
        "fallback": column("fallback", pa.string()),
        "late": column("late", pa.bool_()),
        "duplicate": pa.array([None if "action" not in one else one.get("duplicate", False) for one in answers]),
    }
    for name in scorers:
        columns[f"score_{name}"] = pa.array([one.get("scores", {}).get(name) for one in answers], pa.float64())
    columns["problem"] = pa.array([_problem(answer) for answer in answers], pa.string())
    return pa.table(columns)


def _problem(answer: Mapping[str, Any]) -> str | None:
    return None if "action" in answer else str(answer.get("detail") or answer.get("title"))


def _like(frame: Any, table: Any) -> Any:
    """The table as a frame of the library that made `frame`; a PyArrow table where that is none of these."""
    library = type(frame).__module__.partition(".")[0]
    if library == "pandas":
        return table.to_pandas()
    if library == "polars":
        return sys.modules["polars"].from_arrow(table)
    return table

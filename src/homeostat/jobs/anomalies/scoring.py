"""Score a table of measurements block by block, with a detector for each entity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from homeostat.adapters.disk.table_files import TableError, TableFile
from homeostat.jobs.anomalies.writing import ScoresWriter
from homeostat.jobs.table_monitor.columns import TIMES, distinct, kind_of, numbers, texts_of
from homeostat.jobs.table_monitor.times import seconds_of
from homeostat.records.arrays import Float, Int, Mask
from homeostat.stats.series.detector import ALARMS_PER, SeriesDetector, SeriesError, SeriesScores
from homeostat.stats.series.shapes import MANY

_ONLY = "all"  # The entity of a table without a column of entities.


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what. time, entity : None where there is none."""

    time: str | None
    entity: str | None
    metrics: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(slots=True)
class Summary:
    """The findings in a table.

    alarms : runs of flagged rows, each with its entity, first and last row, highest score and foremost metric
    """

    columns: Columns
    rows: int = 0
    warming: int = 0
    flagged: int = 0
    entities: int = 0
    alarms: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rows": self.rows, "warming": self.warming, "flagged": self.flagged, "entities": self.entities,
            "time": self.columns.time, "entity": self.columns.entity, "metrics": list(self.columns.metrics),
            "ignored": list(self.columns.ignored), "alarms": self.alarms,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """How a table is scored.

    until_row : rows from 0 before this one only teach; None to score from the end of the warm-up
    until_s : the same by time, seconds since 1970
    threshold : the score that flags a row; None for the level that keeps to `alarms_per`
    """

    time: str | None = None
    entity: str | None = None
    until_row: int | None = None
    until_s: float | None = None
    threshold: float | None = None
    alarms_per: float = ALARMS_PER


class _Open:
    """The detector of one entity, the rows that were kept to teach it, and the alarm that it is in."""

    def __init__(self, detector: SeriesDetector, teach_first: bool) -> None:
        self.detector = detector
        self.alarm: dict[str, Any] | None = None
        self._taught: list[tuple[Float, Float | None]] | None = [] if teach_first else None

    def add_all(self, values: Float, times: Float | None, learnt: Mask) -> SeriesScores:
        """Scores of rows; those that only teach, up to the first that does not, are kept to be learned together."""
        if self._taught is None:
            return self.detector.add_all(values, times)
        first = len(learnt) if learnt.all() else int(np.argmin(learnt))
        if first:
            self._taught.append((values[:first], None if times is None else times[:first]))
        if first == len(learnt):
            return _unscored(values)
        taught, self._taught = self._taught, None
        if taught and not self.detector.freeze(np.concatenate([one for one, _ in taught])):
            for one, when in taught:
                self.detector.add_all(one, when)
        scores = self.detector.add_all(values[first:], None if times is None else times[first:])
        return _joined(_unscored(values[:first]), scores)


def _unscored(values: Float) -> SeriesScores:
    n, empty = len(values), np.full(values.shape, np.nan)
    return SeriesScores(np.zeros(n), np.zeros(n, np.bool_), np.zeros(n, np.bool_), empty, empty, np.zeros(values.shape))


def _joined(one: SeriesScores, other: SeriesScores) -> SeriesScores:
    return SeriesScores(*(np.concatenate([getattr(part, name.name) for part in (one, other)]) for name in fields(one)))


def score_table(path: Path, out: Path, options: Options, progress: Callable[[str, float], None]) -> Summary:
    """Score each row of a table from the rows of its entity before it, and write the scores.

    out : .csv or .parquet
    Raises TableError and SeriesError for tables and options that don't fit.
    """
    table = TableFile(path)
    columns = columns_of(table, options)
    summary = Summary(columns)
    known: dict[str, _Open] = {}
    with ScoresWriter(out, columns) as writer:
        for batch, share in table.blocks([name for name in table.names if name not in columns.ignored]):
            _score(batch, options, summary, known, writer)
            progress("anomalies", share)
    if not summary.rows:
        raise TableError(f"{path} has no row: there is nothing to score")
    summary.entities = len(known)
    return summary


def columns_of(table: TableFile, options: Options) -> Columns:
    """Time and entity as the options name them, else by their names; every other column of numbers is a metric."""
    for option, name in (("--time", options.time), ("--entity", options.entity)):
        if name is not None and name not in table.names:
            raise TableError(f"{option} {name}: {table.path} has no such column, but {', '.join(table.names)}")
    time = options.time or next((name for name in table.names if name.lower() in TIMES), None)
    rest = [name for name in table.names if name not in (time, options.entity)]
    first = next(table.blocks(rest), None) if rest else None
    if first is None:
        raise TableError(f"{table.path} has no row with a column of numbers: there is nothing to score")
    batch = first[0]
    metrics = [name for name in rest if kind_of(batch.column(rest.index(name)), table.untyped) == "number"]
    if not metrics:
        raise TableError(
            f"{table.path} has no column of numbers beside {time or 'its texts'}: there is nothing to score"
        )
    ignored = tuple(name for name in rest if name not in metrics)
    return Columns(time, options.entity, tuple(metrics), ignored)


def _score(
    batch: pa.RecordBatch, options: Options, summary: Summary, known: dict[str, _Open], writer: ScoresWriter
) -> None:
    columns, n, p = summary.columns, batch.num_rows, len(summary.columns.metrics)
    if not n:
        return
    values = np.column_stack([numbers(batch.column(name)) for name in columns.metrics])
    times = None if columns.time is None else seconds_of(batch.column(columns.time))
    names = pa.array([_ONLY] * n) if columns.entity is None else texts_of(batch.column(columns.entity))
    score, flag, scored = np.zeros(n), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    low, high, parts = np.full((n, p), np.nan), np.full((n, p), np.nan), np.zeros((n, p))
    first = summary.rows
    for entity, rows in _by_entity(names):
        one = known.get(entity)
        if one is None:
            detector = SeriesDetector(p, alarms_per=options.alarms_per, threshold=options.threshold)
            teaches = options.until_row is not None or options.until_s is not None
            one = known.setdefault(entity, _Open(detector, teaches and p > MANY))
        learnt = _only_teaches(first + rows, None if times is None else times[rows], options)
        try:
            got = one.add_all(values[rows], None if times is None else times[rows], learnt)
        except SeriesError as error:
            raise SeriesError(f"in the block of rows from {first:,}: {error}") from error
        score[rows] = np.where(learnt, 0.0, got.score)
        flag[rows] = got.flag & ~learnt
        scored[rows] = got.scored & ~learnt
        low[rows], high[rows] = got.low, got.high
        parts[rows] = np.where(learnt[:, None], 0.0, got.contributions)
        _follow(one, entity, first + rows, score[rows], flag[rows], parts[rows], summary)
    time = None if columns.time is None else batch.column(columns.time)
    writer.write(first, time, names, score, flag, scored, low, high, parts)
    summary.rows += n
    summary.flagged += int(flag.sum())
    summary.warming += int((~scored).sum())


def _by_entity(names: pa.Array) -> Iterator[tuple[str, Int]]:
    found, index = distinct(names)
    for place, name in enumerate(found):
        yield name, np.flatnonzero(index == place)
    missing = np.flatnonzero(index < 0)
    if len(missing):
        raise TableError(f"{len(missing):,} rows have no entity: fill the column in, or leave --entity out")


def _only_teaches(rows: Int, times: Float | None, options: Options) -> Mask:
    if options.until_row is not None:
        return rows < options.until_row
    if options.until_s is not None:
        if times is None or not np.isfinite(times).any():
            raise TableError("--train-until names a time, but the table has no times: name a row instead, or --time")
        return times < options.until_s
    return np.zeros(len(rows), np.bool_)


def _follow(one: _Open, entity: str, rows: Int, score: Float, flag: Mask, parts: Float, summary: Summary) -> None:
    """Gather runs of flagged rows as alarms, across blocks."""
    for k in np.flatnonzero(flag | np.r_[one.alarm is not None, flag[:-1]]):
        if not flag[k]:
            one.alarm = None
            continue
        if one.alarm is None:
            metric = summary.columns.metrics[int(np.argmax(parts[k]))]
            one.alarm = {"entity": entity, "row": int(rows[k]), "until": int(rows[k]), "score": 0.0, "metric": metric}
            summary.alarms.append(one.alarm)
        one.alarm["until"] = int(rows[k])
        one.alarm["score"] = max(one.alarm["score"], round(float(score[k]), 6))

"""A table against its reference, from two sources to one verdict: one pass over each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from homeostat.jobs.table_monitor.chunking import ByRows, ByValue, Outputs
from homeostat.jobs.table_monitor.columns import Coder, distinct
from homeostat.jobs.table_monitor.comparing import compared
from homeostat.jobs.table_monitor.estimator import Estimator, estimator_of, probabilities
from homeostat.jobs.table_monitor.judging import Judging, overall
from homeostat.jobs.table_monitor.options import Options, Parts, parts_of
from homeostat.jobs.table_monitor.reading import outputs, score_of
from homeostat.jobs.table_monitor.reference import Progress, Reference, read_reference
from homeostat.jobs.table_monitor.result import Monitored
from homeostat.jobs.table_monitor.source import Source
from homeostat.records.arrays import Bytes, Int
from homeostat.stats.drift.codes import CODES, counts
from homeostat.stats.drift.verdicts import SIZE


def silent(what: str, share: float) -> None:
    """Progress for nobody."""


def monitor_tables(
    analysis: Source, reference: Source, options: Options, progress: Progress = silent
) -> Monitored:  # fmt: skip
    """Compare `analysis` with `reference`. Raises TableError."""
    parts = parts_of(options, reference, analysis)
    known = read_reference(reference, options, parts, lambda what, share: progress(what, 0.4 * share))
    estimator = None
    if options.target is not None:
        progress("learning from the reference", 0.4)
        estimator = estimator_of(known, options, parts)
    reading = _Reading(known, estimator, options, parts)
    for batch, share in analysis.blocks(reading.wanted):
        reading.add(dict(zip(batch.schema.names, batch.columns, strict=True)), batch.num_rows)
        progress("reading the analysis", 0.5 + 0.5 * share)
    return _result(reading, known, estimator, options, parts)


class _Reading:
    """One pass over the analysis: histograms of its columns, and its chunks."""

    def __init__(self, known: Reference, estimator: Estimator | None, options: Options, parts: Parts) -> None:
        self.known, self.estimator, self.options, self.parts = known, estimator, options, parts
        self.coders: dict[str, Coder] = {
            name: column.coder for name, column in known.columns.items() if column.coder is not None
        }
        self.histograms = {name: np.zeros(CODES, np.int64) for name in parts.compared}
        self.rows = self.unscored = 0
        self.judging = Judging(estimator, options) if estimator is not None else None
        self._by = ByValue() if options.by is not None else None
        self._chunks = ByRows(options.chunk or known.chunk_rows)
        self.wanted = list(dict.fromkeys([*parts.compared, *parts.roles, *_named(options)]))

    def add(self, block: Mapping[str, pa.Array], n: int) -> None:
        """Take in the next rows."""
        features = self.estimator.features if self.estimator is not None else ()
        kept: dict[str, Bytes] = {}
        for name, coder in self.coders.items():
            codes = coder.codes(block[name])
            self.histograms[name] += counts(codes)
            if name in features:
                kept[name] = codes
        row = np.arange(self.rows, self.rows + n)
        self.rows += n
        if self.judging is not None and n:
            part = self._outputs(block, row, [kept[name] for name in features])
            self.unscored += int(np.isnan(part.score).sum())
            if self._by is not None:
                assert self.options.by is not None
                self._by.add(part, *distinct(block[self.options.by]))
            else:
                self._judge(self._chunks.add(part))

    def finish(self) -> None:
        """The chunks that are left."""
        self._judge(self._by.rest() if self._by is not None else self._chunks.rest())

    def _judge(self, chunks: Iterator[tuple[str | None, Outputs]]) -> None:
        assert self.judging is not None
        for value, chunk in chunks:
            self.judging.add(value, chunk)

    def _outputs(self, block: Mapping[str, pa.Array], row: Int, codes: Sequence[Bytes]) -> Outputs:
        estimator, labelled = self.estimator, self.parts.labelled
        if estimator is None or estimator.law is None:
            return outputs(block, self.options, row, labelled=labelled)
        together = np.stack(codes) if codes else np.empty((0, len(row)), np.uint8)
        q, outside = probabilities(estimator, score_of(block, self.options), together)
        return outputs(block, self.options, row, labelled=labelled, q=q, outside=outside)


def _named(options: Options) -> list[str]:
    return [name for name in (options.prediction, options.probability, options.by) if name is not None]


def _result(
    reading: _Reading, known: Reference, estimator: Estimator | None, options: Options, parts: Parts
) -> Monitored:  # fmt: skip
    columns = compared(known, reading.histograms, options.target)
    chunks = []
    if reading.judging is not None:
        reading.finish()
        chunks = reading.judging.chunks()
    verdict, sentence = overall(columns, chunks)
    bounds = {} if estimator is None else {name: asdict(one) for name, one in estimator.thresholds.items()}
    settings = {
        **asdict(options), "chunk": (options.chunk or known.chunk_rows) if options.by is None else None,
        "rows": reading.rows, "reference_rows": known.rows, "reference_sample": len(known.numbers), "size": SIZE,
        "estimator": None if estimator is None or estimator.law is None else
        {"features": list(estimator.features), "trees": estimator.law.trees},
        "columns_missing": list(parts.missing), "columns_added": list(parts.added),
    }  # fmt: skip
    return Monitored(verdict, sentence, columns, tuple(chunks), bounds, settings,
                     _warnings(reading, known, estimator, options, parts))  # fmt: skip


def _warnings(
    reading: _Reading, known: Reference, estimator: Estimator | None, options: Options, parts: Parts
) -> tuple[str, ...]:  # fmt: skip
    said = []
    if parts.missing:
        said.append(f"the analysis lacks columns of the reference: {_few(parts.missing)}")
    if parts.added:
        said.append(f"the reference lacks columns of the analysis: {_few(parts.added)}")
    skipped = [name for name, column in known.columns.items() if column.coder is None]
    if skipped and known.rows:
        said.append(f"lists and structures are not compared: {_few(skipped)}")
    if reading.unscored:
        said.append(_unscored(options.probability or options.prediction, reading.unscored, reading.rows))
    if estimator is not None and estimator.law is None:
        said.append(f"quality can't be estimated: {estimator.why}")
    return tuple(said)


def _unscored(name: str | None, unscored: int, rows: int) -> str:
    if unscored == rows:
        return f"{name} is missing in all {rows:,} rows of the analysis, so that no quality can be estimated"
    return f"{name} is missing in {unscored:,} of {rows:,} rows of the analysis: estimates and figures leave them out"


def _few(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" and more" if len(names) > most else "")

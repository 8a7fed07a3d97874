"""All that is kept of a reference: coders, histograms and a sample, and the realised figures of its chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from homeostat.jobs.table_monitor.chunking import ByRows, ByValue, Outputs
from homeostat.jobs.table_monitor.columns import Coder, coder_of, distinct
from homeostat.jobs.table_monitor.options import Options, Parts
from homeostat.jobs.table_monitor.reading import outputs
from homeostat.jobs.table_monitor.sampling import Sampler, rows_max
from homeostat.jobs.table_monitor.source import Source
from homeostat.records.arrays import Bytes, Float, Int, Mask
from homeostat.stats.drift.codes import CODES, counts
from homeostat.stats.drift.distance import own_variation
from homeostat.stats.label_free.estimates import ranked, realised

_BLOCKS = 12
_BLOCK_ROWS_MIN = 200
CHUNK = 5_000
LABELS_MIN = 50  # From fewer labels nothing is estimated.
_CHUNKS = 10  # A reference has at least so many, where nobody names the size of a chunk.
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Known:
    """One column of the reference.

    coder : None where the column can't be compared
    codes : (n,) of the sample; histogram : (256,) of them
    own : how far its blocks lie from each other, as a share of rows
    """

    coder: Coder | None
    codes: Bytes
    histogram: Int
    own: float


@dataclass(slots=True)
class Reference:
    """rows : of the whole table; columns : by name; sample : values by name, of the rows `numbers`.

    chunk_rows : rows of a chunk; chunks : realised figures of each, in order
    """

    rows: int
    columns: dict[str, Known]
    sample: dict[str, pa.Array]
    numbers: Int
    chunk_rows: int = CHUNK
    chunks: list[dict[str, float]] = field(default_factory=list)


def read_reference(source: Source, options: Options, parts: Parts, progress: Progress) -> Reference:
    """One pass over the reference."""
    wanted = list(dict.fromkeys([*parts.compared, *_outputs(options, source)]))
    sampler = Sampler(rows_max(len(wanted)))
    realising = _Realising(options, source) if options.target is not None else None
    for batch, share in source.blocks(wanted):
        first = sampler.seen
        sampler.add(batch)
        if realising is not None:
            realising.add(_columns(batch), np.arange(first, first + batch.num_rows))
        progress("reading the reference", share)
    sample, numbers = sampler.sample()
    blocks = _blocks(len(numbers))
    known = {
        name: _known(name, sample[name], blocks, source.untyped) if sample else _unknown() for name in parts.compared
    }
    found = Reference(sampler.seen, known, sample, numbers)
    if realising is not None:
        found.chunk_rows, found.chunks = realising.result()
    return found


def _outputs(options: Options, source: Source) -> list[str]:
    names = [options.prediction, options.probability, options.target]
    names += [options.by] if options.by in source.names else []
    return [name for name in names if name is not None]


def _columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def _blocks(rows: int) -> Int:
    """The block of each row of the sample, (n,)."""
    many = min(_BLOCKS, rows // _BLOCK_ROWS_MIN)
    return np.arange(rows) * max(many, 1) // max(rows, 1)


def _known(name: str, column: pa.Array, blocks: Int, untyped: bool) -> Known:
    coder = coder_of(name, column, untyped)
    if coder is None:
        return _unknown()
    codes = coder.codes(column)
    many = int(blocks[-1]) + 1 if len(blocks) else 1
    by_block = np.bincount(blocks * CODES + codes, minlength=many * CODES).reshape(many, CODES)
    return Known(coder, codes, counts(codes), own_variation(by_block, coder.kind == "number"))


def _unknown() -> Known:
    return Known(None, np.empty(0, np.uint8), np.zeros(CODES, np.int64), 0.0)


class _Realising:
    """The realised figures of the reference's chunks. Without a size of chunks, the first rows wait for one."""

    def __init__(self, options: Options, source: Source) -> None:
        self._options = options
        self._by = ByValue() if options.by is not None and options.by in source.names else None
        self._rows: ByRows | None = ByRows(options.chunk) if options.chunk is not None else None
        if self._rows is None and self._by is None and source.rows is not None:
            self._rows = ByRows(usual_chunk(source.rows))
        self._waiting: list[Outputs] = []
        self._seen = 0
        self._found: list[dict[str, float]] = []
        self._sizes: list[int] = []

    def add(self, block: dict[str, pa.Array], row: Int) -> None:
        part = outputs(block, self._options, row, labelled=True)
        self._seen += len(part)
        if self._by is not None:
            assert self._options.by is not None
            self._by.add(part, *distinct(block[self._options.by]))
        elif self._rows is not None:
            self._take(part)
        else:
            self._waiting.append(part)
            if self._seen >= CHUNK * _CHUNKS:
                self._begin()

    def _begin(self) -> None:
        self._rows = ByRows(usual_chunk(self._seen))
        for part in self._waiting:
            self._take(part)
        self._waiting = []

    def _take(self, part: Outputs) -> None:
        assert self._rows is not None
        for _, chunk in self._rows.add(part):
            self._realise(chunk)

    def _realise(self, chunk: Outputs) -> None:
        good = usable(chunk, self._options) & ~np.isnan(chunk.label)
        rows = chunk.at(good)
        if len(rows):
            order = ranked(rows.score, rows.decided, ranks=self._options.probability is not None)
            self._found.append(realised(order, rows.label))
            self._sizes.append(len(chunk))

    def result(self) -> tuple[int, list[dict[str, float]]]:
        """Rows of a chunk, and the figures of each chunk."""
        if self._rows is None and self._by is None:
            self._begin()
        last = self._by if self._by is not None else self._rows
        assert last is not None
        for _, chunk in last.rest():
            self._realise(chunk)
        size = self._rows.size if self._rows is not None else int(np.median(self._sizes)) if self._sizes else CHUNK
        return size, self._found


def usual_chunk(rows: int) -> int:
    """Rows of a chunk where nobody names them: 5,000, or a tenth of a reference that has less than 50,000.

    From fewer than 50 rows nothing is estimated. A tenth of them would cut the analysis into chunks of a row or two.

    >>> usual_chunk(1_000_000), usual_chunk(20_000), usual_chunk(50), usual_chunk(3), usual_chunk(0)
    (5000, 2000, 5, 5000, 5000)
    """
    return min(CHUNK, rows // _CHUNKS) if rows >= LABELS_MIN else CHUNK


def usable(rows: Outputs, options: Options) -> Mask:
    """Whether a row has a score, (n,)."""
    return ~np.isnan(rows.score)


def codes_of(reference: Reference, names: tuple[str, ...]) -> Bytes:
    """The codes of the sample's columns, (columns, n)."""
    if not names:
        return np.empty((0, len(reference.numbers)), np.uint8)
    return np.stack([reference.columns[name].codes for name in names])


def sampled(reference: Reference, name: str) -> Float:
    """Histogram of a column of the sample as shares, (256,)."""
    rows = reference.columns[name].histogram
    return rows / max(int(rows.sum()), 1)

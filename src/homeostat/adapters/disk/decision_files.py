"""Decisions into one Parquet file, streamed, and the same bytes however they were batched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from homeostat.adapters.disk.files import FILE_MODE, create
from homeostat.ports import Unavailable
from homeostat.records.arrow import of_numbers, of_texts
from homeostat.records.decisions import DecisionBatch
from homeostat.records.reasons import Fallback

GROUP_ROWS = 65_536  # Rows of a row group: always full but the last, so that batches leave no trace.
_BITS = sum(Fallback.NAMES)
_HASHED = 1 << 62
# The meaning and unit of each column; of several of a kind by the name before the point. docs/files.md has the same.
MEANINGS = {
    "event_id": ("the event's id, as text", ""),
    "time": ("when the event happened, UTC", "ns"),
    "action": ("the action taken", ""),
    "proposed": ("the action that the policy proposed", ""),
    "risk": ("calibrated probability of a positive outcome", "1"),
    "score": ("the scorer's score, NaN where it did not answer", "1"),
    "feature": ("the feature as it was served, NaN where it is missing", "that of the app's expression"),
    "propensity": ("probability with which the policy proposes the action", "1"),
    "rule": (
        "the rule that decided, `breaker`, `fallback:` and its causes (`settings` where no part failed), or empty "
        "where the policy decided",
        "",
    ),
    "fallback": ("the causes for which a part did not answer, joined by +, or empty", ""),
    "version": ("of the app file and the bundle that decided", ""),
    "settings": ("the number of the last change of the settings that was in force, 0 before the first", ""),
    "late": ("whether the event came later than the app allows", ""),
}


class DecisionsWriter:
    """Writes `decisions.parquet`; it appears under its name only when it is complete.

    Columns: event_id, time, action, proposed, risk, score.*, feature.*, propensity.*, rule, fallback, version, and
    settings. A score or feature without a value is NaN. `rule` is the rule that decided, or `breaker`, or `fallback:`
    and the causes, or empty where the policy decided. Each field of the file's Arrow schema says what it means, and its
    unit, in its metadata.
    """

    def __init__(
        self,
        path: Path,
        actions: Sequence[str],
        rules: Sequence[str],
        scores: Sequence[str],
        features: Sequence[str],
        mode: int = FILE_MODE,
    ) -> None:
        """Raises Unavailable if the file can't be created."""
        self._path = Path(path)
        self._part = self._path.with_name(self._path.name + ".part")
        causes = [Fallback.text(bits) for bits in range(_BITS + 1)]
        self._actions = of_texts(actions)
        self._rules = of_texts([*rules, "", "breaker", *(f"fallback:{text or 'settings'}" for text in causes)])
        self._rule_count = len(rules)
        self._causes = of_texts(causes)
        reals = ["risk", *(f"score.{name}" for name in scores), *(f"feature.{name}" for name in features)]
        reals += [f"propensity.{name}" for name in actions]
        self._widths = (len(scores), len(features))
        category = pa.dictionary(pa.int16(), pa.string())
        self._schema = pa.schema(
            [
                decision_column("event_id", pa.string()),
                decision_column("time", pa.timestamp("ns", "UTC")),
                decision_column("action", category),
                decision_column("proposed", category),
                *(decision_column(name, pa.float64()) for name in reals),
                *(decision_column(name, category) for name in ("rule", "fallback", "version")),
                decision_column("settings", pa.int64()),
            ]
        )
        self._reals = np.empty((len(reals), GROUP_ROWS))
        self._whole = np.empty((3, GROUP_ROWS), np.int64)
        self._small = np.empty((5, GROUP_ROWS), np.int16)
        self._texts: dict[int, str] = {}  # Ids that are no integers, by row of the group.
        self._versions: dict[str, int] = {}
        self._filled = 0
        self.rows = 0
        self._closed = False
        try:
            self._part.unlink(missing_ok=True)  # A file that a killed process left keeps its own mode otherwise.
            create(self._part, mode)
            self._writer = pq.ParquetWriter(
                self._part,
                self._schema,
                # Measured on 60 columns: 0.5 us a row and 235 bytes. Without the split 0.7 us, without compression
                # 0.5 us and 482 bytes, with Zstandard 0.8 us and 187, with dictionaries of floats 1.3 us and 210.
                compression="snappy",
                use_byte_stream_split=reals,
                use_dictionary=["action", "proposed", "rule", "fallback", "version"],
                write_statistics=False,
            )
        except OSError as error:
            raise Unavailable(f"{self._part} can't be created: {error}") from error

    def write(self, batch: DecisionBatch) -> None:
        """Append decisions. Raises Unavailable where the disk fails; the file then never appears."""
        start = 0
        while start < len(batch):
            stop = min(len(batch), start + GROUP_ROWS - self._filled)
            self._fill(batch, start, stop)
            start = stop
            if self._filled == GROUP_ROWS:
                self._flush()

    def _fill(self, batch: DecisionBatch, start: int, stop: int) -> None:
        rows, into = slice(start, stop), slice(self._filled, self._filled + stop - start)
        scores, features = self._widths
        reals = self._reals
        reals[0, into] = batch.fused.risk[rows]
        reals[1 : 1 + scores, into] = batch.scores.values[rows].T
        reals[1 + scores : 1 + scores + features, into] = batch.features.values[rows].T
        reals[1 + scores + features :, into] = batch.proposal.propensity[rows].T
        codes = batch.events.id_code[rows]
        self._whole[0, into] = codes
        self._whole[1, into] = batch.events.time_ns[rows]
        self._whole[2, into] = batch.settings
        for row in np.flatnonzero(codes >= _HASHED).tolist():
            self._texts[self._filled + row] = batch.events.id_text(start + row)
        bits = (batch.fallback[rows] & _BITS).astype(np.int16)
        rule = batch.ruling.rule[rows]
        small = self._small
        small[0, into] = batch.ruling.action[rows]
        small[1, into] = batch.proposal.action[rows]
        # Rules come first in the dictionary, then none (-1), the breaker (-2), and the fallback (-3) by its causes.
        small[2, into] = np.where(rule >= 0, rule, self._rule_count - 1 - rule + np.where(rule == -3, bits, 0))
        small[3, into] = bits
        small[4, into] = self._versions.setdefault(batch.version, len(self._versions))
        self._filled += stop - start

    def _flush(self) -> None:
        n = self._filled
        if n == 0:
            return
        ids = of_numbers(self._whole[0, :n]).cast(pa.string())
        if self._texts:
            mask = np.zeros(n, np.bool_)
            mask[list(self._texts)] = True
            texts = of_texts([self._texts[row] for row in sorted(self._texts)])
            ids = pc.replace_with_mask(ids, of_numbers(mask), texts)
        small = [column[:n] for column in self._small]
        columns: list[Any] = [
            ids,
            of_numbers(self._whole[1, :n]).cast(pa.timestamp("ns", "UTC")),
            _named(small[0], self._actions),
            _named(small[1], self._actions),
            *(of_numbers(column[:n]) for column in self._reals),
            _named(small[2], self._rules),
            _named(small[3], self._causes),
            _named(small[4], of_texts(list(self._versions))),
            of_numbers(self._whole[2, :n].copy()),
        ]
        try:
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=GROUP_ROWS)
        except OSError as error:
            raise Unavailable(f"{self._part} can't be written: {error}") from error
        self.rows += n
        self._filled = 0
        self._texts.clear()
        self._versions.clear()

    def close(self) -> None:
        """Complete the file and give it its name; again, it does nothing. Raises Unavailable where the disk fails."""
        if self._closed:
            return
        self._closed = True
        try:
            self._flush()
            self._writer.close()
            os.replace(self._part, self._path)
        except OSError as error:
            raise Unavailable(f"{self._path} can't be completed: {error}") from error

    def abandon(self) -> None:
        """Leave no file behind."""
        self._closed = True
        self._writer.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> DecisionsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def decision_column(name: str, kind: pa.DataType) -> pa.Field:
    """A column of decisions, with its meaning and unit as metadata."""
    meaning, unit = MEANINGS[name.partition(".")[0]]
    return pa.field(name, kind, metadata={"meaning": meaning, **({"unit": unit} if unit else {})})


def _named(codes: NDArray[np.int16], names: pa.Array) -> pa.DictionaryArray:
    """(n,) positions in `names` as their texts, with a dictionary of only those that occur, in the order of `names`."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    place = np.zeros(len(names), np.int16)
    place[used] = np.arange(len(used))
    return pa.DictionaryArray.from_arrays(of_numbers(place[codes]), names.take(of_numbers(used)))

"""A journal as three Parquet files: the events as they came, the outcomes, and what was decided.

`replay` and `train` read the first two as they are, so a model can be made again from what was served.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from homeostat.adapters.disk.decision_files import decision_column
from homeostat.adapters.disk.event_files import ROLES
from homeostat.engine.answers import actions_of, rule_text
from homeostat.ports import Entry, Unavailable
from homeostat.records.arrays import Float, Int
from homeostat.records.arrow import of_members, of_numbers, of_texts
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch, Row
from homeostat.records.identity import ABSENT, IdTexts, text_of
from homeostat.records.reasons import Fallback

_TIME = pa.timestamp("ns", "UTC")
_TYPES = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "category": pa.string()}
_FILES = ("events.parquet", "outcomes.parquet", "decisions.parquet")


class Read(Protocol):
    """A journal, as far as an export reads it."""

    @property
    def last(self) -> int: ...

    def read(self, after: int = 0) -> Iterator[Entry]: ...


@dataclass(slots=True)
class _Columns:
    """Every name that some entry uses, in the order in which they came up."""

    entities: dict[str, None] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    scorers: dict[str, None] = field(default_factory=dict)
    features: dict[str, None] = field(default_factory=dict)
    actions: dict[str, None] = field(default_factory=dict)
    labels: bool = False

    def add(self, batch: DecisionBatch) -> None:
        words = batch.words
        self.entities |= {name: None for name, of in words.entities if not of}
        for name, kind in words.fields:
            # A field whose type was changed later is text in the file: nothing of it is lost.
            self.fields[name] = kind if self.fields.get(name, kind) == kind else "category"
        self.scorers |= dict.fromkeys(batch.scores.names)
        self.features |= dict.fromkeys(batch.features.names)
        self.actions |= dict.fromkeys(actions_of(words, batch.proposal.propensity.shape[1]))
        self.labels = self.labels or not bool(np.isnan(batch.events.label).all())

    def roles(self) -> dict[str, str]:
        """The columns of id, time and label: `event_id`, `time`, `label`, unless an entity or a field is called so."""
        taken = self.entities.keys() | self.fields.keys()
        return {role: _free(name, taken) for role, name in (("id", "event_id"), ("time", "time"), ("label", "label"))}

    def events(self) -> pa.Schema:
        roles = self.roles()
        columns: list[tuple[str, pa.DataType]] = [(roles["id"], pa.string()), (roles["time"], _TIME)]
        columns += [(name, pa.string()) for name in self.entities]
        columns += [(name, _TYPES[kind]) for name, kind in self.fields.items()]
        columns += [(roles["label"], pa.float64())] * self.labels
        return pa.schema(columns, {ROLES: json.dumps(roles)})

    def decisions(self) -> pa.Schema:
        texts = ("action", "proposed", "rule", "fallback", "version")
        reals = ["risk", *(f"score.{name}" for name in self.scorers), *(f"feature.{name}" for name in self.features)]
        reals += [f"propensity.{name}" for name in self.actions]
        return pa.schema([
            decision_column("event_id", pa.string()), decision_column("time", _TIME),
            *(decision_column(name, pa.string()) for name in texts), decision_column("settings", pa.int64()),
            decision_column("late", pa.bool_()),
            *(decision_column(name, pa.float64()) for name in reals),
        ])  # fmt: skip


def _free(name: str, taken: Set[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name


_OUTCOMES = pa.schema([("event_id", pa.string()), ("label", pa.float64()), ("time", _TIME), ("amount", pa.float64())])


def written_by_others(folder: Path) -> Path | None:
    """A file that an export into a folder would replace and that is of no earlier export; None where there is none."""
    there = [folder / name for name in _FILES if (folder / name).exists()]
    try:
        ours = there[:1] == [folder / _FILES[0]] and ROLES in (pq.read_schema(there[0]).metadata or {})
    except (pa.ArrowException, OSError):
        ours = False
    return None if ours or not there else there[0]


def export_journal(
    journal: Read,
    folder: Path,
    since_ns: int | None = None,
    until_ns: int | None = None,
    progress: Callable[[str, float], None] = lambda what, share: None,
) -> dict[str, int]:
    """Write events.parquet, outcomes.parquet and decisions.parquet into a folder; returns the rows of each.

    since_ns, until_ns : only events with a time in [since, until), and outcomes that became known then
    Each file appears under its name only when all three are complete. Raises Unavailable where the disk fails.
    """
    columns, last = _Columns(), max(1, journal.last)
    for entry in journal.read():
        if isinstance(entry.body, DecisionBatch) and len(entry.body):
            columns.add(entry.body)
        progress("reading names", entry.sequence / last / 2)
    schemas = (columns.events(), _OUTCOMES, columns.decisions())
    rows = dict.fromkeys(_FILES, 0)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(pq.ParquetWriter(_part(folder, name), schema, compression="zstd"))
                for name, schema in zip(_FILES, schemas, strict=True)
            }
            for entry in journal.read():
                for name, table in _tables(entry.body, columns, since_ns, until_ns):
                    writers[name].write_table(table)
                    rows[name] += len(table)
                progress("writing", 0.5 + entry.sequence / last / 2)
        for name in _FILES:
            os.replace(_part(folder, name), folder / name)
    except OSError as error:
        raise Unavailable(f"the export into {folder} failed: {error}") from error
    return {name.removesuffix(".parquet"): count for name, count in rows.items()}


def _part(folder: Path, name: str) -> Path:
    return folder / f"{name}.part"


def _tables(
    body: Body, columns: _Columns, since_ns: int | None, until_ns: int | None
) -> Iterable[tuple[str, pa.Table]]:
    if isinstance(body, ChangeBatch):
        return
    if isinstance(body, OutcomeBatch):
        rows = _within(body.known_ns, since_ns, until_ns)
        if len(rows):
            yield "outcomes.parquet", _outcomes(body, rows)
        return
    within = _within(body.events.time_ns, since_ns, until_ns)
    rows = within[body.events.kind[within] != Row.OUTCOME]
    if len(rows):
        yield "events.parquet", _events(body, rows, columns)
        yield "decisions.parquet", _decisions(body, rows, columns)


def _within(time_ns: Int, since_ns: int | None, until_ns: int | None) -> Int:
    """The rows whose time lies in [since, until)."""
    kept = np.ones(len(time_ns), bool)
    if since_ns is not None:
        kept &= time_ns >= since_ns
    if until_ns is not None:
        kept &= time_ns < until_ns
    return np.flatnonzero(kept)


def _texts(codes: Int, checks: Int, texts: IdTexts) -> pa.Array:
    """(n,) keys as text, null where there is none."""
    pairs = zip(codes.tolist(), checks.tolist(), strict=True)
    return of_texts([None if code == ABSENT else text_of(code, check, texts) for code, check in pairs])


def _values(values: Float, kind: str, wanted: str, texts: IdTexts) -> pa.Array:
    """(n,) values of a field in its own type, null where there is none.

    wanted : the type of the column
    """
    absent = np.isnan(values)
    if kind == "category":
        found = [None if value != value else _category(value, texts) for value in values.tolist()]
        return of_texts(found)
    if kind != wanted:
        return of_texts([None if value != value else repr(value) for value in values.tolist()])
    return of_numbers(values, ~absent).cast(_TYPES[kind])


def _category(code: float, texts: IdTexts) -> str:
    """A category's text; where an older journal does not hold it, its code."""
    text = texts.get((int(code), 0))
    return f"#{int(code):x}" if text is None else text


def _events(batch: DecisionBatch, rows: Int, columns: _Columns) -> pa.Table:
    events, words = batch.events.rows(rows), batch.words
    roles = columns.roles()
    found: dict[str, Any] = {
        roles["id"]: _texts(events.id_code, events.id_check, events.texts),
        roles["time"]: of_numbers(events.time_ns).cast(_TIME),
    }
    for column, (name, of) in enumerate(words.entities):
        if not of:
            found[name] = _texts(events.keys[:, column], events.key_checks[:, column], events.texts)
    for column, (name, kind) in enumerate(words.fields):
        found[name] = _values(events.numbers[:, column], kind, columns.fields[name], events.texts)
    found[roles["label"]] = of_numbers(events.label, ~np.isnan(events.label))
    return _table(found, columns.events())


def _decisions(batch: DecisionBatch, rows: Int, columns: _Columns) -> pa.Table:
    events, words, ruling, proposal = batch.events.rows(rows), batch.words, batch.ruling, batch.proposal
    fallback = batch.fallback[rows].tolist()
    found: dict[str, Any] = {
        "event_id": _texts(events.id_code, events.id_check, events.texts),
        "time": of_numbers(events.time_ns).cast(_TIME),
        "action": of_texts([words.action(one) for one in ruling.action[rows].tolist()]),
        "proposed": of_texts([words.action(one) for one in proposal.action[rows].tolist()]),
        "rule": of_texts(
            [rule_text(rule, bits, words) for rule, bits in zip(ruling.rule[rows].tolist(), fallback, strict=True)]
        ),
        "fallback": of_texts([Fallback.text(bits) if bits else "" for bits in fallback]),
        "version": of_texts([batch.made_by(row) for row in rows.tolist()]),
        "settings": of_members([batch.settings] * len(rows), np.int64),
        "late": of_numbers(events.kind == Row.LATE_EVENT),
        "risk": of_numbers(batch.fused.risk[rows]),
    }
    groups = (
        ("score", batch.scores.names, batch.scores.values), ("feature", batch.features.names, batch.features.values),
        ("propensity", actions_of(words, proposal.propensity.shape[1]), proposal.propensity),
    )  # fmt: skip
    for group, names, values in groups:
        found |= {f"{group}.{name}": of_numbers(values[rows, column]) for column, name in enumerate(names)}
    return _table(found, columns.decisions())


def _outcomes(batch: OutcomeBatch, rows: Int) -> pa.Table:
    amount = batch.amount[rows]
    return _table({
        "event_id": _texts(batch.id_code[rows], batch.id_check[rows], batch.texts),
        "label": of_numbers(batch.label[rows]), "time": of_numbers(batch.known_ns[rows]).cast(_TIME),
        "amount": of_numbers(amount, ~np.isnan(amount)),
    }, _OUTCOMES)  # fmt: skip


def _table(found: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """The columns of a schema; those that this entry does not have are null."""
    n = len(next(iter(found.values())))
    return pa.Table.from_arrays(
        [found[name] if name in found else pa.nulls(n, schema.field(name).type) for name in schema.names], schema=schema
    )

"""The last days' decisions and outcomes as columns, kept while a journal is read or a drill goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from homeostat.app.maintaining import names_of, tick_form
from homeostat.engine.assembly import Prepared
from homeostat.maintain.open_tick import took_of
from homeostat.ports.recent import Recent, Refused
from homeostat.records.arrays import Int
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, OutcomeBatch, Row
from homeostat.records.renaming import decisions_as
from homeostat.records.unknown import UnknownName, name_in

DAY_NS = 86_400 * 10**9
DAYS, ROWS_MAX = 35, 200_000
_REFUSED_MAX = 20_000


@dataclass(slots=True)
class RecentColumns:
    """See the module; a `RecentTraffic`. Entries come in by `take`, in the journal's order.

    days, rows_max : how much is kept
    """

    prepared: Prepared
    days: int = DAYS
    rows_max: int = ROWS_MAX
    _batches: deque[tuple[DecisionBatch, int]] = field(default_factory=deque)
    _outcomes: deque[OutcomeBatch] = field(default_factory=deque)
    _refused: deque[Refused] = field(default_factory=lambda: deque(maxlen=_REFUSED_MAX))
    _unknown: deque[UnknownName] = field(default_factory=lambda: deque(maxlen=_REFUSED_MAX))
    _rows: int = 0
    _made: Recent | None = None  # The last answer, as long as nothing came since.

    def take(self, body: Body, recorded_ns: int = 0) -> None:
        """Take an entry in.

        recorded_ns : when it was written, by the wall clock; 0 where nobody says
        """
        self._made = None
        if isinstance(body, DecisionBatch) and len(body):
            self._batches.append((body, recorded_ns))
            self._rows += len(body)
            newest = int(body.events.reach.max())
            while self._batches and (self._rows > self.rows_max or _old(self._batches[0][0], newest, self.days)):
                self._rows -= len(self._batches.popleft()[0])
        elif isinstance(body, OutcomeBatch) and len(body):
            self._outcomes.append(body)
            while int(self._outcomes[0].known_ns.max()) < int(body.known_ns.max()) - self.days * DAY_NS:
                self._outcomes.popleft()

    def refuse(self, letters: Sequence[DeadLetter], at_ns: int) -> None:
        """Take in what intake refused."""
        self._made = None
        names = [name_in(one, at_ns) for one in letters]
        self._unknown.extend(one for one in names if one is not None)
        self._refused.extend(
            Refused(at_ns, one.field, one.reason, one.value[:80])
            for one, name in zip(letters, names, strict=True) if name is None
        )  # fmt: skip

    def copy(self) -> RecentColumns:
        """The same, which goes on by itself."""
        return RecentColumns(
            self.prepared, self.days, self.rows_max, deque(self._batches), deque(self._outcomes),
            deque(self._refused, maxlen=_REFUSED_MAX), deque(self._unknown, maxlen=_REFUSED_MAX), self._rows,
        )  # fmt: skip

    def until(self, now_ns: int) -> Recent:
        """See `RecentTraffic`."""
        if self._made is None or self._made.now_ns != now_ns:
            self._made = self._columns(now_ns)
        return self._made

    def _columns(self, now_ns: int) -> Recent:
        prepared = self.prepared
        names = names_of(prepared.app, prepared.features)
        form = tick_form(prepared.app, prepared.features, prepared.coding)
        kept = [
            (decisions_as(one, form.words, form.scorers, form.coding), at, took_of(one)) for one, at in self._batches
        ]
        versions = tuple(dict.fromkeys(version for one, _, _ in kept for version in (one.version, one.canary)))
        places = {version: place for place, version in enumerate(versions)}
        events = [one.events for one, _, _ in kept]
        code = _joined([one.id_code for one in events], np.int64)
        label, known_ns = self._known(code)
        texts: dict[float, str] = {}
        for one in events:
            texts |= one.category_texts
        return Recent(
            names.entities, tuple(name for name, _ in names.fields), tuple(kind for _, kind in names.fields),
            names.features, names.scorers, names.actions, versions, now_ns, prepared.app.outcomes.matures, code,
            _joined([one.time_ns for one in events], np.int64),
            _joined([np.full(len(one), at) for one, at, _ in kept], np.int64),
            _rows([one.keys for one in events], len(names.entities), np.int64),
            _rows([one.numbers for one in events], len(names.fields), np.float64),
            _rows([one.features.values.astype(np.float32) for one, _, _ in kept], len(names.features), np.float32),
            _rows([one.scores.values for one, _, _ in kept], len(names.scorers), np.float64),
            _joined([one.fused.risk for one, _, _ in kept], np.float64),
            _joined([one.ruling.action for one, _, _ in kept], np.int16),
            _joined([one.proposal.action for one, _, _ in kept], np.int16),
            _joined([one.ruling.rule for one, _, _ in kept], np.int16),
            _joined([one.fallback for one, _, _ in kept], np.uint8),
            _joined([np.full(len(one), took) for one, _, took in kept], np.float64),
            _joined([np.full(len(one), one.settings) for one, _, _ in kept], np.int64),
            _joined([(one.kind == Row.LATE_EVENT).astype(np.uint8) for one in events], np.uint8),
            _joined([_versions(one, places) for one, _, _ in kept], np.int64), label, known_ns, texts,
            tuple(self._refused), tuple(self._unknown),
        )  # fmt: skip

    def _known(self, code: Int) -> tuple[np.ndarray, Int]:
        """(n,) the last outcome of each event, and when it was known."""
        label, known_ns = np.full(len(code), np.nan), np.zeros(len(code), np.int64)
        if not self._outcomes or not len(code):
            return label, known_ns
        order = np.argsort(code, kind="stable")
        ids = np.concatenate([one.id_code for one in self._outcomes])
        at = np.minimum(np.searchsorted(code[order], ids), len(code) - 1)
        rows = order[at]
        found = code[rows] == ids
        rows = rows[found]
        label[rows] = np.concatenate([one.label for one in self._outcomes])[found]
        known_ns[rows] = np.concatenate([one.known_ns for one in self._outcomes])[found]
        return label, known_ns


def _old(batch: DecisionBatch, newest_ns: int, days: int) -> bool:
    return int(batch.events.reach.max()) < newest_ns - days * DAY_NS


def _versions(batch: DecisionBatch, places: dict[str, int]) -> Int:
    if batch.arm is None:
        return np.full(len(batch), places[batch.version])
    return np.where(batch.arm == 1, places[batch.canary], places[batch.version])


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)


def _rows(parts: Sequence[np.ndarray], width: int, dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros((0, width), dtype)

"""A plan turned into the tables that the kernels read, with all that windows can share shared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from homeostat.decide.windows import layout as at
from homeostat.decide.windows.deviations import NARROW_LIMBS
from homeostat.decide.windows.plan import LABEL, NO_VALUE, Aggregate, Kind, LabelFilter, Window, WindowPlan

NEEDS: dict[Kind, int] = {
    Kind.COUNT: 0,
    Kind.SUM: at.NEED_SUM,
    Kind.MEAN: at.NEED_SUM,
    Kind.STD: at.NEED_SUM | at.NEED_SQUARES,
    Kind.MIN: at.NEED_MIN | at.NEED_TOP,
    Kind.MAX: at.NEED_MAX | at.NEED_TOP,
    Kind.DISTINCT: at.NEED_DISTINCT,
    Kind.LAST: at.NEED_TOP,
    Kind.SINCE_LAST: at.NEED_TOP,
    Kind.SINCE_FIRST: at.NEED_FIRST,
    Kind.RATE: 0,
    Kind.COUNT_SINCE: at.NEED_SINCE,
}

COLUMNS = {
    "heads": at.H_COLUMNS,
    "spans": at.S_COLUMNS,
    "streams": at.R_COLUMNS,
    "accounts": at.A_COLUMNS,
    "by_span": 1,
    "emits": at.M_COLUMNS,
    "copies": 2,
}
"""Words of a row of each table, in the order the tables lie in."""

StreamKey = tuple[int, int, int, int]  # delay, mask, label filter, value
SpanKey = tuple[int, int]  # delay, length


def _stream_key(window: Window, aggregate: Aggregate) -> StreamKey:
    return (window.delay_ns, window.mask, int(window.label), aggregate.value)


def _counts_all(window: Window, aggregate: Aggregate) -> bool:
    """Whether the distance of two cursors is the answer, so that nothing need be accounted for."""
    unfiltered = window.mask == -1 and window.label == LabelFilter.ANY and aggregate.value == NO_VALUE
    return unfiltered and aggregate.kind in (Kind.COUNT, Kind.RATE)


def _uses_label(key: StreamKey, needs: int) -> bool:
    return key[2] != LabelFilter.ANY or key[3] == LABEL or bool(needs & at.NEED_SINCE)


class _EntityTables:
    """The tables' rows for one entity; `begins` must be set, where its part of each table begins."""

    def __init__(self, plan: WindowPlan, entity: int) -> None:
        self.plan = plan
        self.begins: dict[str, int] = {}
        self.windows = [w for w in plan.windows if w.entity == entity]
        self.needs: dict[tuple[SpanKey, StreamKey], int] = {}
        for w in self.windows:
            for a in w.aggregates:
                if not _counts_all(w, a):
                    pair = ((w.delay_ns, w.length_ns), _stream_key(w, a))
                    self.needs[pair] = self.needs.get(pair, 0) | NEEDS[a.kind]
        self.delays = sorted({w.delay_ns for w in self.windows})
        self.spans: list[SpanKey] = sorted({(w.delay_ns, w.length_ns) for w in self.windows})
        self.streams: list[StreamKey] = sorted({stream for _, stream in self.needs})
        self.accounts = sorted(self.needs, key=lambda pair: (pair[1], pair[0]))
        self._place_row()
        self._place_state()

    def _stream_needs(self, stream: StreamKey) -> int:
        needs = 0
        for (_, other), need in self.needs.items():
            needs |= need if other == stream else 0
        return needs

    def _place_row(self) -> None:
        """Gives each thing logged its word of a row; the time has word 0."""
        used = sorted({s[3] for s in self.streams if s[3] >= 0})
        self.copies = [(value, 1 + k) for k, value in enumerate(used)]
        self.row_words = 1 + len(used)
        self.label = self.tag = self.masks = -1
        if any(_uses_label(s, self._stream_needs(s)) for s in self.streams):
            self.label = self.row_words
            self.row_words += 1
        if self.label >= 0 or self.plan.own_time:
            self.tag = self.row_words
            self.row_words += 1
        if any(s[1] >= 0 for s in self.streams):
            self.masks = self.row_words
            self.row_words += 1
        self.first_link = self.row_words
        self.links: dict[tuple[StreamKey, int], int] = {}
        for stream in self.streams:
            for need, count in ((at.NEED_MIN, 2), (at.NEED_MAX, 2), (at.NEED_DISTINCT, 3)):
                if self._stream_needs(stream) & need:
                    self.links[stream, need] = self.row_words
                    self.row_words += count

    def _place_state(self) -> None:
        """Gives each cursor and account its words of the entity's state."""
        self.words = at.E_WORDS
        self.head_word = {delay: self._take(1) for delay in self.delays}
        self.tail_word = {span: self._take(1) for span in self.spans}
        self.stream_words = {s: (self._take(1), self._take(2)) for s in self.streams if self._is_followed(s)}
        self.account_words = {pair: self._account(self.needs[pair]) for pair in self.accounts}

    def _is_followed(self, stream: StreamKey) -> bool:
        return bool(self._stream_needs(stream) & (at.NEED_TOP | at.NEED_SINCE))

    def _take(self, count: int) -> int:
        self.words += count
        return self.words - count

    def _account(self, needs: int) -> list[int]:
        """Words of one account, in the order of the table's columns; -1 for what it does not need."""
        sizes = (
            (at.NEED_SUM, 2),
            (at.NEED_SQUARES, NARROW_LIMBS),
            (at.NEED_MIN, 1),
            (at.NEED_MAX, 1),
            (at.NEED_FIRST, 1),
            (at.NEED_DISTINCT, 1),
        )
        return [self._take(1)] + [self._take(size) if needs & need else -1 for need, size in sizes]

    def _value_word(self, value: int) -> int:
        return 0 if value == NO_VALUE else self.label if value == LABEL else dict(self.copies)[value]

    def sizes(self) -> dict[str, int]:
        """Rows in each table."""
        return {
            "heads": len(self.delays),
            "spans": len(self.spans),
            "streams": len(self.streams),
            "accounts": len(self.accounts),
            "by_span": len(self.accounts),
            "emits": sum(len(w.aggregates) for w in self.windows),
            "copies": len(self.copies),
        }

    def _at(self, table: str, number: int) -> int:
        """Where the entity's row of that number begins in the program."""
        return self.begins[table] + number * COLUMNS[table]

    def head_rows(self) -> Iterable[tuple[int, ...]]:
        for delay in self.delays:
            mine = [k for k, s in enumerate(self.streams) if s[0] == delay]
            start, stop = (mine[0], mine[-1] + 1) if mine else (0, 0)
            yield (delay, self.head_word[delay], self._at("streams", start), self._at("streams", stop))

    def span_rows(self) -> Iterable[tuple[int, ...]]:
        start = 0
        for span in self.spans:
            stop = start + sum(1 for s, _ in self.accounts if s == span)
            accounts = (self._at("by_span", start), self._at("by_span", stop))
            yield (span[1], span[0], self.tail_word[span], *accounts, self.head_word[span[0]])
            start = stop

    def by_span_rows(self) -> Iterable[tuple[int, ...]]:
        for span in self.spans:
            yield from ((self._at("accounts", k),) for k, (s, _) in enumerate(self.accounts) if s == span)

    def stream_rows(self) -> Iterable[tuple[int, ...]]:
        distincts = 0
        for stream in self.streams:
            _, mask, label, value = stream
            needs = self._stream_needs(stream)
            mine = [k for k, (_, s) in enumerate(self.accounts) if s == stream]
            top, positive = self.stream_words.get(stream, (-1, -1))
            plain = mask == -1 and label == LabelFilter.ANY and value >= 0
            links = [self.links.get((stream, n), -1) for n in (at.NEED_MIN, at.NEED_MAX, at.NEED_DISTINCT)]
            yield (
                int(plain),
                mask,
                label,
                self._value_word(value),
                self.label if _uses_label(stream, needs) else -1,
                self.masks,
                int(self.plan.unknown_is_negative and value == LABEL),
                needs,
                top,
                positive,
                *links,
                distincts,
                self._at("accounts", mine[0]),
                self._at("accounts", mine[-1] + 1),
                self.head_word[stream[0]],
            )
            distincts += bool(needs & at.NEED_DISTINCT)

    def account_rows(self) -> Iterable[tuple[int, ...]]:
        for span, stream in self.accounts:
            row = self._at("streams", self.streams.index(stream))
            words = self.account_words[span, stream]
            yield (row, self.needs[span, stream], *words, self.tail_word[span])

    def emit_rows(self) -> Iterable[tuple[int, ...]]:
        for w in self.windows:
            span = (w.delay_ns, w.length_ns)
            for a in w.aggregates:
                account = stream = -1
                if not _counts_all(w, a):
                    key = _stream_key(w, a)
                    stream = self._at("streams", self.streams.index(key))
                    account = self._at("accounts", self.accounts.index((span, key)))
                holds_itself = int(w.delay_ns == 0 and not w.past)
                place = self._at("spans", self.spans.index(span))
                yield (int(a.kind), a.slot, account, stream, place, holds_itself)

    def entity_row(self) -> tuple[int, ...]:
        reach = max((delay + length for delay, length in self.spans), default=0)
        needs = [self._stream_needs(s) for s in self.streams]
        ranges: list[int] = []
        for name in ("heads", "spans", "streams", "accounts", "emits", "copies"):
            ranges += [self._at(name, 0), self._at(name, self.sizes()[name])]
        return (
            self.row_words,
            self.words,
            *ranges,
            reach,
            reach + self.plan.lateness_ns,
            self.label,
            self.tag,
            self.masks,
            self.first_link,
            sum(1 for n in needs if n & at.NEED_DISTINCT),
            *(sum(1 for n in self.needs.values() if n & need) for need in (at.NEED_SUM, at.NEED_SQUARES)),
        )


def program(plan: WindowPlan, places: int) -> at.Ints:
    """The plan's tables, one behind the other; a reference to a row is its place in the whole.

    Entities without windows have empty ranges and are never touched.

    places : see `Windows`
    """
    made = [_EntityTables(plan, entity) for entity in range(plan.entities)]
    position = at.G_WORDS + plan.entities * at.P_COLUMNS
    for name, width in COLUMNS.items():
        for one in made:
            one.begins[name] = position
            position += one.sizes()[name] * width
    pool = max((one.row_words for one in made), default=1)
    rows: list[tuple[int, ...]] = [
        (plan.lateness_ns, at.G_WORDS, at.G_WORDS + plan.entities * at.P_COLUMNS, int(plan.own_time), pool, places)
    ]
    rows += [one.entity_row() for one in made]
    for table in ("head_rows", "span_rows", "stream_rows", "account_rows", "by_span_rows", "emit_rows"):
        for one in made:
            rows += getattr(one, table)()
    rows += [copy for one in made for copy in one.copies]
    flat = np.array([word for row in rows for word in row], dtype=np.int64)
    assert len(flat) == position
    return flat

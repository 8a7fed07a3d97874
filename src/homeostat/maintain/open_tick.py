"""The rows of a tick that is still open: pieces of journal entries, put together when it closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.maintain.contracts import Known, Tick
from homeostat.records.arrays import Bits, Float, Int
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.features import Features, Freshness
from homeostat.records.rows import At, decisions_at
from homeostat.stats.chance import keyed_chances

LETTERS_MAX = 1_000
"""Dead letters of a tick that are kept; the others are counted."""
_HALVINGS_MAX = 50


@dataclass(frozen=True, slots=True)
class Piece:
    """Some decisions of one entry, in the order of arrival.

    took_us : of each row
    arrived_ns : when the entry was recorded, 0 where nobody says
    """

    decisions: DecisionBatch
    took_us: float
    arrived_ns: int

    def rows(self, at: At) -> Piece:
        """Some of them."""
        return Piece(decisions_at(self.decisions, at), self.took_us, self.arrived_ns)


@dataclass(slots=True)
class OpenTick:
    """See the module.

    total : decisions that came, those that were dropped included
    kept : decisions in `pieces`
    halvings : how often half of the ids were dropped
    """

    pieces: list[Piece] = field(default_factory=list)
    total: int = 0
    kept: int = 0
    halvings: int = 0
    changes: list[Change] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    letters_n: int = 0
    repeats: int = 0

    def add(self, piece: Piece, rows_max: int, keys: Bits) -> None:
        """Take decisions in, and drop a share of all by their ids where they are far too many."""
        self.total += len(piece.decisions)
        piece = self._sifted(piece, keys) if self.halvings else piece
        self.pieces.append(piece)
        self.kept += len(piece.decisions)
        if self.kept > 2 * rows_max:
            self.thin(rows_max, keys)

    def thin(self, rows_max: int, keys: Bits) -> None:
        """Drop half of the ids, and half again, until at most `rows_max` rows are left.

        In the end, which are dropped follows from the ids alone: entries may come in any pieces.
        """
        while self.kept > rows_max and self.halvings < _HALVINGS_MAX:
            self.halvings += 1
            self.pieces = [one for one in (self._sifted(piece, keys) for piece in self.pieces) if len(one.decisions)]
            self.kept = sum(len(piece.decisions) for piece in self.pieces)

    def _sifted(self, piece: Piece, keys: Bits) -> Piece:
        events = piece.decisions.events
        stays = keyed_chances(keys, events.id_code, events.id_check)[:, 0] < 2.0**-self.halvings
        return piece if stays.all() else piece.rows(stays)

    def bury(self, letters: list[DeadLetter], count: int) -> None:
        """Count dead letters, and keep the first of them."""
        self.letters += letters[: LETTERS_MAX - len(self.letters)]
        self.letters_n += count


@dataclass(frozen=True, slots=True)
class Widths:
    """How many columns an empty tick has: entities, fields, features by name, scorers, actions."""

    entities: int
    fields: int
    features: tuple[str, ...]
    scorers: int
    actions: int


def tick_of(
    open_: OpenTick, number: int, span: tuple[int, int], known: Known, widths: Widths, nothing: Tick | None = None
) -> Tick:
    """The tick of these rows.

    span : its start and end
    nothing : an empty tick, whose columns are used where there are no rows
    """
    facts: dict[str, Any] = {
        "number": number, "start_ns": span[0], "end_ns": span[1], "known": known, "changes": tuple(open_.changes),
        "letters": tuple(open_.letters), "letters_n": open_.letters_n, "repeats": open_.repeats,
        "events_n": open_.total,
    }  # fmt: skip
    if not open_.pieces:
        return Tick(**_columns_of_nothing(widths) if nothing is None else _columns(nothing), **facts)
    pieces = open_.pieces
    batches = [piece.decisions for piece in pieces]

    def column(of: Callable[[DecisionBatch], NDArray[Any]]) -> NDArray[Any]:
        return of(batches[0]) if len(batches) == 1 else np.concatenate([of(batch) for batch in batches])

    versions, version = _versions(batches)
    sizes = [len(batch) for batch in batches]
    return Tick(
        events=_events(batches, column), features=_features(batches, widths.features),
        scores=column(lambda b: b.scores.values), risk=column(lambda b: b.fused.risk),
        proposed=column(lambda b: b.proposal.action), action=column(lambda b: b.ruling.action),
        rule=column(lambda b: b.ruling.rule), hits=column(lambda b: b.ruling.hits),
        explored=column(lambda b: b.proposal.explored), fallback=column(lambda b: b.fallback),
        propensity=column(lambda b: b.proposal.propensity),
        settings=np.repeat(np.array([b.settings for b in batches], np.int64), sizes),
        version=version, versions=versions,
        took_us=np.repeat(np.array([piece.took_us for piece in pieces]), sizes),
        arrived_ns=np.repeat(np.array([piece.arrived_ns for piece in pieces], np.int64), sizes),
        **facts,
    )  # fmt: skip


_OWN = (
    "events", "features", "scores", "risk", "proposed", "action", "rule", "hits", "explored", "fallback", "propensity",
    "settings", "version", "versions", "took_us", "arrived_ns",
)  # fmt: skip


def _columns(tick: Tick) -> dict[str, Any]:
    return {name: getattr(tick, name) for name in _OWN}


def _columns_of_nothing(w: Widths) -> dict[str, Any]:
    ints, floats = np.zeros(0, np.int64), np.zeros(0)
    events = EventBatch(
        ints, ints, np.zeros((0, w.entities), np.int64), np.zeros((0, w.fields)), floats, np.zeros(0, np.uint8)
    )
    features = Features(w.features, np.zeros((0, len(w.features))), np.zeros((0, len(w.features)), np.uint8))
    small, octets = np.zeros(0, np.int16), np.zeros(0, np.uint8)
    return {
        "events": events, "features": features, "scores": np.zeros((0, w.scorers)), "risk": floats,
        "proposed": small, "action": small, "rule": small, "hits": np.zeros(0, np.uint64), "explored": octets,
        "fallback": octets, "propensity": np.zeros((0, w.actions)), "settings": ints, "version": ints, "versions": (),
        "took_us": floats, "arrived_ns": ints,
    }  # fmt: skip


def _events(batches: list[DecisionBatch], column: Callable[..., NDArray[Any]]) -> EventBatch:
    if len(batches) == 1:
        return batches[0].events
    reaching = any(batch.events.reach_ns is not None for batch in batches)
    texts = batches[0].events.texts
    if any(batch.events.texts is not texts for batch in batches):
        texts = {one: text for batch in batches for one, text in batch.events.texts.items()}
    return EventBatch(
        column(lambda b: b.events.id_code), column(lambda b: b.events.time_ns), column(lambda b: b.events.keys),
        column(lambda b: b.events.numbers), column(lambda b: b.events.label), column(lambda b: b.events.kind), texts,
        column(lambda b: b.events.id_check), column(lambda b: b.events.key_checks),
        column(lambda b: b.events.reach) if reaching else None,
    )  # fmt: skip


def _features(batches: list[DecisionBatch], names: tuple[str, ...]) -> Features:
    """The features by name: one that was not served has no value."""
    parts = [_named(batch.features, names) for batch in batches]
    if len(parts) == 1:
        return parts[0]
    return Features(
        names, np.concatenate([one.values for one in parts]), np.concatenate([one.freshness for one in parts])
    )


def _named(was: Features, names: tuple[str, ...]) -> Features:
    if was.names == names:
        return was
    values = np.full((len(was), len(names)), np.nan)
    freshness = np.full((len(was), len(names)), Freshness.ABSENT, np.uint8)
    at = {name: column for column, name in enumerate(was.names)}
    for column, name in enumerate(names):
        if name in at:
            values[:, column], freshness[:, column] = was.values[:, at[name]], was.freshness[:, at[name]]
    return Features(names, values, freshness)


def _versions(batches: list[DecisionBatch]) -> tuple[tuple[str, ...], Int]:
    """The makers of these decisions in the order in which they first appear, and each row's index into them."""
    place: dict[str, int] = {}
    rows: list[Int] = []
    for batch in batches:
        if batch.arm is None:
            rows.append(np.full(len(batch), place.setdefault(batch.version, len(place)), np.int64))
            continue
        for maker in dict.fromkeys(batch.makers):
            place.setdefault(maker, len(place))
        rows.append(np.array([place[maker] for maker in batch.makers], np.int64))
    return tuple(place), rows[0] if len(rows) == 1 else np.concatenate(rows)


def took_of(batch: DecisionBatch) -> float:
    """Processing time of a row: that of its batch divided by the rows."""
    return batch.took_us / len(batch) if len(batch) else 0.0


def reach_bins(reach_ns: Int | Float, span_ns: int) -> Int:
    """(n,) the number of the span (k - 1, k] in which each time lies.

    >>> reach_bins(np.array([1, 10, 11]), 10).tolist()
    [1, 1, 2]
    """
    found: Int = -(-np.asarray(reach_ns, np.int64) // span_ns)
    return found

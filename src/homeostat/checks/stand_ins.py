"""Stand-ins for the world and for the first stages, small enough to see through: for tests of loops and of plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.ports import Entry, Unavailable
from homeostat.records import codec
from homeostat.records.arrays import Float, State
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch, Row
from homeostat.records.features import Features
from homeostat.records.identity import Coding, Identity, Ids
from homeostat.records.rows import outcome_parts, parts


class ScriptedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ns: int = 0) -> None:
        self.time_ns = now_ns

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_ns(self) -> int:
        return self.time_ns

    def advance(self, ns: int) -> None:
        """Let time pass."""
        self.time_ns += ns


class MemoryJournal:
    """A journal in memory, which keeps what was appended as bytes, and can fail.

    rows_max : larger batches become several entries
    failures : so many of the next appends raise Unavailable
    """

    def __init__(self, rows_max: int = 1 << 30) -> None:
        self.rows_max = rows_max
        self.failures = 0
        self.bodies: list[bytes] = []
        self.coding = Coding.of_seed(0)
        self._schemas = codec.Schemas()
        self._found: dict[Identity, tuple[int, int]] = {}

    def append(self, body: Body) -> int:
        if self.failures > 0:
            self.failures -= 1
            raise Unavailable("the journal was set to fail")
        if isinstance(body, OutcomeBatch):
            self.bodies += [codec.encode_beside(piece, self._schemas) for piece in outcome_parts(body, self.rows_max)]
            return len(self.bodies)
        if isinstance(body, ChangeBatch):
            self.bodies.append(codec.encode_beside(body, self._schemas))
            return len(self.bodies)
        for piece in parts(body, self.rows_max):
            for row, one in enumerate(piece.events.ids.tolist()):
                self._found.setdefault(one, (len(self.bodies), row))
            self.bodies.append(codec.encode_beside(piece, self._schemas))
        return len(self.bodies)

    def read(self, after: int = 0) -> Iterator[Entry]:
        for k in range(after, len(self.bodies)):
            yield Entry(k + 1, codec.decode(self.bodies[k], self._schemas))

    def seen(self, ids: Ids) -> NDArray[np.bool_]:
        return np.array([one in self._found for one in ids.tolist()], bool)

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        if event_id not in self._found:
            return None
        entry, row = self._found[event_id]
        body = codec.decode(self.bodies[entry], self._schemas)
        assert isinstance(body, DecisionBatch)
        return body, row

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        return [self.find(one) for one in ids.tolist()]


class CountingFeaturizer:
    """An event's fields, how often its first entity was seen, and how many of that entity's events turned out positive.

    A late event sees the counts and is not counted.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.names = (*fields, "count", "positives")
        self._counts: dict[int, float] = {}
        self._positive: dict[int, int] = {}  # Event id -> entity, of the events known as positive.

    def features(self, events: EventBatch) -> Features:
        n, fields = events.numbers.shape
        values = np.zeros((n, len(self.names)))
        values[:, :fields] = events.numbers
        for row in range(n):
            key, kind = int(events.keys[row, 0]), int(events.kind[row])
            if kind == Row.EVENT:
                self._counts[key] = self._counts.get(key, 0.0) + 1.0
            elif kind == Row.OUTCOME and events.label[row] == 1.0:
                self._positive[int(events.id_code[row])] = key
            elif kind == Row.OUTCOME:
                self._positive.pop(int(events.id_code[row]), None)
            values[row, fields] = self._counts.get(key, 0.0)
            values[row, fields + 1] = sum(owner == key for owner in self._positive.values())
        return Features(self.names, values, np.zeros((n, len(self.names)), np.uint8))

    def state(self) -> State:
        counts = sorted(self._counts.items())
        positive = sorted(self._positive.items())
        return {
            "keys": np.array([key for key, _ in counts], np.int64), "counts": np.array([c for _, c in counts]),
            "positive": np.array(positive, np.int64).reshape(-1, 2),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        self._counts = dict(zip(state["keys"].tolist(), state["counts"].tolist(), strict=True))
        self._positive = {int(code): int(key) for code, key in state["positive"]}


class FunctionScorer:
    """Scores by a function of the features' values (n, features) -> (n,), always confident."""

    def __init__(self, name: str, function: Callable[[Float], Float]) -> None:
        self.name = name
        self.function = function

    def score(self, features: Features) -> tuple[Float, Float]:
        return self.function(features.values), np.ones(len(features))

"""When outcomes become known, from the decisions and outcomes that a rehearsal has read: a few columns of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from homeostat.records.arrays import Float, Int, Small
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch

_PARTS_MAX = 512  # Many small parts are put together now and then.


@dataclass(slots=True)
class Lately:
    """See the module. Decisions come in by `take` in the app's present names, outcomes by `learn`."""

    _decided: list[tuple[Int, Int, Small]] = field(default_factory=list)
    _known: list[tuple[Int, Float, Int]] = field(default_factory=list)

    def take(self, decisions: DecisionBatch) -> None:
        """Take decisions in."""
        self._decided.append((decisions.events.id_code, decisions.events.time_ns, decisions.ruling.action))
        if len(self._decided) > _PARTS_MAX:
            self._decided = [self.decided()]

    def learn(self, outcomes: OutcomeBatch) -> None:
        """Take outcomes in."""
        self._known.append((outcomes.id_code, outcomes.label, outcomes.known_ns))
        if len(self._known) > _PARTS_MAX:
            self._known = [self._outcomes()]

    def copy(self) -> Lately:
        """The same, which goes on by itself."""
        return Lately(list(self._decided), list(self._known))

    def decided(self) -> tuple[Int, Int, Small]:
        """(n,) ids, event times and actions of the decisions, in their order."""
        if not self._decided:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int16)
        code, time_ns, action = (np.concatenate(parts) for parts in zip(*self._decided, strict=True))
        return code, time_ns, action

    def known(self) -> tuple[Float, Int]:
        """(n,) the last outcome of each decision and when it became known; NaN and 0 where none did."""
        code = self.decided()[0]
        label, known_ns = np.full(len(code), np.nan), np.zeros(len(code), np.int64)
        ids, labels, at_ns = self._outcomes()
        if len(ids) and len(code):
            order = np.argsort(code, kind="stable")
            at = np.minimum(np.searchsorted(code[order], ids), len(code) - 1)
            found = code[order[at]] == ids
            label[order[at][found]], known_ns[order[at][found]] = labels[found], at_ns[found]
        return label, known_ns

    def _outcomes(self) -> tuple[Int, Float, Int]:
        if not self._known:
            return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
        code, label, known_ns = (np.concatenate(parts) for parts in zip(*self._known, strict=True))
        return code, label, known_ns

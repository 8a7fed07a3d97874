"""Outcomes that have arrived and whose moment in the stream has not come."""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Int, State
from homeostat.records.events import OutcomeBatch
from homeostat.records.rows import joined_outcomes

_AFTER_ALL = np.iinfo(np.int64).max


class Waiting:
    """Hands outcomes out at their moments: those at once before the next event, the scheduled ones by event time.

    Scheduled outcomes lie in runs sorted by their moments. A run is merged into the one before it once it is half as
    long, so there are never more than log2(n) runs, whether outcomes come one by one or a million at a time.
    """

    def __init__(self) -> None:
        self._at_once: list[OutcomeBatch] = []
        self._runs: list[OutcomeBatch] = []
        self._next_ns = _AFTER_ALL

    def __len__(self) -> int:
        """How many outcomes wait."""
        return sum(map(len, self._at_once)) + sum(map(len, self._runs))

    @property
    def at_once(self) -> bool:
        """Whether some wait that are not scheduled."""
        return len(self._at_once) > 0

    def add(self, outcomes: OutcomeBatch) -> None:
        """Take outcomes in."""
        if len(outcomes) == 0:
            return
        if not outcomes.scheduled:
            self._at_once.append(outcomes)
            return
        self._runs.append(_by_moment(outcomes))
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) >= len(self._runs[-2]):
            last = self._runs.pop()
            self._runs[-1] = _by_moment(joined_outcomes([self._runs[-1], last]))
        self._next_ns = min(self._next_ns, int(outcomes.known_ns.min()))

    def due(self, running_ns: Int) -> tuple[Int, OutcomeBatch] | None:
        """Take out what counts from a row of a batch on, or None.

        running_ns : (n,) the watermark as each row arrives, never falling
        Returns (m,) rows, never falling, each the first that the outcome counts for; and the m outcomes.
        """
        if not self._at_once and (len(running_ns) == 0 or self._next_ns > running_ns[-1]):
            return None
        if len(running_ns) == 0:
            return None
        at_once, taken = self._at_once, []
        self._at_once = []
        if self._next_ns <= running_ns[-1]:
            taken = self._take(int(running_ns[-1]))
        parts = [joined_outcomes(batches) for batches in (at_once, taken) if batches]
        if taken:
            parts[-1] = _by_moment(parts[-1])
        position = np.zeros(sum(map(len, parts)), np.int64)
        if taken:
            position[len(position) - len(parts[-1]) :] = np.searchsorted(running_ns, parts[-1].known_ns)
        return position, joined_outcomes(parts)

    def _take(self, until_ns: int) -> list[OutcomeBatch]:
        """The due ones of every run, in order of arrival."""
        taken, runs = [], []
        for run in self._runs:
            split = int(np.searchsorted(run.known_ns, until_ns, "right"))
            if split:
                taken.append(_cut(run, 0, split))
            if split < len(run):
                runs.append(_cut(run, split, len(run)))
        self._runs = runs
        self._next_ns = min((int(run.known_ns[0]) for run in runs), default=_AFTER_ALL)
        return taken

    def state(self) -> State:
        """Every array of the outcomes at once, and of the scheduled ones."""
        state: State = {}
        for kind, batches in (("at_once", self._at_once), ("scheduled", self._runs)):
            if batches:
                batch = joined_outcomes(batches) if kind == "at_once" else _by_moment(joined_outcomes(batches))
                for name in _ARRAYS:
                    array = getattr(batch, name)
                    if array is not None:
                        state[f"{kind}/{name}"] = array
        return state

    def restore(self, state: State) -> None:
        """Continue from a state; what waits now is forgotten."""
        self._at_once, self._runs, self._next_ns = [], [], _AFTER_ALL
        for kind in ("at_once", "scheduled"):
            if f"{kind}/id_code" in state:
                arrays = {name: state.get(f"{kind}/{name}") for name in _ARRAYS}
                self.add(OutcomeBatch(**arrays, scheduled=kind == "scheduled"))  # type: ignore[arg-type]


_ARRAYS = ("id_code", "id_check", "label", "known_ns", "amount", "time_ns", "keys", "key_checks")


def _by_moment(outcomes: OutcomeBatch) -> OutcomeBatch:
    """Sorted by when they count; those of one moment in order of arrival."""
    known_ns = outcomes.known_ns
    if bool(np.all(known_ns[1:] >= known_ns[:-1])):
        return outcomes
    return outcomes.rows(np.argsort(known_ns, kind="stable"))


def _cut(outcomes: OutcomeBatch, start: int, stop: int) -> OutcomeBatch:
    """Outcomes `start` to `stop`; copied, so that a few that still wait don't hold on to a large file's."""
    return outcomes.rows(np.arange(start, stop))

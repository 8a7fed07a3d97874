"""Finds out what is wrong with the rows: a case is opened, followed and closed by rows alone, before any label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.models.healing.groups import Group, excess, find, limit, strangeness
from homeostat.models.healing.kinds import Fault, mended, named
from homeostat.models.healing.law import Bins, Law
from homeostat.models.healing.memory import Memory
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.verdicts import Verdict

_LOOK = 50  # New rows from one look to the next. Looking costs some milliseconds.
WINDOWS = (150, 600, 4_000)  # Rows: a strong fault shows in the first, a weak one needs the last.
_GROWTH = 1.25  # Of a case's rows, after which its group is fitted again.
_OVER = 0.2  # Of the group's share: if fewer of the latest rows belong to it, the fault has ended.
_SPLITS = 3  # Values of a column that get a bin of their own, at most.
NO_GAPS = 0.001  # Share of gaps below which a column of the reference has none that a model could have learned from.


@dataclass(slots=True)
class Case:
    """A group of rows that something happened to.

    since : the batch of its first row, from 0; onset : that row
    fitted : rows that its group was fitted on
    action : quarantine, repair, impute or none
    moved : whether its law has become the reference's
    tried : labelled rows of the group when a model last learned from them on trial
    asked : the end of the rows when their labels were last looked at
    """

    group: Group
    faults: list[Fault]
    since: int
    onset: int
    fitted: int
    action: str = "quarantine"
    verdict: Verdict = Verdict.INCONCLUSIVE
    moved: bool = False
    tried: int = 0
    asked: int = 0

    @property
    def kinds(self) -> dict[str, list[int]]:
        """The columns by the kind of their fault."""
        if self.action == "none":
            return {"covariate shift": [fault.column for fault in self.faults]}
        found: dict[str, list[int]] = {}
        for fault in self.faults:
            found.setdefault(fault.kind, []).append(fault.column)
        return found


class Diagnosis:
    """Holds windows of rows against the law of the reference."""

    def __init__(self, law: Law, whole: list[bool]) -> None:
        self.law, self.whole = law, whole
        self.case: Case | None = None
        self.past: list[Case] = []
        self._looked = 0
        self._moved = 0
        self._split: dict[int, int] = {}

    @property
    def cases(self) -> list[Case]:
        """All cases, the oldest first."""
        return [*self.past, *([] if self.case is None else [self.case])]

    def look(self, memory: Memory) -> bool:
        """Look at the latest rows. Returns whether rows have to be judged again, from the case's onset on."""
        if memory.end - self._looked < _LOOK:
            return False
        self._looked = memory.end
        self._give_bins(memory)
        if self.case is None:
            return self._open(memory)
        return self._follow(memory, self.case)

    def belongs(self, bins: Bins) -> Float:
        """(n,) the probability that a row is of the case's group, 0 if there is no case."""
        return np.zeros(len(bins)) if self.case is None else self.case.group.belongs(bins)

    def healed(self, raw: Float, action: str | None = None) -> tuple[Float, Mask]:
        """The rows as a model should see them, and which of them no model may learn from.

        action : for the rows of the case's group; that of the case by default
        """
        gaps = np.isnan(raw) & (self.law.gaps < NO_GAPS)
        case = self.case
        if case is None:
            x = self.law.filled(raw, gaps) if gaps.any() else raw
            return x, np.asarray(self.law.far(raw).any(axis=1) | gaps.any(axis=1), dtype=np.bool_)
        action = case.action if action is None else action
        bins = self.law.bins(raw, case.group.views)
        rows = case.group.belongs(bins) > 0.5
        x, made_up = raw, gaps.copy()
        trusted = action == "none"
        if action in ("repair", "impute"):
            for fault in case.faults:
                chosen = rows & self._off(fault.column, bins)
                if action == "repair" and fault.reversible:
                    x = x.copy() if x is raw else x
                    x[chosen, fault.column] = mended(raw, [fault], chosen, self.whole)[chosen, fault.column]
                else:
                    made_up[chosen, fault.column] = True
            trusted = action == "repair"
        if made_up.any():
            x = self.law.filled(x, made_up)
        bad = self.law.far(x).any(axis=1) | (gaps.any(axis=1) & ~rows)
        return x, np.asarray(bad | (rows & (not trusted)), dtype=np.bool_)

    def settle(self, memory: Memory) -> None:
        """The labels of the case's rows are right, so their law is the law from now on, once there are enough rows."""
        case = self.case
        if case is None or memory.end - case.onset < WINDOWS[1]:
            return
        start = max(case.onset, memory.end - WINDOWS[-1])
        self.law.move(memory.since("bins", start))
        self._moved = memory.end
        case.moved = True
        self.past.append(case)
        self.case = None

    def _off(self, column: int, bins: Bins) -> Mask:
        """(n,) for rows of the group, whether this column of theirs is one of those that the fault reached."""
        assert self.case is not None
        group = self.case.group
        for view, ratio in zip(group.views, group.ratios, strict=True):
            if self.law.views[view].column == column:
                # The group's own rows leave some bin of the reference nearly empty; the rest there was spared.
                spared = float(np.exp(ratio[self.law.shares()[view] > 0.02]).min(initial=1.0))
                return np.asarray(spared * np.exp(-ratio)[bins[:, view]] < 0.5, dtype=np.bool_)
        return np.ones(len(bins), dtype=np.bool_)

    def _open(self, memory: Memory) -> bool:
        shares = self.law.shares()
        least, best, chosen = limit(shares), 0.0, 0
        for rows in WINDOWS:
            start = max(memory.end - rows, self._moved, memory.first)
            bins = memory.since("bins", start)
            if len(bins) < _LOOK // 2:
                continue
            strange = float(strangeness(bins, shares, self.law.rows).max())
            if strange > least and strange > 1.3 * best:
                best, chosen = strange, start
        if not best:
            return False
        bins = memory.since("bins", chosen)
        group = find(bins, self.law.views, shares, self.law.rows)
        if group is None:
            return False
        onset = self._onset(memory, chosen, group)
        since = int(memory.since("batch", onset)[0])
        self.case = Case(group, [], since, onset, 0)
        if not self._refit(memory, self.case):
            self.case = None
        return self.case is not None

    def _onset(self, memory: Memory, start: int, group: Group) -> int:
        """The row from which on rows are of the group: where the sum of log-likelihood ratios is lowest before."""
        belongs = group.belongs(memory.since("bins", start))
        steps = np.log1p(-group.share) - np.log(np.maximum(1 - belongs, 1e-9))
        sums = np.concatenate([[0.0], np.cumsum(steps)])
        first = start + int(sums[: int(sums.argmax()) + 1].argmin())
        batches = memory.since("batch", start)
        # A batch is of one time, so the fault is taken to begin with a batch.
        return start + int(np.searchsorted(batches, batches[min(first - start, len(batches) - 1)]))

    def _follow(self, memory: Memory, case: Case) -> bool:
        recent = memory.since("bins", max(memory.end - WINDOWS[1], case.onset))
        shares = self.law.shares()
        rare = len(recent) >= WINDOWS[1] // 2 and case.group.belongs(recent).mean() < _OVER * case.group.share
        if rare and float(strangeness(recent, shares, self.law.rows).max()) < limit(shares):
            self.past.append(case)
            self.case = None
            self._moved = max(self._moved, memory.end - len(recent))
            return False
        rows = memory.end - case.onset
        grown = rows >= _GROWTH * case.fitted and case.fitted < WINDOWS[-1]
        news = float(strangeness(recent, shares, self.law.rows, case.group).max()) > limit(shares)
        if grown or (news and rows >= 1.1 * case.fitted) or rows - case.fitted >= 2_000:
            return self._refit(memory, case)
        return False

    def _refit(self, memory: Memory, case: Case) -> bool:
        start = max(case.onset, memory.end - WINDOWS[-1], memory.first)
        bins, raw = memory.since("bins", start), memory.since("raw", start)
        group = find(bins, self.law.views, self.law.shares(), self.law.rows, case.group)
        case.fitted = memory.end - case.onset
        if group is None:
            return False
        case.group = group
        weights = case.group.belongs(bins)
        blamed = case.group.columns
        case.faults = [
            named(at, raw, weights * self._off(at, bins), self.law.sample, self.law.numbers, blamed) for at in blamed
        ]
        return True

    def _give_bins(self, memory: Memory) -> None:
        """A bin of its own for a value that fills more rows than the reference lets expect."""
        start = max(memory.end - WINDOWS[1], memory.first)
        raw = memory.since("raw", start)
        if len(raw) < _LOOK // 2:
            return
        fresh = False
        for at, number in enumerate(self.law.numbers):
            if not number or self._split.get(at, 0) >= _SPLITS:
                continue
            values, counts = np.unique(raw[:, at][np.isfinite(raw[:, at])], return_counts=True)
            if not len(counts) or counts.max() < 5:
                continue
            value, count = float(values[counts.argmax()]), int(counts.max())
            known = float(np.sum(self.law.sample[:, at] == value))
            expected = len(raw) * (known + 2 * np.sqrt(known) + 0.5) / len(self.law.sample)
            if float(excess(np.array([count]), np.array([expected]))[0]) > limit(self.law.shares()):
                fresh = self.law.split(at, value) or fresh
                self._split[at] = self._split.get(at, 0) + 1
        if fresh:
            memory.replace_bins(self.law.bins(memory.since("raw", memory.first)))
            if self.case is not None and not self._refit(memory, self.case):
                self.past.append(self.case)
                self.case = None


def sorted_rows(matrix: Float, y: Float) -> Int:
    """(n,) an order of the rows that does not depend on the order in which they came."""
    return np.asarray(np.lexsort((y, *matrix.T[::-1])), dtype=np.int64)

"""Training sets on several processes or machines: the kernels that serve, each on a share of an entity's keys.

The stream is read once, in order of arrival. Each row goes to the share of its customer, and to that of its terminal;
each share is one job; the jobs' features are put side by side again, bit for bit those of a local replay. Three things
are the whole stream's and not a share's, so they are found here: which rows came too late, how far event time had
come before each of these, and which outcomes are too old to count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

import homeostat
from homeostat.decide.windows.around import Around
from homeostat.decide.windows.features import FeaturePlan
from homeostat.expressions import Membership
from homeostat.jobs.training_set_parts import (
    WATERMARK,
    EntityCut,
    Piece,
    cuts,
    features_of_part,
    job_text,
    share_of,
    wanted,
)
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.records.events import EventBatch, Row
from homeostat.records.features import Features
from homeostat.records.identity import ABSENT

PIECE_ROWS = 131_072
"""Rows of a share that are handed over together: as many as the kernels sort by entity at a time."""

_NEVER = np.iinfo(np.int64).min // 2
_NONE: Any = np.empty(0)


class Job(NamedTuple):
    """One share of one entity's rows: what `features_of_part` is called with; the pieces as `keep` gave them."""

    text: str
    pieces: tuple[Any, ...]


class Executor(Protocol):
    """Where jobs are run."""

    def keep(self, piece: Piece) -> Any:
        """Put rows where the processes that run jobs can read them; returns what names them in a job."""
        ...

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, tuple[Float, Bytes]]]:
        """Each job's number and result, in whatever order they are done."""
        ...


class ThisProcess:
    """An `Executor` that runs one job after the other, where it is."""

    def keep(self, piece: Piece) -> Any:
        return piece

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, tuple[Float, Bytes]]]:
        for number, job in enumerate(jobs):
            yield number, features_of_part(job.text, *job.pieces)


@dataclass(slots=True)
class _Share:
    """The rows of one entity whose keys fall into one partition.

    waiting, rows : not handed over yet, and how many rows they have
    kept : pieces handed over
    numbers : of the rows whose features are asked for
    """

    waiting: list[Piece] = field(default_factory=list)
    rows: int = 0
    kept: list[Any] = field(default_factory=list)
    numbers: list[Int] = field(default_factory=list)


class PartitionedFeaturizer:
    """Takes events in as a featurizer does, but only numbers them; `collected` computes their features.

    plan, lists : see `WindowFeaturizer`
    partitions : how many shares the keys of each entity are divided into
    from_ns : events since then are asked for; earlier ones only fill the windows. All when None.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        executor: Executor,
        partitions: int,
        *,
        lists: Membership | None = None,
        from_ns: int | None = None,
    ) -> None:
        if not 1 <= partitions <= 65_536:
            raise ValueError(f"{partitions} partitions: there must be 1 to 65,536")
        self.plan, self.partitions = plan, partitions
        self._executor, self._from_ns = executor, from_ns
        self._cuts = cuts(plan.windows)
        self._shares = [[_Share() for _ in range(partitions)] for _ in self._cuts]
        self._around = Around(plan, lists)
        self._newest = _NEVER
        self._asked = 0
        self._kept: list[tuple[Float, Int, Int, Int]] = []

    def features(self, events: EventBatch) -> Features:
        """Take rows in: events, late events, and outcomes at their places among them.

        Returns their numbers among the events that are asked for, as a feature `row`; NaN for others.
        Raises ValueError when the batch's columns are not those of the plan.
        """
        plan, n = self.plan, len(events)
        if events.numbers.shape != (n, plan.fields) or events.keys.shape != (n, plan.entities):
            found = f"{events.numbers.shape[1:]} fields and {events.keys.shape[1:]} entities"
            raise ValueError(f"events have {found}, the plan has {plan.fields} and {plan.entities}")
        if n == 0:
            return Features(("row",), np.empty((0, 1)), np.empty((0, 1), np.uint8))
        newest, kind = self._judged(events)
        asked = wanted(events.time_ns, kind, self._from_ns)
        number = np.where(asked, self._asked + np.cumsum(asked) - 1, -1)
        self._asked += int(np.count_nonzero(asked))
        self._kept.append((events.numbers[asked], events.keys[asked], events.key_checks[asked], events.time_ns[asked]))
        seen = self._around.seen(
            events.numbers, np.array(events.keys, order="C"), np.array(events.key_checks, order="C"),
            np.array(events.time_ns),
        )  # fmt: skip
        for cut, shares in zip(self._cuts, self._shares, strict=True):
            self._scatter(cut, shares, events, seen, newest, kind, number)
        row = np.where(asked, number.astype(np.float64), np.nan)[:, None]
        return Features(("row",), row, np.zeros((n, 1), np.uint8))

    def collected(self, rows: Int | None = None) -> Features:
        """The features of the events that were asked for, in order of arrival, or of those with these numbers.

        rows : (m,) numbers, rising
        Raises what the executor raises where a job can't be done. To be called once: nothing is kept.
        """
        for shares in self._shares:
            for share in shares:
                self._hand_over(share)
        numbers, keys, checks, time_ns = (np.concatenate(columns) for columns in zip(*self._kept, strict=True))
        self._kept.clear()
        place = np.arange(self._asked)
        if rows is not None:
            place = np.full(self._asked, -1)
            place[rows] = np.arange(len(rows))
            numbers, keys, checks, time_ns = numbers[rows], keys[rows], checks[rows], time_ns[rows]
        values, freshness = self._gathered(len(numbers), place)
        numbers, keys, checks, time_ns = map(np.ascontiguousarray, (numbers, keys, checks, time_ns))
        self._around.complete(numbers, keys, checks, time_ns, values, freshness)
        return Features(self.plan.names, values, freshness)

    def state(self) -> State:
        """A training run is done again from its start."""
        raise NotImplementedError("a partitioned training run keeps no snapshot")

    def restore(self, state: State) -> None:
        """See `state`."""
        raise NotImplementedError("a partitioned training run keeps no snapshot")

    def _judged(self, events: EventBatch) -> tuple[Int, Bytes]:
        """The time that events have reached as of each row, and its kind with lateness judged over the whole stream."""
        is_event = events.kind == Row.EVENT
        newest = np.maximum.accumulate(np.where(is_event, np.maximum(events.reach, self._newest), self._newest))
        self._newest = int(newest[-1])
        late = is_event & (events.time_ns < newest - self.plan.windows.lateness_ns)
        return newest, np.where(late, np.uint8(Row.LATE_EVENT), events.kind)

    def _scatter(
        self,
        cut: EntityCut,
        shares: list[_Share],
        events: EventBatch,
        seen: Float,
        newest: Int,
        kind: Bytes,
        number: Int,
    ) -> None:
        """Give each row to the share of its key, with the whole stream's event time before a row that came too late."""
        key, check = events.keys[:, cut.entity], events.key_checks[:, cut.entity]
        kept = self._counting(cut, key, events.time_ns, kind, newest)
        late = kind[kept] == Row.LATE_EVENT
        index = np.repeat(kept, 1 + late)
        tick = np.zeros(len(index), bool)
        if late.any():  # Of the two rows that stand for a late one, the first tells the time.
            tick[np.flatnonzero(late) + np.cumsum(late)[late] - 1] = True
        share = share_of(key[index], self.partitions).astype(np.uint16)
        order = np.argsort(share, kind="stable")
        index, tick = index[order], tick[order]
        masks = [self._around.masks_from + mask for mask in cut.masks]
        piece = (
            np.where(tick, newest[index], events.time_ns[index]), key[index], check[index],
            seen[index[:, None], list(cut.values)],
            (seen[index[:, None], masks] != 0.0).view(np.uint8),
            events.label[index] if cut.labelled else _NONE,
            events.tag[index] if cut.labelled else _NONE.astype(np.int64),
            np.where(tick, np.uint8(WATERMARK), kind[index]),
        )  # fmt: skip
        row = np.where(tick, -1, number[index])
        ends = np.cumsum(np.bincount(share, minlength=self.partitions))
        for one, start, stop in zip(shares, (0, *ends[:-1].tolist()), ends.tolist(), strict=True):
            if start < stop:
                one.waiting.append(tuple(column[start:stop] for column in piece))  # type: ignore[arg-type]
                one.rows += stop - start
                asked = row[start:stop]
                one.numbers.append(asked[asked >= 0])
                if one.rows >= PIECE_ROWS:
                    self._hand_over(one)

    @staticmethod
    def _counting(cut: EntityCut, key: Int, time_ns: Int, kind: Bytes, newest: Int) -> Int:
        """The rows that matter to an entity: not outcomes that its windows don't ask for, or that are too old."""
        outcome = kind == Row.OUTCOME
        if not outcome.any():
            return np.arange(len(kind))
        if not cut.labelled:
            return np.flatnonzero(~outcome)
        return np.flatnonzero(~outcome | ((key != ABSENT) & (time_ns > newest - cut.retained_ns)))

    def _hand_over(self, share: _Share) -> None:
        if share.waiting:
            columns = zip(*share.waiting, strict=True)
            piece: Any = tuple(np.ascontiguousarray(np.concatenate(column)) for column in columns)
            share.kept.append(self._executor.keep(piece))
            share.waiting, share.rows = [], 0

    def _gathered(self, n: int, place: Int) -> tuple[Float, Bytes]:
        """The windows' features in their columns; `place` says which row each number is, -1 for none."""
        plan = self.plan
        values = np.full((n, len(plan.names)), np.nan)
        freshness = np.zeros(values.shape, np.uint8)
        jobs, owners = [], []
        for cut, shares in zip(self._cuts, self._shares, strict=True):
            text = job_text(cut.windows, self._from_ns, homeostat.__version__)
            for share in shares:
                if share.kept and share.numbers:
                    jobs.append(Job(text, tuple(share.kept)))
                    owners.append((cut, np.concatenate(share.numbers)))
                share.kept, share.numbers = [], []
        for job, (made, fresh) in self._executor.run(jobs):
            cut, numbers = owners[job]
            row = place[numbers]
            here = row >= 0
            if not here.all():
                row, made, fresh = row[here], made[here], fresh[here]
            for start, stop in _runs(cut.slots):
                at = plan.fields + cut.slots[start]
                values[row, at : at + stop - start] = made[:, start:stop]
                freshness[row, at : at + stop - start] = fresh[:, start:stop]
        return values, freshness


def _runs(slots: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Where neighbouring columns stay neighbours: writing them together is three times as fast.

    >>> list(_runs((4, 5, 6, 9, 10)))
    [(0, 3), (3, 5)]
    """
    start = 0
    for place in range(1, len(slots) + 1):
        if place == len(slots) or slots[place] != slots[place - 1] + 1:
            yield start, place
            start = place


def training_features(
    plan: FeaturePlan,
    rows: Iterable[EventBatch],
    *,
    executor: Executor | None = None,
    partitions: int = 4,
    lists: Membership | None = None,
    from_ns: int | None = None,
) -> Features:
    """The features of recorded events, computed in shares; the same, bit for bit, as `WindowFeaturizer` makes of them.

    rows : batches in order of arrival: events, late events, and outcomes at their places among them
    executor : where the shares are computed; in this process when None
    partitions, lists, from_ns : see `PartitionedFeaturizer`
    Returns the features of the events since `from_ns`, in order of arrival; those of outcome rows are left out.
    """
    featurizer = PartitionedFeaturizer(plan, executor or ThisProcess(), partitions, lists=lists, from_ns=from_ns)
    for batch in rows:
        featurizer.features(batch)
    return featurizer.collected()

"""Asks every scorer of a batch, within its deadline, and goes on without those that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.contracts import Scorer
from homeostat.ports import Clock
from homeostat.records.arrays import Bytes, Float
from homeostat.records.decisions import Scores
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback, Reason
from homeostat.stats.compiled import compiled

_Answer = tuple[Float, Float]
_TROUBLES_MAX = 3  # So many failures or late answers in a row open a scorer's circuit.
_COOL_DOWN_NS = 1_000_000_000  # An open circuit is tried again after a second.


class _Aside:
    """A thread that asks one scorer. Unlike a thread pool's, it can't keep the process from ending when it hangs."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[Future[_Answer], Scorer, Features] | None] = SimpleQueue()
        Thread(target=self._work, name=f"scorer {name}", daemon=True).start()

    def ask(self, scorer: Scorer, features: Features) -> Future[_Answer]:
        """The answer, once it is there."""
        answer: Future[_Answer] = Future()
        self._jobs.put((answer, scorer, features))
        return answer

    def close(self) -> None:
        """End the thread, as soon as it has nothing to do."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            answer, scorer, features = job
            try:
                answer.set_result(scorer.score(features))
            except Exception as error:
                answer.set_exception(error)
            except BaseException as error:  # Not even a scorer that exits may leave the decision waiting, or end it.
                answer.set_exception(RuntimeError(f"the scorer ended its thread: {error!r}"))


@dataclass(slots=True)
class Seat:
    """One scorer on the panel.

    deadline_ns : an answer later than this is not used; None waits for ever
    isolated : asked in a thread of its own, so that a hanging scorer can't hang the decision
    troubles : failures and late answers since the last good one
    counts : the scorer's failures by cause, a batch each
    """

    scorer: Scorer
    deadline_ns: int | None = None
    isolated: bool = False
    troubles: int = 0
    open_until_ns: int = 0
    busy: Future[_Answer] | None = None
    aside: _Aside | None = None
    counts: dict[Reason, int] = field(default_factory=dict)

    def trouble(self, reason: Reason, now_ns: int) -> None:
        """Count a failure; after several in a row the scorer is left alone for a while."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.troubles += 1
        if self.troubles >= _TROUBLES_MAX:
            self.open_until_ns = now_ns + _COOL_DOWN_NS

    def start(self, features: Features) -> Future[_Answer] | None:
        """Set an isolated scorer to work; None where it still works on an earlier batch."""
        if self.busy is not None and not self.busy.done():
            return None
        if self.aside is None:
            self.aside = _Aside(self.scorer.name)
        self.busy = self.aside.ask(self.scorer, features)
        return self.busy


class Panel:
    """The scorers of an app.

    clock : for the deadlines; without one (replay), every scorer is waited for
    on_error : told of each exception, with the scorer's name
    rows : what a deadline is for; a larger batch has in proportion more time. None: no more, however large the batch
    """

    def __init__(
        self,
        seats: Sequence[Seat],
        clock: Clock | None,
        on_error: Callable[[str, Exception], None] | None = None,
        rows: int | None = None,
    ) -> None:
        self.seats = tuple(seats)
        self.names = tuple(seat.scorer.name for seat in seats)
        self._clock = clock
        self._now_ns: Callable[[], int] = _timeless if clock is None else clock.monotonic_ns
        self._on_error = on_error
        self._rows, self._share = rows, 1.0
        self._isolated = clock is not None and any(seat.isolated for seat in seats)

    def score(self, features: Features) -> Scores:
        """Scores of a batch. A scorer that fails or is late is missing and flagged; so is what is no score."""
        n = len(features)
        self._share = 1.0 if self._rows is None else max(1.0, n / self._rows)
        values, confidence = np.empty((n, len(self.seats))), np.empty((n, len(self.seats)))
        begun_ns = self._now_ns()
        pending = self._start(features, begun_ns) if self._isolated else {}
        bits, answered = 0, []
        for column, seat in enumerate(self.seats):
            answer, bit = self._ask(seat, features, pending.get(column), begun_ns)
            bits |= bit
            if answer is not None:
                values[:, column], confidence[:, column] = answer
                answered.append(column)
            else:
                values[:, column], confidence[:, column] = np.nan, 0.0
        fallback = np.zeros(n, np.uint8)
        if _all_sound(values, confidence):
            for seat in self.seats:
                seat.troubles = 0
        else:
            fallback |= bits
            self._leave_out(values, confidence, fallback, _sound(values, confidence), answered)
        return Scores(self.names, values, confidence, fallback)

    def score_again(self, features: Features, missing: Sequence[bool]) -> Scores:
        """Scores of other features, as an explanation wants them: without those scorers, and with nothing counted.

        A scorer that fails is missing.
        """
        n = len(features)
        values, confidence = np.full((n, len(self.seats)), np.nan), np.zeros((n, len(self.seats)))
        for column, seat in enumerate(self.seats):
            if not missing[column]:
                try:
                    values[:, column], confidence[:, column] = _checked(seat.scorer.score(features), n)
                except Exception:
                    values[:, column], confidence[:, column] = np.nan, 0.0
        unsound = ~_sound(values, confidence)
        values[unsound], confidence[unsound] = np.nan, 0.0
        return Scores(self.names, values, confidence, np.zeros(n, np.uint8))

    def _start(self, features: Features, now_ns: int) -> dict[int, Future[_Answer]]:
        """Set the isolated scorers to work, so that they work at the same time; by column."""
        started = {}
        for column, seat in enumerate(self.seats):
            if seat.isolated and seat.open_until_ns <= now_ns:
                answer = seat.start(features)
                if answer is not None:
                    started[column] = answer
        return started

    def _ask(
        self, seat: Seat, features: Features, started: Future[_Answer] | None, begun_ns: int
    ) -> tuple[_Answer | None, int]:
        """One scorer's answer, or None and the `Fallback` bit that says why not."""
        if self._clock is not None:
            if seat.open_until_ns > begun_ns:
                return None, self._counted(seat, Reason.SCORER_FAILED)
            if seat.isolated and started is None:
                return None, self._counted(seat, Reason.SCORER_LATE)
        asked_ns = begun_ns if seat.isolated else self._now_ns()
        try:
            if started is None:
                answer = seat.scorer.score(features)
            else:
                answer = self._wait(seat, started, asked_ns)
            answer = _checked(answer, len(features))
        except _TooLate:
            seat.trouble(Reason.SCORER_LATE, self._now_ns())
            return None, Fallback.SCORER_LATE
        except Exception as error:  # A scorer may be anyone's code: whatever it raises, the decision goes on.
            self._failed(seat, error)
            return None, Fallback.SCORER_FAILED
        if (
            started is None
            and seat.deadline_ns is not None
            and self._now_ns() - asked_ns > seat.deadline_ns * self._share
        ):
            seat.trouble(Reason.SCORER_LATE, self._now_ns())
            return None, Fallback.SCORER_LATE
        return answer, 0

    def _wait(self, seat: Seat, started: Future[_Answer], begun_ns: int) -> _Answer:
        """What an isolated scorer says by its deadline, which began when it was set to work."""
        if seat.deadline_ns is None:
            return started.result()
        left_ns = seat.deadline_ns * self._share - (self._now_ns() - begun_ns)
        try:
            return started.result(max(0, left_ns) / 1e9)
        except TimeoutError:
            if started.done():  # It was the scorer itself that raised, or it answered at this very moment.
                return started.result()
            raise _TooLate from None

    def _leave_out(
        self, values: Float, confidence: Float, fallback: Bytes, sound: NDArray[np.bool_], answered: list[int]
    ) -> None:
        """Take what is no score out of the answers, row by row, so that a batch's other rows keep theirs."""
        for column in answered:
            seat, bad = self.seats[column], ~sound[:, column]
            if not bad.any():
                seat.troubles = 0
                continue
            values[bad, column], confidence[bad, column] = np.nan, 0.0
            fallback[bad] |= Fallback.SCORER_FAILED
            error = ValueError(f"{int(bad.sum())} of {len(bad)} answers are no scores and confidences in [0, 1]")
            self._failed(seat, error, all_rows=bool(bad.all()))
        fallback[~sound.any(axis=1)] |= Fallback.SCORERS_ABSENT

    def _failed(self, seat: Seat, error: Exception, all_rows: bool = True) -> None:
        """Count a failure, and tell of it. One bad row among good ones says nothing about the next batch."""
        if all_rows:
            seat.trouble(Reason.SCORER_FAILED, self._now_ns())
        else:
            self._counted(seat, Reason.SCORER_FAILED)
            seat.troubles = 0
        if self._on_error is not None:
            self._on_error(seat.scorer.name, error)

    @staticmethod
    def _counted(seat: Seat, reason: Reason) -> int:
        """Count a batch without the scorer, which is no further trouble; returns the `Fallback` bit."""
        seat.counts[reason] = seat.counts.get(reason, 0) + 1
        return Fallback.SCORER_LATE if reason == Reason.SCORER_LATE else Fallback.SCORER_FAILED

    def close(self) -> None:
        """Let go of the threads; one that hangs is left behind."""
        for seat in self.seats:
            if seat.aside is not None:
                seat.aside.close()
                seat.aside = None


def _timeless() -> int:
    """The time where nothing can be late."""
    return 0


class _TooLate(Exception):
    """An isolated scorer has not answered by its deadline."""


def _checked(answer: _Answer, n: int) -> _Answer:
    """The answer as two arrays (n,); raises where it is anything else."""
    values, confidence = np.asarray(answer[0], np.float64), np.asarray(answer[1], np.float64)
    if values.shape != (n,) or confidence.shape != (n,):
        raise ValueError(f"answered with shapes {values.shape} and {confidence.shape} instead of ({n},) twice")
    return values, confidence


def _sound(values: Float, confidence: Float) -> NDArray[np.bool_]:
    """(n, scorers) where both lie in [0, 1], which NaN does not."""
    return np.asarray((values >= 0.0) & (values <= 1.0) & (confidence >= 0.0) & (confidence <= 1.0))


@compiled
def _all_sound(values: Float, confidence: Float) -> bool:
    """Whether `_sound` holds everywhere: nearly always, so it is asked first."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            if not (0.0 <= values[row, column] <= 1.0 and 0.0 <= confidence[row, column] <= 1.0):
                return False
    return True

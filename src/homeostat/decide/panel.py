"""Asks every scorer of a batch, within its deadline, and goes on without those that fail."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.aside import Aside
from homeostat.decide.contracts import AbstainingScorer, ContributingScorer, ForeignScorer, Scorer
from homeostat.decide.scorers.plugins import hang_limit_s
from homeostat.ports import Clock
from homeostat.records.arrays import Bytes, Float
from homeostat.records.compiled import compiled
from homeostat.records.decisions import Scores
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback, Reason

_Answer = tuple[Float, Float]
_FLOAT = np.dtype(np.float64)
_TROUBLES_MAX = 3  # So many failures or late answers in a row open a scorer's circuit.
_COOL_DOWN_NS = 1_000_000_000  # An open circuit is tried again after a second.
_UNHURRIED_S = 2.0  # An explanation asks a stranger's scorer some thirty times, and leaves it out after this.


@dataclass(slots=True)
class Seat:
    """One scorer on the panel.

    deadline_ns : an answer later than this is not used; None waits for ever
    isolated : asked in a thread of its own, so that a hanging scorer can't hang the decision
    troubles : failures and late answers since the last good one
    why : what the last of them was
    stuck : it was found at work on an earlier call, when it should have come back
    counts : the scorer's failures by cause, a batch each
    foreign : the scorer, where its code is a stranger's
    """

    scorer: Scorer
    deadline_ns: int | None = None
    isolated: bool = False
    troubles: int = 0
    open_until_ns: int = 0
    why: str = ""
    stuck: bool = False
    aside: Aside | None = None
    counts: dict[Reason, int] = field(default_factory=dict)
    foreign: ForeignScorer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if isinstance(self.scorer, ForeignScorer):
            self.foreign = self.scorer
            self.aside = self.aside or self.scorer.aside

    def given_to(self, scorer: Scorer) -> Seat:
        """The seat of another scorer of the same name, with the counts of this one's failures."""
        return Seat(scorer, self.deadline_ns, self.isolated, counts=self.counts)

    def trouble(self, reason: Reason, now_ns: int, why: str) -> None:
        """Count a failure; after several in a row the scorer is left alone for a while."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.troubles += 1
        self.why = why
        if self.troubles >= _TROUBLES_MAX:
            self.open_until_ns = now_ns + _COOL_DOWN_NS

    def start(self, call: Callable[[], Any]) -> Future[Any] | None:
        """Call something of the scorer's in its thread; None where that still works on what was asked before."""
        if self.aside is None:
            self.aside = Aside(f"scorer {self.scorer.name}")
        return self.aside.ask(call)

    def out(self) -> str:
        """Why the scorer is left out at present, in a few words; empty where it is not."""
        if self.foreign is not None and not self.foreign.ready:
            return "it is not ready yet"
        if self.stuck and self.aside is not None and self.aside.busy:
            return self.why or "it has not come back from an earlier call"
        return self.why if self.troubles >= _TROUBLES_MAX else ""


class Panel:
    """The scorers of an app.

    clock : for the deadlines; without one (replay), every scorer is waited for
    on_error : is given each exception, with the scorer's name
    patience_s : without a clock, how long a stranger's scorer is waited for; None: until it must be hanging
    rows : what a deadline is for; a larger batch has in proportion more time. None: no more, however large the batch
    """

    def __init__(
        self,
        seats: Sequence[Seat],
        clock: Clock | None,
        on_error: Callable[[str, Exception], None] | None = None,
        rows: int | None = None,
        patience_s: float | None = None,
    ) -> None:
        self.seats = tuple(seats)
        self.shed: frozenset[int] = frozenset()
        self.names = tuple(seat.scorer.name for seat in seats)
        self._clock = clock
        self._now_ns: Callable[[], int] = _timeless if clock is None else clock.monotonic_ns
        self._on_error = on_error
        self._rows, self._share, self._patience_s = rows, 1.0, patience_s
        # Without a clock nobody is late, but a stranger's code may still hang.
        self._apart = tuple(seat.isolated and (clock is not None or seat.foreign is not None) for seat in seats)
        self._any_apart = any(self._apart)
        self._seated = tuple(zip(self.seats, self._apart))
        for seat in self.seats:
            seat.stuck = seat.aside is not None and seat.aside.busy
            if seat.stuck:
                self._tell(seat, TimeoutError(f"{seat.out()}; decisions go on without it until it has"))

    def leave_aside(self, names: Collection[str]) -> None:
        """Ask these scorers no more, and all others: they are missing, which is nobody's failure."""
        self.shed = frozenset(column for column, name in enumerate(self.names) if name in names)

    def score(self, features: Features) -> Scores:
        """Scores of a batch. A scorer that fails or is late is missing and flagged; so is what is no score.

        A scorer that has no opinion of a row is missing there, and not flagged.
        """
        n = len(features)
        self._share = 1.0 if self._rows is None else max(1.0, n / self._rows)
        values, confidence = np.empty((n, len(self.seats))), np.empty((n, len(self.seats)))
        begun_ns = self._now_ns()
        pending = self._start(features, begun_ns) if self._any_apart else {}
        bits, answered = 0, []
        for column, (seat, apart) in enumerate(self._seated):
            if column in self.shed:
                values[:, column], confidence[:, column] = np.nan, 0.0
                continue
            answer, bit = self._ask(seat, apart, features, pending.get(column), begun_ns)
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
                call = partial(seat.foreign.answer if seat.foreign else seat.scorer.score, features)
                with suppress(Exception):
                    values[:, column], confidence[:, column] = _checked(_unhurried(seat, call), n)
        unsound = ~_sound(values, confidence)
        values[unsound], confidence[unsound] = np.nan, 0.0
        return Scores(self.names, values, confidence, np.zeros(n, np.uint8))

    def contributions(self, column: int, features: Features) -> Float | None:
        """(n, features) which feature moved a scorer's raw output; None where it can't tell, or fails."""
        seat = self.seats[column]
        if not isinstance(seat.scorer, ContributingScorer):
            return None
        call = partial(seat.foreign.parts if seat.foreign else seat.scorer.contributions, features)
        try:
            moved = np.asarray(_unhurried(seat, call)[0], np.float64)
        except Exception:  # An explanation leaves out what can't be had.
            return None
        return moved if moved.shape == features.values.shape and np.isfinite(moved).all() else None

    def out(self) -> dict[str, str]:
        """The scorers that are left out at present, and why."""
        return {seat.scorer.name: why for seat in self.seats if (why := seat.out())}

    def troubles(self) -> dict[str, dict[str, Any]]:
        """The scorers that failed so far: how often by cause, and why each is left out now, None where it is not."""
        out = self.out()
        return {
            seat.scorer.name: {
                **{reason.value: n for reason, n in seat.counts.items()},
                "out": out.get(seat.scorer.name),
            }
            for seat in self.seats
            if seat.counts or seat.scorer.name in out
        }

    def _start(self, features: Features, now_ns: int) -> dict[int, Future[_Answer]]:
        """Set the isolated scorers to work, so that they work at the same time; by column."""
        started = {}
        for column, seat in enumerate(self.seats):
            if (
                self._apart[column]
                and column not in self.shed
                and (self._clock is None or seat.open_until_ns <= now_ns)
            ):
                answer = seat.start(partial(seat.foreign.answer if seat.foreign else seat.scorer.score, features))
                if answer is not None:
                    started[column] = answer
        return started

    def _ask(
        self, seat: Seat, apart: bool, features: Features, started: Future[_Answer] | None, begun_ns: int
    ) -> tuple[_Answer | None, int]:
        """One scorer's answer, or None and the `Fallback` bit that says why not."""
        if self._clock is not None and seat.open_until_ns > begun_ns:
            return None, self._counted(seat, Reason.SCORER_FAILED)
        if apart and started is None:
            seat.stuck = True
            return None, self._counted(seat, Reason.SCORER_LATE)
        asked_ns = begun_ns if seat.isolated else self._now_ns()
        try:
            if started is not None:
                answer = self._wait(seat, started, asked_ns, len(features))
            else:
                answer = seat.foreign.answer(features) if seat.foreign else seat.scorer.score(features)
            answer = _checked(answer, len(features))
        except _TooLate as error:
            return None, self._late(seat, str(error))
        except Exception as error:  # A scorer may be anyone's code: whatever it raises, the decision goes on.
            self._failed(seat, error)
            return None, Fallback.SCORER_FAILED
        if (
            started is None
            and seat.deadline_ns is not None
            and self._now_ns() - asked_ns > seat.deadline_ns * self._share
        ):
            return None, self._late(seat, _not_within(seat.deadline_ns * self._share / 1e9))
        return answer, 0

    def _wait(self, seat: Seat, started: Future[_Answer], begun_ns: int, n: int) -> _Answer:
        """An isolated scorer's answer by its deadline, which began when it was set to work."""
        if self._clock is None:
            limit_s = left_s = self._patience_s or hang_limit_s(n)
        elif seat.deadline_ns is None:
            return started.result()
        else:
            limit_s = seat.deadline_ns * self._share / 1e9
            left_s = max(0.0, limit_s - (self._now_ns() - begun_ns) / 1e9)
        try:
            return started.result(left_s)
        except TimeoutError:
            if started.done():  # It was the scorer itself that raised, or it answered at this very moment.
                return started.result()
            raise _TooLate(_not_within(limit_s)) from None

    def _late(self, seat: Seat, why: str) -> int:
        """Count a late answer; the first of several, and the one after which it is left alone, are reported."""
        seat.trouble(Reason.SCORER_LATE, self._now_ns(), why)
        if seat.troubles in (1, _TROUBLES_MAX):
            self._tell(seat, TimeoutError(f"{why}; decisions go on without it"))
        return Fallback.SCORER_LATE

    def _tell(self, seat: Seat, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(seat.scorer.name, error)

    def _leave_out(
        self, values: Float, confidence: Float, fallback: Bytes, sound: NDArray[np.bool_], answered: list[int]
    ) -> None:
        """Take what is no score out of the answers, row by row, so that a batch's other rows keep theirs."""
        for column in answered:
            seat, bad = self.seats[column], ~sound[:, column]
            if isinstance(seat.scorer, AbstainingScorer):
                bad &= ~(np.isnan(values[:, column]) & (confidence[:, column] == 0.0))
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
            seat.trouble(Reason.SCORER_FAILED, self._now_ns(), f"{type(error).__name__}: {error}")
        else:
            self._counted(seat, Reason.SCORER_FAILED)
            seat.troubles = 0
        self._tell(seat, error)

    @staticmethod
    def _counted(seat: Seat, reason: Reason) -> int:
        """Count a batch without the scorer, which is no further trouble; returns the `Fallback` bit."""
        seat.counts[reason] = seat.counts.get(reason, 0) + 1
        return Fallback.SCORER_LATE if reason == Reason.SCORER_LATE else Fallback.SCORER_FAILED

    def seating(self, scorers: Mapping[str, Scorer]) -> Panel:
        """A panel on which these scorers sit in the places of those of the same names, whose threads are let go.

        A scorer that sits here already keeps its seat, with its thread and its troubles. One that is left aside stays
        so.
        """
        seats = [
            seat if seat.scorer is scorers[seat.scorer.name] else seat.given_to(scorers[seat.scorer.name])
            for seat in self.seats
        ]
        for old, new in zip(self.seats, seats, strict=True):
            if old is not new and old.aside is not None:
                old.aside.close()
        clock, on_error = self._clock, self._on_error
        found = Panel(seats, clock, on_error, self._rows, self._patience_s)
        found.shed = self.shed
        return found

    def beside(self, scorers: Mapping[str, Scorer], earlier: Panel | None = None) -> Panel:
        """A panel of other scorers of the same names, which answers while this one does.

        earlier : the panel before it; a scorer that sits there or here keeps its seat
        """
        seats = []
        for at, own in enumerate(self.seats):
            scorer = scorers[own.scorer.name]
            there = own if earlier is None else earlier.seats[at]
            kept = next((seat for seat in (own, there) if seat.scorer is scorer), None)
            seats.append(kept or Seat(scorer, own.deadline_ns, own.isolated))
        return Panel(seats, self._clock, self._on_error, self._rows, self._patience_s)

    def leave(self, *others: Panel | None) -> None:
        """Let go of the threads of those scorers that sit on none of the other panels."""
        kept = [seat for panel in others if panel is not None for seat in panel.seats]
        for seat in self.seats:
            if seat.aside is not None and not any(seat is one or seat.aside is one.aside for one in kept):
                seat.aside.close()

    def close(self) -> None:
        """Let go of the threads; one that hangs is left behind."""
        for seat in self.seats:
            if seat.aside is not None:
                seat.aside.close()


def _timeless() -> int:
    """The time where nothing can be late."""
    return 0


class _TooLate(Exception):
    """An isolated scorer has not answered by its deadline."""


def _not_within(limit_s: float) -> str:
    return f"it has not answered within {limit_s * 1e3:g} ms"


def _unhurried(seat: Seat, call: Callable[[], Any]) -> Any:
    """A scorer's answer where no decision waits; that of a stranger only if it comes soon."""
    if seat.foreign is None:
        return call()
    answer = seat.start(call)
    if answer is None:
        raise TimeoutError("it still works on something else")
    return answer.result(_UNHURRIED_S)


def _checked(answer: _Answer, n: int) -> _Answer:
    """The answer as two arrays (n,); raises where it is anything else."""
    values, confidence = answer[0], answer[1]
    if type(values) is not np.ndarray or values.dtype is not _FLOAT:
        values = np.asarray(values, np.float64)
    if type(confidence) is not np.ndarray or confidence.dtype is not _FLOAT:
        confidence = np.asarray(confidence, np.float64)
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

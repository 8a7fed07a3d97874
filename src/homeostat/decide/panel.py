"""Asks every scorer of a batch, within its deadline, and goes on without those that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field

import numpy as np

from homeostat.decide.contracts import Scorer
from homeostat.ports import Clock
from homeostat.records.arrays import Float
from homeostat.records.decisions import Scores
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback, Reason

_Answer = tuple[Float, Float]
_TROUBLES_MAX = 3  # So many failures or late answers in a row open a scorer's circuit.
_COOL_DOWN_NS = 1_000_000_000  # An open circuit is tried again after a second.


@dataclass(slots=True)
class Seat:
    """One scorer on the panel.

    deadline_ns : an answer later than this is not used; None waits for ever
    isolated : asked in a thread of its own, so that a hanging scorer can't hang the decision
    """

    scorer: Scorer
    deadline_ns: int | None = None
    isolated: bool = False
    troubles: int = 0
    open_until_ns: int = 0
    busy: Future[_Answer] | None = None
    counts: dict[Reason, int] = field(default_factory=dict)

    def trouble(self, reason: Reason, now_ns: int) -> None:
        """Count a failure; after several in a row the scorer is left alone for a while."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.troubles += 1
        if self.troubles >= _TROUBLES_MAX:
            self.open_until_ns = now_ns + _COOL_DOWN_NS


class Panel:
    """The scorers of an app.

    clock : for the deadlines; without one (replay), every scorer is waited for
    on_error : told of each exception, with the scorer's name
    """

    def __init__(
        self, seats: Sequence[Seat], clock: Clock | None, on_error: Callable[[str, Exception], None] | None = None
    ) -> None:
        self.seats = tuple(seats)
        self.names = tuple(seat.scorer.name for seat in seats)
        self._clock = clock
        self._on_error = on_error
        isolated = sum(seat.isolated for seat in seats)
        self._threads = ThreadPoolExecutor(isolated, "scorer") if isolated else None

    def score(self, features: Features, missing: Sequence[bool] | None = None) -> Scores:
        """Scores of a batch; `missing` repeats a recorded panel, in which those scorers had not answered."""
        n = len(features)
        values = np.full((n, len(self.seats)), np.nan)
        confidence = np.zeros((n, len(self.seats)))
        bits = 0
        pending = [self._start(seat, features) if missing is None else None for seat in self.seats]
        for column, seat in enumerate(self.seats):
            if missing is not None and missing[column]:
                continue
            answer, bit = self._ask(seat, features, pending[column], strict=missing is not None)
            bits |= bit
            if answer is not None:
                values[:, column], confidence[:, column] = answer
        if self.seats and bool(np.isnan(values).all()):
            bits |= Fallback.SCORERS_ABSENT
        return Scores(self.names, values, confidence, np.full(n, bits, np.uint8))

    def _start(self, seat: Seat, features: Features) -> Future[_Answer] | None:
        """Set an isolated scorer to work; it is not asked again while it still works on an earlier batch."""
        if not seat.isolated or self._threads is None or self._clock is None:
            return None
        if self._closed(seat) and (seat.busy is None or seat.busy.done()):
            seat.busy = self._threads.submit(seat.scorer.score, features)
            return seat.busy
        return None

    def _closed(self, seat: Seat) -> bool:
        return self._clock is None or seat.open_until_ns <= self._clock.monotonic_ns()

    def _ask(
        self, seat: Seat, features: Features, started: Future[_Answer] | None, strict: bool
    ) -> tuple[_Answer | None, int]:
        """One scorer's answer, or None and the `Fallback` bit that says why not."""
        if self._clock is None or strict:
            return self._guarded(seat, features, None)
        if not self._closed(seat) or (seat.isolated and started is None):
            return None, Fallback.SCORER_LATE if self._closed(seat) else Fallback.SCORER_FAILED
        begun_ns = self._clock.monotonic_ns()
        answer, bit = self._guarded(seat, features, started)
        late = seat.deadline_ns is not None and self._clock.monotonic_ns() - begun_ns > seat.deadline_ns
        if answer is not None and late:
            seat.trouble(Reason.SCORER_LATE, self._clock.monotonic_ns())
            return None, Fallback.SCORER_LATE
        if answer is not None:
            seat.troubles = 0
        return answer, bit

    def _guarded(self, seat: Seat, features: Features, started: Future[_Answer] | None) -> tuple[_Answer | None, int]:
        now_ns = 0 if self._clock is None else self._clock.monotonic_ns()
        try:
            if started is None:
                return seat.scorer.score(features), 0
            wait_s = None if seat.deadline_ns is None else seat.deadline_ns / 1e9
            return started.result(wait_s), 0
        except FutureTimeoutError:
            seat.trouble(Reason.SCORER_LATE, now_ns)
            return None, Fallback.SCORER_LATE
        except Exception as error:  # A scorer may be anyone's code: whatever it raises, the decision goes on.
            seat.trouble(Reason.SCORER_FAILED, now_ns)
            if self._on_error is not None:
                self._on_error(seat.scorer.name, error)
            return None, Fallback.SCORER_FAILED

    def close(self) -> None:
        """Let go of the threads; a scorer that hangs is left behind."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

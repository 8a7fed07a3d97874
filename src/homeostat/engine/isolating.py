"""Objects that bring about a fault: each is a bad event, and costs the others nothing."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from homeostat.decide.loop import Stopped
from homeostat.engine import problems
from homeostat.engine.answer_types import Decision, Problem, Receipt
from homeostat.engine.faults import Reports, Spoilt, shown
from homeostat.engine.parts import Parts
from homeostat.errors import HomeostatError
from homeostat.ports import Unavailable
from homeostat.records.events import DeadLetter
from homeostat.records.identity import Ids
from homeostat.records.reasons import Reason
from homeostat.records.unknown import UnknownName, letter_of

_NOBODY = Ids.of([(0, 0)])  # An id that is asked for to see whether the journal answers.
Answer: TypeAlias = Decision | Problem
Received: TypeAlias = Receipt | Problem
Result = TypeVar("Result", bound=Answer | Received)
UNSET: Any = None
"""The place of an answer that is made last."""


class NotBuried(Unavailable):
    """Bad events could not be written to the dead letters; the other events of the request were decided."""


class UnusableEvent(HomeostatError, ValueError):
    """An event that the app's declaration does not allow; `problem` says which field, which value and why."""

    why = "an event has the fields and types that the app file declares"
    remedy = "Correct the event, or declare the field in the app file"

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(f"{problem['detail']}. {problem['fix']}")


class Isolation:
    """Works through objects, and again without those that bring about a fault.

    refused : says why nothing can be decided at present
    taken : whether what is being worked on is in the journal already
    """

    def __init__(self, parts: Parts, refused: Callable[[], str]) -> None:
        self._parts, self._refused = parts, refused
        self.reports = Reports(parts.clock)
        self.bad_events = 0
        self.taken = False
        self._spoilt = Spoilt()

    def answers(self, work: Callable[[Any], list[Result | Problem]], objects: Any) -> list[Result | Problem]:
        """The answers of `work`. An object that brings about a fault is a bad event, and costs the others nothing."""
        if self._spoilt and any(map(self._spoilt.holds, objects)):
            return [
                self._given_up(item) if self._spoilt.holds(item) else self.answers(work, objects[k : k + 1])[0]
                for k, item in enumerate(objects)
            ]
        self.taken = False
        try:
            return work(objects)
        except (Unavailable, Stopped):
            raise
        except Exception as error:
            self.reports.fault("decisions", error)
            broken = self._parts.loop.stopped
            self.mend()
            if len(objects) > 1:
                half = len(objects) // 2
                return [*self.answers(work, objects[:half]), *self.answers(work, objects[half:])]
            if broken:  # It would break the loop off again, each time that it is sent.
                self._spoilt.add(objects[0])
            return [self._given_up(objects[0], bad=broken or not self.taken)]

    def _given_up(self, item: object, bad: bool = True) -> Problem:
        """The problem of an object that brought about a fault, and its dead letter unless it was taken in before."""
        letter = DeadLetter(1, "", shown(item), Reason.UNDECIDABLE.value)
        if not bad:
            return problems.of_letter(letter)
        answers: list[Problem] = [UNSET]
        self.bury([letter], {0}, answers)
        return answers[0]

    def bury(self, letters: list[DeadLetter], positions: set[int], answers: MutableSequence[Any]) -> None:
        """Put the problems of unreadable events in their places, and the events into the dead letters."""
        if not letters:
            return
        if self._parts.dead_letters is not None:
            try:
                self._parts.dead_letters.bury(letters)
            except Unavailable as error:
                raise NotBuried(str(error)) from error
        self.bad_events += len(letters)
        self._parts.loop.meters.buried(letters)
        for position, letter in zip(sorted(positions), letters, strict=True):
            answers[position] = problems.of_letter(letter)

    def note(self, names: Sequence[UnknownName]) -> None:
        """Leave names that nobody declared among the dead letters, where maintenance finds them; no event waits."""
        if self._parts.dead_letters is not None:
            with suppress(Unavailable):
                self._parts.dead_letters.bury([letter_of(one) for one in names])

    def mend(self) -> None:
        """Be ready for the next event after a fault. Raises where no event is to blame for it, but journal or disk."""
        parts = self._parts
        if parts.loop.stopped:
            if parts.begin_again is None:
                raise Stopped(self._refused())
            try:
                parts.begin_again()
            except Unavailable:
                raise
            except Exception as error:
                self.reports.fault("recovery", error)
                raise Stopped(self._refused()) from error
        try:
            parts.loop.flush()
            parts.journal.seen(_NOBODY)
        except (Unavailable, Stopped):
            raise
        except Exception as error:
            self.reports.fault("the journal", error)
            parts.loop.recording.trouble = f"the journal failed with {type(error).__name__}"
            raise Stopped(parts.loop.recording.trouble) from error

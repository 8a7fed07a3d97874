"""Other parts on their way to a loop: made ready by other threads, put in force by the deciding one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from homeostat.decide.changing import Setup
from homeostat.records.changes import Change


class Handover:
    """The setup that waits for the next batch.

    lock : held while it or the loop's stages are exchanged
    """

    def __init__(self) -> None:
        self.coming: Setup | None = None
        self.lock = Lock()

    def offer(self, setup: Setup, number: Callable[[], int]) -> bool:
        """See `DecisionLoop.hand_over`.

        number : of the last change under which the loop decides, asked with the lock held
        """
        with self.lock:
            later = setup.number > number()
            if later and self.coming is not None:
                first = min((change.number for change in setup.changes), default=setup.number)
                waited = tuple(change for change in self.coming.changes if change.number < first)
                setup = replace(setup, changes=(*waited, *setup.changes))
            self.coming = setup if later else self.coming
            return later

    def take(
        self, number: Callable[[], int], record: Callable[[tuple[Change, ...]], object], put: Callable[[Setup], object]
    ) -> None:
        """Record the changes that are later than that number, then put the setup in force; nothing where none waits.

        It goes on waiting where recording raises.
        """
        with self.lock:
            setup = self.coming
            if setup is None:
                return
            standing = number()
            record(tuple(change for change in setup.changes if change.number > standing))
            self.coming = None
            put(setup)

    def drop(self, number: int) -> None:
        """Forget a setup that is not later than a number; called with the lock held."""
        if self.coming is not None and self.coming.number <= number:
            self.coming = None

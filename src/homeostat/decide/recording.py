"""Writes decisions and outcomes to the journal. Decisions that a failing journal has left are kept until it can."""

from __future__ import annotations

import numpy as np

from homeostat.decide.meters import Meters
from homeostat.ports import Journal, Unavailable
from homeostat.ports.shared import Repeated
from homeostat.records.arrays import Mask
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Ids
from homeostat.records.reasons import Reason
from homeostat.records.rows import decisions_at


class Recording:
    """See the module.

    fallbacks : counts each append that failed
    trouble : why the journal can't be written, since an append failed and until one succeeds
    """

    def __init__(self, journal: Journal, meters: Meters, fallbacks: dict[Reason, int]) -> None:
        self.journal = journal
        self.trouble = ""
        self._meters, self._fallbacks = meters, fallbacks
        self._unwritten: DecisionBatch | None = None

    def seen(self, ids: Ids) -> Mask:
        """(n,) whether each id has been decided."""
        with self._meters.timed("journal"):
            return self.journal.seen(ids)

    def keep(self, decisions: DecisionBatch | None) -> None:
        """Take decisions that were made and have not been shown to anyone: `flush` writes them."""
        self._unwritten = decisions

    def flush(self) -> Mask | None:
        """Write the decisions that wait; raises Unavailable while the journal can't be written.

        Returns the rows among them that other processes decided first, as a mask; None where there are none.
        """
        theirs: Mask | None = None
        while self._unwritten is not None and len(self._unwritten):
            try:
                self.append(self._unwritten)
                break
            except Repeated as error:
                left = np.arange(len(self._unwritten)) if theirs is None else np.flatnonzero(~theirs)
                theirs = np.zeros(len(left), bool) if theirs is None else theirs
                theirs[left[error.rows]] = True
                self._unwritten = decisions_at(self._unwritten, ~np.isin(np.arange(len(left)), error.rows))
        self._unwritten = None
        return theirs

    def append(self, body: Body) -> None:
        """Write at once. Raises Unavailable, Repeated."""
        try:
            with self._meters.timed("journal"):
                self.journal.append(body)
        except Unavailable as error:
            self._fallbacks[Reason.JOURNAL_FAILED] = self._fallbacks.get(Reason.JOURNAL_FAILED, 0) + 1
            self.trouble = str(error)
            raise
        except Repeated:
            raise
        except Exception as error:
            self.trouble = f"the journal failed with {type(error).__name__}"
            raise
        self.trouble = ""

    def earlier(self, ids: Ids) -> list[tuple[DecisionBatch, int]]:
        """The decisions of events that the journal has seen. Raises Unavailable where it can't find them after all."""
        found = [one for one in self.journal.find_all(ids) if one is not None]
        if len(found) < len(ids):
            raise Unavailable("the journal has seen events that it can't find now")
        return found

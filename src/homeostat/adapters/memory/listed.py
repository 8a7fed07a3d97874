"""Past cases in the process's memory: for drills, whose incidents end with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from homeostat.records.past import PastCase, Recalled, Trait
from homeostat.stats.likeness import most_alike


class ListedCases:
    """See `Recalls`; `keep` as in `Memory`, without a bound."""

    def __init__(self, cases: Iterable[PastCase] = ()) -> None:
        self._cases = {one.id: one for one in cases}

    def keep(self, case: PastCase) -> bool:
        """See `Memory`."""
        there = self._cases.get(case.id)
        if there is not None and (there.revision > case.revision or there == case):
            return False
        self._cases[case.id] = case
        return True

    def like(self, traits: Sequence[Trait], limit: int) -> Sequence[Recalled]:
        """See `Recalls`."""
        return most_alike(traits, self._cases.values(), limit)

"""The use of a language model in the last 24 hours, against its budget."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from homeostat.config.language import LanguageBudget

DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Used:
    """One call. at_ns : by a clock that never goes back"""

    at_ns: int
    tokens: int
    took_ns: int
    cost: float


@dataclass(slots=True)
class Spending:
    """See the module. For one thread."""

    budget: LanguageBudget
    _calls: deque[Used] = field(default_factory=deque)

    def refuses(self, now_ns: int) -> bool:
        """Whether the budget is used up.

        >>> one = Spending(LanguageBudget(calls=1))
        >>> before = one.refuses(0)
        >>> one.take(Used(0, 5, 1, 0.0))
        >>> before, one.refuses(1), one.refuses(DAY_NS + 1)
        (False, True, False)
        """
        while self._calls and self._calls[0].at_ns <= now_ns - DAY_NS:
            self._calls.popleft()
        most, calls = self.budget, self._calls
        spent = sum(one.cost for one in calls)
        return (
            len(calls) >= most.calls
            or sum(one.tokens for one in calls) >= most.tokens
            or sum(one.took_ns for one in calls) >= most.time
            or (most.money is not None and spent >= most.money)
        )

    def take(self, used: Used) -> None:
        """Count a call."""
        self._calls.append(used)

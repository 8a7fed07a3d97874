"""The budget of exploration: one for all processes that decide together, taken from the store in small portions.

A process explores only with what it was granted for the present period of event time, so all of them together never
spend more than the app file's budget, whichever of them are killed. The rest of a killed process is lost: a
thirty-second of the budget, as a rule.
"""

from __future__ import annotations

from math import isfinite

from homeostat.config.tree import App
from homeostat.decide.contracts import Explorer
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.policy.exploration import PERIOD, REFUSED, SPENT
from homeostat.errors import HomeostatError
from homeostat.ports import Clock
from homeostat.ports.learning import LearnedStates
from homeostat.records.allowance import NOTHING, Allowance

PORTIONS = 32
AGAIN_NS = 5_000_000_000  # Between two requests where nothing is left, or where the store is away.


def budget_of(app: App) -> float:
    """The most that exploration may cost in a period; 0 where the policy does not explore."""
    explores = app.policy.kind in ("bandit", "ppo") and app.policy.exploration.rate > 0
    return float(app.policy.exploration.budget) if explores else 0.0


class Purse:
    """See the module. `look` is called again and again, by a thread beside the decisions.

    refusals : requests that brought nothing, since all was taken
    """

    def __init__(self, loop: DecisionLoop, store: LearnedStates | None, budget: float, clock: Clock) -> None:
        self._loop, self._store, self._budget, self._clock = loop, store, budget, clock
        self._granted = NOTHING
        self._portion, self._refused, self._again_ns = budget / PORTIONS, 0.0, 0
        self.refusals = 0
        if store is not None:  # Without a store there is nobody to share with.
            self._allow()

    @property
    def left(self) -> float:
        """The rest that this process may spend in the present period."""
        policy = self._loop.stages.policy
        if not isinstance(policy, Explorer):
            return 0.0
        account = policy.account
        return self._granted.budget - float(account[SPENT]) if account[PERIOD] == self._granted.period else 0.0

    def look(self) -> None:
        """Take another portion where the last one is nearly spent, or too small for what chance asked."""
        policy = self._loop.stages.policy
        if self._store is None or self._budget <= 0 or not isinstance(policy, Explorer):
            return
        account = policy.account
        period, refused = float(account[PERIOD]), float(account[REFUSED])
        if not isfinite(period):
            return
        if period != self._granted.period:
            self._granted, self._portion, self._again_ns = Allowance(0.0, period), self._budget / PORTIONS, 0
        elif refused > self._refused:
            self._portion = min(2 * self._portion, self._budget)  # One event alone may cost more than a portion.
        elif self.left > self._portion / 2:
            return
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._again_ns:
            return
        self._refused = refused
        self._take(self._store, period, now_ns)

    def _take(self, store: LearnedStates, period: float, now_ns: int) -> None:
        try:
            given = store.grant(int(period), max(0.0, self._portion - self.left), self._budget)
        except (
            HomeostatError
        ):  # It is away, or not of this app any more: nothing is explored with, so nothing is spent.
            self._again_ns = now_ns + AGAIN_NS
            return
        if given <= 0:
            self.refusals += 1
            self._again_ns = now_ns + AGAIN_NS
            self._give_back(store)
            return
        self._granted = Allowance(self._granted.budget + given, period)
        self._allow()

    def _allow(self) -> None:
        stages = self._loop.stages
        stages.allowance = self._granted
        if isinstance(stages.policy, Explorer):
            stages.policy.allow(self._granted)

    def close(self) -> None:
        """Give back what is left."""
        if self._store is not None:
            self._give_back(self._store)

    def _give_back(self, store: LearnedStates) -> None:
        """Let others have what is left: it is too little for what chance asks here, or the process ends."""
        with self._loop.stages.spending:
            before, left = self._granted, self.left
            if left <= 0:
                return
            self._granted = Allowance(before.budget - left, before.period)
            self._allow()
        try:
            store.grant(int(before.period), -left, self._budget)
        except HomeostatError:
            return  # It counts as spent.

"""How a canary's share grows: guardrails on its decisions beside the champion's, and the next move that follows.

A guardrail compares one figure of both arms by bounds that hold at every look, so a keeper may look as often as it
likes. Each step, each guardrail and each window of rows has its share of `alpha`, so that a canary that is as good as
the champion is ended with that probability at most, however long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import pi

import numpy as np

from homeostat.models.judgement import Evidence, Judgement, judge, of_arms
from homeostat.records.arrays import Float, Mask
from homeostat.records.verdicts import Verdict
from homeostat.stats.comparison import Metric

WINDOW_ROWS = 50_000  # A look at so many takes a fifth of a second; what comes after them is compared by itself.
FULL = 1.0


class Action(StrEnum):
    """A move of the ramp."""

    STAY = "stay"
    RAISE = "raise"
    PROMOTE = "promote"
    END = "end"


@dataclass(frozen=True, slots=True)
class Rail:
    """A figure that may be worse than the champion's by a margin; the lower, the better.

    name : as its evidence is called; statistic : the figure in words
    """

    name: str
    statistic: str
    margin: float
    metric: Metric = "rate"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a version earns all entities.

    steps : the shares, rising
    events_min, time_min_ns : decisions of the canary, and the time, that a step needs
    pauses : whether a step without a verdict stays; else it goes on as no guardrail is broken
    deadline_ns : of the whole ramp
    """

    steps: tuple[float, ...]
    events_min: int
    time_min_ns: int
    pauses: bool
    deadline_ns: int
    alpha: float
    rails: tuple[Rail, ...]

    @property
    def alpha_of_rail(self) -> float:
        """The probability of error that one guardrail has in one step."""
        return self.alpha / (len(self.steps) * max(1, len(self.rails)))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a ramp stands.

    share : that the canary decides; events : its decisions in this step
    begun_ns, step_ns, now_ns : when the ramp and the step began, and the time now
    """

    share: float
    events: int
    begun_ns: int
    step_ns: int
    now_ns: int


@dataclass(frozen=True, slots=True)
class Move:
    """One move, and why it is made. share : of a raise, the next one"""

    action: Action
    why: str
    share: float | None = None


@dataclass(slots=True)
class RailLog:
    """The values of one guardrail in one step, in the order in which they became known.

    alpha : of all its windows together
    """

    rail: Rail
    alpha: float
    _closed: list[Evidence] = field(default_factory=list)
    _treated: Mask = field(default_factory=lambda: np.empty(0, np.bool_))
    _low: Float = field(default_factory=lambda: np.empty(0))
    _high: Float = field(default_factory=lambda: np.empty(0))
    _seen: Evidence | None = None

    def add(self, treated: Mask, low: Float, high: Float | None = None) -> None:
        """More values.

        treated : (n,) whether each is the canary's
        low, high : (n,) the least and the most that it may be, where it is not known exactly
        """
        high = low if high is None else high
        while len(treated):
            room = WINDOW_ROWS - len(self._treated)
            self._treated = np.concatenate([self._treated, treated[:room]])
            self._low, self._high = np.concatenate([self._low, low[:room]]), np.concatenate([self._high, high[:room]])
            treated, low, high = treated[room:], low[room:], high[room:]
            self._seen = None
            if len(self._treated) == WINDOW_ROWS:
                self._closed.append(self._compared())
                self._treated, self._low, self._high = np.empty(0, np.bool_), np.empty(0), np.empty(0)

    def evidence(self) -> Evidence:
        """FAIL if any window fails; else PASS if any passes; else the present one's."""
        self._seen = self._seen or self._compared()
        windows = [*self._closed, self._seen]
        for verdict in (Verdict.FAIL, Verdict.PASS):
            found = next((one for one in reversed(windows) if one.verdict is verdict), None)
            if found is not None:
                return found
        return self._seen

    def _compared(self) -> Evidence:
        """The present window's verdict: a PASS holds whatever unknown values are, and so does a FAIL."""
        k = len(self._closed) + 1
        alpha = self.alpha * 6.0 / (pi * k) ** 2  # These add up to alpha.
        rail, arms = self.rail, np.where(self._treated, "treatment", "control").tolist()
        worst = np.where(self._treated, self._high, self._low)
        best = np.where(self._treated, self._low, self._high)
        exact = bool(np.array_equal(worst, best))

        def of(values: Float, alpha: float) -> Evidence:
            return of_arms(
                rail.name, arms, values, metric=rail.metric, better="lower", alpha=alpha, margin=rail.margin,
                statistic=rail.statistic,
            )  # fmt: skip

        pessimist = of(worst, alpha if exact else alpha / 2)
        if exact or pessimist.verdict is Verdict.PASS:
            return pessimist
        optimist = of(best, alpha / 2)
        if optimist.verdict is Verdict.FAIL:
            return optimist
        return replace(
            pessimist, verdict=Verdict.INCONCLUSIVE, low=optimist.low,
            why="what is not known of blocked events may decide it either way; a hold-out shows it",
        )  # fmt: skip


def judged(rails: Sequence[RailLog]) -> Judgement:
    """FAIL by the first broken guardrail, PASS if all of them pass; a silent one is neither."""
    return judge([one.evidence() for one in rails], [one.rail.name for one in rails])


def next_move(plan: Plan, at: Standing, found: Judgement) -> Move:
    """The move that follows from where a ramp stands and from its judgement.

    >>> plan = Plan((0.01, 0.1, 1.0), 100, 60, True, 1000, 0.05, ())
    >>> next_move(plan, Standing(0.01, 150, 0, 0, 70), Judgement(Verdict.PASS, "all well", ())).share
    0.1
    >>> next_move(plan, Standing(0.1, 150, 0, 0, 70), Judgement(Verdict.PASS, "all well", ())).action.value
    'promote'
    >>> next_move(plan, Standing(0.1, 99, 0, 0, 70), Judgement(Verdict.PASS, "all well", ())).why
    '99 of 100 decisions of the canary at this step'
    """
    if found.verdict is Verdict.FAIL:
        return Move(Action.END, found.why)
    if at.now_ns - at.begun_ns > plan.deadline_ns:
        return Move(Action.END, f"it was not champion by its deadline; {found.why}")
    if at.events < plan.events_min:
        return Move(Action.STAY, f"{at.events:,} of {plan.events_min:,} decisions of the canary at this step")
    waited_ns = at.now_ns - at.step_ns
    if waited_ns < plan.time_min_ns:
        left_s = (plan.time_min_ns - waited_ns) / 1e9
        return Move(Action.STAY, f"this step lasts {left_s:,.0f} s more")
    if found.verdict is not Verdict.PASS and plan.pauses:
        return Move(Action.STAY, f"it waits for a verdict: {found.why}")
    share = next((one for one in plan.steps if one > at.share), None)
    if share is None:
        return Move(Action.STAY, "it has come to its last step: promote it, or end it")
    passed = f"every guardrail passes, over {at.events:,} decisions of the canary"
    why = passed if found.verdict is Verdict.PASS else f"no guardrail is broken ({found.why})"
    return Move(Action.PROMOTE, why) if share >= FULL else Move(Action.RAISE, why, share)

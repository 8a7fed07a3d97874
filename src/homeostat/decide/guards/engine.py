"""The guards: rules, then fallbacks, then breakers, then what the policy proposed."""

from __future__ import annotations

import numpy as np

from homeostat.decide.guards import kernel
from homeostat.decide.guards.limits import Limiter
from homeostat.decide.guards.plan import GuardPlan, Names, Rule, condition
from homeostat.expressions import Membership, Programs, Type
from homeostat.records.arrays import Float, Int, Small, State
from homeostat.records.decisions import Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

_NEVER = -(1 << 63)
_FEATURES, _SCORES, _RISK = 0, 1, 2  # The parts of a frame.


class Guards:
    """The deterministic last word on every decision.

    Raises ExpressionError (a ValueError) where a rule's condition is not one.
    """

    def __init__(self, plan: GuardPlan, names: Names, lists: Membership | None = None) -> None:
        self.plan = plan
        self._names = names
        self._width = names.width
        self._lists = lists or Membership.build()
        scope = names.scope()
        compiled = [condition(rule.when, names) for rule in plan.rules]
        self._programs = Programs(compiled, range(names.width, names.width + len(compiled)), self._lists)
        read = {scope.symbols[name].slot for p in compiled for name in p.names if scope.symbols[name].type in _COLUMNS}
        self._blocks = _blocks(names, read)
        self._limiters = {at: Limiter(rule.limit) for at, rule in enumerate(plan.rules) if rule.limit is not None}
        table = _table([(at, r.action, r.since_ns, r.until_ns) for at, r in zip(plan.order(), plan.rules)])
        causes = [plan.fallback.action(bits) for bits in range(256)]
        by_cause = np.array([-1 if action is None else action for action in causes], dtype=np.int64)
        self._rules: kernel.Rules = (self._width, table, by_cause)
        marks = np.zeros((len(plan.breakers), kernel.MARKS), dtype=np.int64)
        marks[:, kernel.WATERMARK] = _NEVER
        self._breakers: kernel.Breakers = (
            _table([(b.action, max(1, b.over_ns // kernel.BUCKETS), b.events_min, b.instead) for b in plan.breakers]),
            np.array([b.share_max for b in plan.breakers], dtype=np.float64),
            np.zeros((len(plan.breakers), 2, kernel.BUCKETS), dtype=np.int64), marks,
        )  # fmt: skip

    def rule(
        self, events: EventBatch, features: Features, scores: Scores, fused: Fused, proposal: Proposal, fallback: Int
    ) -> Ruling:
        """The ruling on each of n proposals; see `Ruling`. The breakers count every decision, whoever made it."""
        n = len(events)
        frame = self._frame(features, scores, fused)
        if len(self._programs):
            self._programs.run(frame, events.keys, events.key_checks, events.time_ns)
        for at, limiter in self._limiters.items():
            frame[:, self._width + at] = limiter.beyond(events, frame[:, self._width + at])
        rows = _stacked(events.time_ns, proposal.action, fallback, events.reach)
        made = np.empty(n, np.int16), np.empty(n, np.int16), np.empty(n, np.uint64)
        kernel.rule_rows(frame, rows, self._rules, self._breakers, made)
        return Ruling(*made)

    def _frame(self, features: Features, scores: Scores, fused: Fused) -> Float:
        """(n, width + rules); only the blocks that some rule reads are filled in."""
        frame = np.empty((len(features), self._width + len(self.plan.rules)))
        for part, start, stop in self._blocks:
            if part == _RISK:
                frame[:, start] = fused.risk
            else:
                frame[:, start:stop] = features.values if part == _FEATURES else scores.values
        return frame

    def with_lists(self, lists: Membership) -> Guards:
        """The same guards, as they stand, asking other lists."""
        other = Guards(self.plan, self._names, lists)
        other.restore(self.state())
        return other

    def fresh(self) -> Guards:
        """The same guards before their first decision."""
        return Guards(self.plan, self._names, self._lists)

    def follow(self, events: EventBatch, action: Small) -> None:
        """Count decisions that others made: the action of each, -1 for one that there is no more."""
        rows = _stacked(events.time_ns, action, np.zeros(len(events), np.int64), events.reach)
        kernel.count_rows(rows, self._breakers)
        for limiter in self._limiters.values():
            limiter.beyond(events, np.ones(len(events)))

    def state(self) -> State:
        """The counts of the breakers, and the last events by rate."""
        limits = {
            f"rates/{_named(self.plan.rules[at])}/{name}": column
            for at, limiter in self._limiters.items()
            for name, column in limiter.state().items()
        }
        names = np.array(self.plan.breaker_names(), dtype=np.str_)
        _, _, counts, marks = self._breakers
        return {"breakers": names, "breaker_counts": counts.copy(), "breaker_marks": marks.copy(), **limits}

    def restore(self, state: State) -> None:
        """Continues from a `state()` in which each of these breakers counted, whatever others did beside them.

        Raises ValueError where it does not fit.
        """
        counts, marks, names = state["breaker_counts"], state["breaker_marks"], state["breakers"].tolist()
        wanted = self.plan.breaker_names()
        limits, share_max, own_counts, own_marks = self._breakers
        if len(names) != len(counts) or len(names) != len(marks) or counts.shape[1:] != own_counts.shape[1:]:
            raise ValueError(f"the state of {len(marks)} breakers does not fit {len(own_marks)}")
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(f"the state has no breaker that counts {missing[0]}")
        rows = [names.index(name) for name in wanted]
        counted = np.array(counts[rows], dtype=np.int64, order="C").reshape(own_counts.shape)
        marked = np.array(marks[rows], dtype=np.int64, order="C").reshape(own_marks.shape)
        self._breakers = limits, share_max, counted, marked
        for at, limiter in self._limiters.items():
            mark = f"rates/{_named(self.plan.rules[at])}/"
            own = {name.removeprefix(mark): column for name, column in state.items() if name.startswith(mark)}
            if own:  # Else the rate is new, and begins to count.
                limiter.restore(own)


def _named(rule: Rule) -> str:
    """The events that a rate counts: two rates of the same go on with each other's counts."""
    assert rule.limit is not None
    return f"{rule.when} {rule.limit.column} {rule.limit.count} {rule.limit.per_ns}".replace("/", "|")


_COLUMNS = (Type.NUMBER, Type.BOOLEAN, Type.CATEGORY)


def _stacked(time_ns: Int, proposed: Small, fallback: Int, reach_ns: Int) -> Int:
    """(4, n) as the kernel reads it, whatever the columns' types and strides were."""
    n = len(time_ns)
    if n == 1:  # Four assignments of arrays cost a single decision a microsecond more.
        return np.array([[time_ns[0]], [proposed[0]], [fallback[0]], [reach_ns[0]]], dtype=np.int64)
    rows = np.empty((4, n), dtype=np.int64)
    rows[0], rows[1], rows[2], rows[3] = time_ns, proposed, fallback, reach_ns
    return rows


def _blocks(names: Names, read: set[int]) -> list[tuple[int, int, int]]:
    """The parts of the frame that are read: which part, and its columns."""
    sizes = (len(names.features), len(names.scorers), 1)
    stops = np.cumsum(sizes).tolist()
    spans = [(part, stop - size, stop) for part, (size, stop) in enumerate(zip(sizes, stops))]
    return [(part, start, stop) for part, start, stop in spans if any(start <= slot < stop for slot in read)]


def _table(rows: list[tuple[int, int, int, int]]) -> Int:
    """(4, len(rows)), contiguous."""
    return np.ascontiguousarray(np.array(rows, dtype=np.int64).reshape(-1, 4).T)

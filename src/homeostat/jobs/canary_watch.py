"""Gathers what a canary and the champion decided in one step of a ramp, and what became of it, from the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from homeostat.app import censoring_of, costs_of
from homeostat.config.canary import CanarySpec
from homeostat.config.tree import App
from homeostat.engine.assembly import Prepared
from homeostat.jobs.judging import chosen
from homeostat.models.judgement import WEIGHT_MAX
from homeostat.models.ramp import Plan, Rail, RailLog
from homeostat.ports import StandingJournal
from homeostat.records.arrays import Float, Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.reasons import Fallback
from homeostat.records.renaming import decisions_as
from homeostat.records.rows import decisions_at
from homeostat.stats.chance import uniform

_BITS = {
    "failed": Fallback.SCORER_FAILED | Fallback.SCORERS_ABSENT | Fallback.POLICY_FAILED,
    "late": Fallback.SCORER_LATE | Fallback.POLICY_LATE | Fallback.DEADLINE,
}  # fmt: skip
ENTRIES_MAX = 2_000  # Read before what was read is judged.
_RATIO = 10.0  # So many of the champion's decisions for each of the canary's say nearly as much as all of them.
_WAITING_MAX = 200_000  # Decisions that wait for their outcomes; later ones are left out of the cost.
_HARSHEST = 0.02


def plan_of(app: App, steps: tuple[float, ...] = ()) -> Plan:
    """The ramp that an app declares, or the usual one.

    steps : in place of the declared ones
    """
    spec = CanarySpec() if app.canary is None else app.canary
    return Plan(
        steps or spec.steps, spec.events_min, spec.time_min, spec.inconclusive == "pause", spec.deadline, spec.alpha,
        _rails(app, spec),
    )  # fmt: skip


def _rails(app: App, spec: CanarySpec) -> tuple[Rail, ...]:
    guards = spec.guardrails
    actions = guards.actions or ({app.actions[-1]: _HARSHEST} if len(app.actions) > 1 else {})
    rails = [Rail(f"action {name}", f"share of decisions on {name}", most) for name, most in actions.items()]
    rails.append(Rail("failed", "share of decisions in which a part failed", guards.failed))
    rails.append(Rail("late", "share of decisions in which a part was late", guards.late))
    if guards.cost is not None:
        rails.append(Rail("cost", "cost of an event", guards.cost, "mean"))
    return tuple(rails)


@dataclass(slots=True)
class _Waiting:
    """A decision whose outcome is not known.

    negative, positive : its cost under either label, over the actions that it might have been
    seen : the probability with which its outcome can be seen; hidden : the action that was taken hides it
    """

    treated: bool
    time_ns: int
    negative: float
    positive: float
    risk: float
    seen: float
    hidden: bool
    label: float


@dataclass(slots=True)
class Watch:
    """One step of a ramp.

    number : of the change with which it began; canary : the version in full, with the app's fingerprint
    position : the last entry of the journal that was looked at
    """

    prepared: Prepared
    plan: Plan
    number: int
    version: str
    share: float
    position: int
    events: int = 0
    rails: list[RailLog] = field(default_factory=list)
    _waiting: dict[tuple[int, int], _Waiting] = field(default_factory=dict)
    _newest_ns: int = -(1 << 62)

    def __post_init__(self) -> None:
        self.rails = [RailLog(rail, self.plan.alpha_of_rail) for rail in self.plan.rails]

    def catch_up(self, journal: StandingJournal) -> bool:
        """Read some of what is new; returns whether more is left. Raises Unavailable, JournalError.

        It ends though the journal grows faster than it can be read, so that what was read is judged.
        """
        last = journal.last
        until = min(last, self.position + ENTRIES_MAX)
        for entry in journal.read(self.position):
            if entry.sequence > until:
                break
            self.position = entry.sequence
            if isinstance(entry.body, OutcomeBatch):
                self._hear(entry.body)
            elif isinstance(entry.body, DecisionBatch) and self._is_of_this_step(entry.body):
                self._take(entry.body)
        self._mature()
        return self.position < last

    def _is_of_this_step(self, body: DecisionBatch) -> bool:
        return (
            len(body) > 0
            and body.arm is not None
            and body.settings >= self.number
            and body.canary.endswith(f"+{self.version}")
        )

    def _take(self, body: DecisionBatch) -> None:
        prepared = self.prepared
        was = decisions_as(body, prepared.words, tuple(prepared.app.scorers), prepared.coding)
        assert was.arm is not None
        treated = was.arm != 0
        kept = (treated | self._sampled(was)) & (was.ruling.action >= 0)
        self.events += int(np.count_nonzero(treated))
        was, treated = decisions_at(was, kept), treated[kept]
        for log in self.rails:
            values = self._values(log.rail, was)
            if values is not None:
                log.add(treated, values)
        if any(log.rail.name == "cost" for log in self.rails):
            self._remember(was, treated)

    def _sampled(self, was: DecisionBatch) -> Mask:
        """Which of the champion's decisions count: a share of them by chance, which hangs on the event alone."""
        rate = _RATIO * self.share / max(1.0 - self.share, 1e-9)
        found: Mask = uniform(self.number, was.events.id_code) < rate
        return found

    def _values(self, rail: Rail, was: DecisionBatch) -> Float | None:
        """(n,) the figure of each decision; None where outcomes have to come first."""
        if rail.name == "cost":
            return None
        found: Mask
        if rail.name in _BITS:
            found = was.fallback & _BITS[rail.name] != 0
        else:
            found = was.ruling.action == self.prepared.app.actions.index(rail.name.removeprefix("action "))
        return found.astype(np.float64)

    def _remember(self, was: DecisionBatch, treated: Mask) -> None:
        app = self.prepared.app
        costs, hiding = costs_of(app), np.array(censoring_of(app), np.bool_)
        assert costs is not None
        positive, negative = costs(was.events, was.features)
        taken = chosen(was.ruling.action, was.ruling.rule, was.proposal.propensity)
        seen = taken[:, ~hiding].sum(axis=1)
        hidden = hiding[was.ruling.action.astype(np.int64)]
        label = np.where(hidden, np.nan, was.events.label)
        self._newest_ns = max(self._newest_ns, int(was.events.time_ns.max(initial=self._newest_ns)))
        columns = (
            treated.tolist(), was.events.time_ns.tolist(), (taken * negative).sum(axis=1).tolist(),
            (taken * positive).sum(axis=1).tolist(), was.fused.risk.tolist(), seen.tolist(), hidden.tolist(),
            label.tolist(),
        )  # fmt: skip
        for identity, *facts in zip(was.events.ids.tolist(), *columns, strict=True):
            if len(self._waiting) < _WAITING_MAX:
                self._waiting.setdefault(identity, _Waiting(*facts))

    def _hear(self, body: OutcomeBatch) -> None:
        for identity, label in zip(body.ids.tolist(), body.label.tolist(), strict=True):
            found = self._waiting.get(identity)
            if found is not None and not found.hidden:
                found.label = label

    def _mature(self) -> None:
        """Count the cost of events of which good and bad outcomes could both be known, in the order of their times."""
        log = next((one for one in self.rails if one.rail.name == "cost"), None)
        if log is None:
            return
        outcomes = self.prepared.app.outcomes
        until_ns = self._newest_ns - max(outcomes.matures, outcomes.delay)
        due = [(one.time_ns, k, identity) for k, (identity, one) in enumerate(self._waiting.items())]
        rows = [self._waiting.pop(identity) for time_ns, _, identity in sorted(due) if time_ns <= until_ns]
        terms = [(one.treated, *found) for one in rows if (found := _cost(one, outcomes.unknown == "negative"))]
        if terms:
            treated, low, high = (np.array(column) for column in zip(*terms, strict=True))
            log.add(treated.astype(np.bool_), low.astype(np.float64), high.astype(np.float64))


def _cost(one: _Waiting, silence_negative: bool) -> tuple[float, float] | None:
    """The least and the most that an event cost its version; None where nothing is known and silence says nothing.

    Doubly robust: what the version's risk foretells, corrected by labels that were seen, each weighted by how seldom
    it is. Where a label has next to no chance to be seen, both labels are possible.

    >>> _cost(_Waiting(True, 0, 1.0, 5.0, 0.5, 1.0, False, 1.0), False)
    (5.0, 5.0)
    >>> _cost(_Waiting(True, 0, 1.0, 5.0, 0.5, 0.0, True, float("nan")), False)
    (1.0, 5.0)
    """
    if one.seen < 1.0 / WEIGHT_MAX:
        return min(one.negative, one.positive), max(one.negative, one.positive)
    label = one.label
    if label != label and not one.hidden:
        if not silence_negative:
            return None
        label = 0.0
    foretold = (1.0 - one.risk) * one.negative + one.risk * one.positive
    found = foretold if label != label else (one.positive if label == 1.0 else one.negative)
    term = foretold + (found - foretold) / one.seen
    return term, term


def facts_of(watch: Watch) -> dict[str, Any]:
    """A step as JSON, without its judgement."""
    return {"share": watch.share, "events": watch.events, "change": watch.number, "entry": watch.position}

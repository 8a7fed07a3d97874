"""Findings -> a plan: for each cause the remedy that saves most, rehearsed on recent traffic, in a safe order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from homeostat.errors import HomeostatError
from homeostat.maintain.contracts import Case
from homeostat.maintain.plan.rehearsing import Effect, effect_of
from homeostat.maintain.plan.remedies import Means, Offer, offers
from homeostat.ports.rehearsal import Rehearsal
from homeostat.records.causes import Cause
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.plans import Alteration, Blast, Plan, Rehearsed, Remedy, Step

_HOUR_NS = 3_600_000_000_000
_SPAN_NS = 24 * _HOUR_NS  # Of traffic that a rehearsal decides again, at most.
_WORTH_H = 72.0  # A remedy's hourly saving counts for so long: until people have mended the cause, about.
_REHEARSALS = 3  # Of each finding, at most.
_WITHIN_NS = 12 * _HOUR_NS  # After a step, until it has to have shown its effect.
_LAW_IN_DOUBT = frozenset({Cause.CONCEPT, Cause.REGIME, Cause.SEGMENT})  # Risk can't stand in for outcomes there.
_NOTHING = Rehearsed(0.0, 0.0, 0.0, 0, "none")
_NO_BLAST = Blast(0.0, 0.0, 0.0)

PRICES: Mapping[Remedy, float] = {
    Remedy.FALLBACK: 1.0, Remedy.RETRAIN: 24.0, Remedy.REBUILD: 0.5, Remedy.LIBRARY_MODEL: 0.5, Remedy.ROLLBACK: 0.25,
}  # fmt: skip
"""What doing a remedy costs, in multiples of an ordinary hour's cost of the app; others cost a tenth."""


@dataclass(frozen=True, slots=True)
class _Tried:
    offer: Offer
    effect: Effect | None
    net: float


class RemedyPlanner:
    """See the module.

    means : what the app has to act with, as of now
    settings : the number of the last change
    """

    def __init__(self, rehearsal: Rehearsal, means: Means, settings: int) -> None:
        self._rehearsal, self._means, self._settings = rehearsal, means, settings

    def plan(self, case: Case, findings: Findings) -> Plan:
        """See `contracts.Planner`."""
        if findings.conclusion == Conclusion.NONE:
            return self._one(case, 1.0 - _top(findings), Remedy.MONITOR, "nothing is wrong that could be acted on")
        if findings.conclusion == Conclusion.INCONCLUSIVE or not findings.findings:
            why = "; ".join(findings.missing) or "no cause fits what was measured"
            return self._one(case, _top(findings), Remedy.ESCALATE, why)
        chosen: list[tuple[int, Step]] = []
        rejected: list[tuple[str, str]] = []
        before: tuple[Alteration, ...] = ()
        for finding in sorted(findings.findings, key=lambda one: _first_order(one, self._means)):
            tried = self._tried(case, finding, before)
            best = _best(tried)
            rejected += [(str(one.offer.remedy), _why_not(one, best)) for one in tried if one is not best]
            chosen.append((best.offer.order, _step(best, finding)))
            before += best.offer.alterations
        steps = tuple(step for _, step in sorted(chosen, key=lambda one: one[0]))
        confidence = min(one.probability for one in findings.findings)
        return Plan(case.incident.id, case.now_ns, confidence, self._settings, steps, tuple(rejected))

    def _tried(self, case: Case, finding: Finding, before: Sequence[Alteration]) -> list[_Tried]:
        """The offers of a finding with what rehearsals say; beyond some, and those that nothing shows, unrehearsed."""
        found = []
        rehearsals = 0
        for offer in offers(finding, self._means):
            effect = None
            if offer.alterations and not offer.protects and rehearsals < _REHEARSALS:
                rehearsals += 1
                try:
                    effect = self._rehearse(case, finding, [*before, *offer.alterations])
                except HomeostatError:
                    effect = None
            found.append(_Tried(offer, effect, _net(offer, effect)))
        return found

    def _rehearse(self, case: Case, finding: Finding, alterations: Sequence[Alteration]) -> Effect:
        until = case.now_ns
        begin = max(finding.since_ns, until - _SPAN_NS)
        again = self._rehearsal.again(min(begin, until - _HOUR_NS), until, alterations, since_ns=finding.since_ns)
        return effect_of(again, len(self._means.actions), labels_only=finding.kind in _LAW_IN_DOUBT)

    def _one(self, case: Case, confidence: float, remedy: Remedy, why: str) -> Plan:
        step = Step(remedy, "app", (), None, True, 0.0, _NOTHING, _NO_BLAST, 0, why=why)
        return Plan(case.incident.id, case.now_ns, confidence, self._settings, (step,))


def _top(findings: Findings) -> float:
    return max((one[2] for one in findings.ranked), default=0.0)


def _first_order(finding: Finding, means: Means) -> int:
    return offers(finding, means)[0].order


def _net(offer: Offer, effect: Effect | None) -> float:
    """What it saves until people have mended the cause, less what it costs; NaN where nothing is known."""
    if effect is None or isnan(effect.rehearsed.effect):
        return float("nan")
    return effect.rehearsed.effect * _WORTH_H - _cost(offer, effect)


def _cost(offer: Offer, effect: Effect | None) -> float:
    hourly = 0.0 if effect is None or isnan(effect.hourly_cost) else abs(effect.hourly_cost)
    return PRICES.get(offer.remedy, 0.1) * hourly if offer.alterations or offer.job else 0.0


def _best(tried: Sequence[_Tried]) -> _Tried:
    """The first that saves something, unless another saves more; else the first that protects or was not rehearsed."""
    saving = [one for one in tried if one.net > 0]
    if saving:
        return max(saving, key=lambda one: one.net)
    for one in tried:
        harmful = one.effect is not None and one.effect.rehearsed.high < 0
        if not harmful:
            return one
    return tried[-1]


def _why_not(one: _Tried, best: _Tried) -> str:
    if one.effect is None:
        return f"{best.offer.remedy} comes first"
    if isnan(one.net):
        return "too few decisions to say what it saves"
    return f"it saves {one.effect.rehearsed.effect:.3g} an hour, {best.offer.remedy} more"


def _step(one: _Tried, finding: Finding) -> Step:
    offer, effect = one.offer, one.effect
    rehearsed, blast = (_NOTHING, _NO_BLAST) if effect is None else (effect.rehearsed, effect.blast)
    expects: dict[str, object] = {"by_ns": offer.takes_ns + _WITHIN_NS}
    if effect is not None and not isnan(effect.predicted):
        expects |= {
            "metric": "mean risk", "before": effect.before, "predicted": effect.predicted, "spread": effect.spread,
            "mix": effect.mix, "mix_before": effect.mix_before,
        }  # fmt: skip
    elif offer.alterations:
        expects |= {"metric": "applied"}
    expires = {} if not offer.lasts_ns else {"lasts_ns": offer.lasts_ns}
    return Step(
        offer.remedy, offer.scope, offer.alterations, offer.job, offer.reversible, _cost(offer, effect), rehearsed,
        blast, offer.takes_ns, {**expects, **expires, "notify": offer.notify, "protects": offer.protects},
        f"{offer.why} ({finding.kind} at {finding.node})",
    )  # fmt: skip

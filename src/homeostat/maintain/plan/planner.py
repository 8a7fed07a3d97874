"""Findings -> a plan: for each cause the first remedy that saves something on recent traffic, in a safe order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

from homeostat.errors import HomeostatError
from homeostat.maintain.contracts import Case
from homeostat.maintain.plan.load import LOAD, effect_of_lighter, effect_of_limit
from homeostat.maintain.plan.offer import Offer
from homeostat.maintain.plan.rehearsing import Effect, against, effect_of
from homeostat.maintain.plan.remedies import Means, offers
from homeostat.maintain.plan.revising import changed, offered
from homeostat.ports.rehearsal import CanNotRehearse, Rehearsal
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.edits import Edit
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.library import KeptVersion
from homeostat.records.plans import Alteration, Blast, Plan, Rehearsed, Remedy, Step
from homeostat.records.signals import Kind

_HOUR_NS = 3_600_000_000_000
_SPAN_NS = 24 * _HOUR_NS  # Of traffic that a rehearsal decides again, at most.
_WORTH_H = 72.0  # A remedy's hourly saving counts for so long: until people have mended the cause, about.
_LONG_NS = 5 * 24 * _HOUR_NS  # The same where the traffic before the fault is evidence, too.
_OURS = frozenset({
    ChangeKind.DEPLOY, ChangeKind.THRESHOLD, ChangeKind.CALIBRATION, ChangeKind.RULE, ChangeKind.LIST,
    ChangeKind.FUSION,
})  # fmt: skip
_PATIENCE_NS = 24 * _HOUR_NS  # After its opening, an incident that more traffic may explain is not handed over.
_SURE = 0.8  # A less probable cause waits for more traffic meanwhile: a gate that declares nothing else escalates it.
_WORTH_LEAST_H = 24.0  # The lower end of a saving counts for so long, as the gate has it when nothing else is declared.
_REHEARSALS = 3  # Of each finding, at most.
_WITHIN_NS = 12 * _HOUR_NS  # After a step, until it has to have shown its effect.
_OUTCOMES_NS = 4 * 24 * _HOUR_NS  # The same where only outcomes can show it.
_LABELS_NS = 10 * 24 * _HOUR_NS  # Of traffic that is decided again where known outcomes alone count, at most.
_NEWEST_NS = 6 * 24 * _HOUR_NS  # A version is held against so many days at least; no more where laws turn.
_EXPECTED_NS = 2 * 24 * _HOUR_NS  # The decisions of so many days say what those under a version will look like.
_CHALLENGED = 12  # Known positives, below which a version is not judged.
_LAW_IN_DOUBT = frozenset({Cause.CONCEPT, Cause.REGIME, Cause.SEGMENT})  # Risk can't stand in for outcomes there.
_SLOW = frozenset({Cause.ADVERSARY, Cause.BASE_RATE, Cause.POPULATION})  # Outcomes say more of them each hour.
_INPUTS_SHOW_NS = 3 * _HOUR_NS  # By then a fault of what comes in, of the same hour, has an incident of its own.
_OUR_DOING = frozenset({Cause.VERSION, Cause.CONFIGURATION})
_OF_INPUTS = frozenset({Kind.UNIT, Kind.SCHEMA, Kind.MISSING, Kind.FROZEN})
_MENDING = frozenset({ChangeKind.REPAIR, ChangeKind.QUARANTINE, ChangeKind.LATENESS, ChangeKind.LEARNING})
"""Changes that answer a cause for as long as they stand, though it goes on outside."""
_NOTHING = Rehearsed(0.0, 0.0, 0.0, 0, "none")
_NO_BLAST = Blast(0.0, 0.0, 0.0)

PRICES: Mapping[Remedy, float] = {
    Remedy.FALLBACK: 1.0, Remedy.RETRAIN: 0.25, Remedy.LIBRARY_MODEL: 0.25, Remedy.ROLLBACK: 0.25,
}  # fmt: skip
"""The cost of doing a remedy, in multiples of an ordinary hour's cost of the app; other changes are free.

A training alters nothing; its version costs what any other does.
"""


@dataclass(frozen=True, slots=True)
class _Tried:
    offer: Offer
    effect: Effect | None
    net: float


class RemedyPlanner:
    """See the module.

    means : what the app has to act with, as of now
    settings : the number of the last change
    fits : whether the app could apply these alterations
    present : the same scopes as they are now
    """

    def __init__(
        self, rehearsal: Rehearsal, means: Means, settings: int,
        fits: Callable[[Sequence[Alteration]], bool] = lambda alterations: True,
        present: Callable[[Sequence[Alteration]], Sequence[Alteration]] | None = None,
    ) -> None:  # fmt: skip
        self._rehearsal, self._means, self._settings = rehearsal, means, settings
        self._fits, self._present = fits, present

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        """See `contracts.Planner`."""
        if findings.conclusion == Conclusion.NONE:
            why = "; ".join(findings.missing) or "nothing is wrong that could be acted on"
            return self._one(case, 1.0 - _top(findings), Remedy.MONITOR, why)
        young = case.now_ns < case.incident.opened_ns + _PATIENCE_NS
        if findings.conclusion == Conclusion.INCONCLUSIVE or not findings.findings:
            why = "; ".join(findings.missing) or "no cause fits what was measured"
            return self._one(case, _top(findings), Remedy.MONITOR if young else Remedy.ESCALATE, why)
        if case.signals and not any(one.still for one in case.signals):
            return self._one(case, findings.findings[0].probability, Remedy.MONITOR, "all of its signals have ended")
        if any(one.kind in _LAW_IN_DOUBT for one in findings.findings):
            young = case.now_ns < case.incident.opened_ns + _OUTCOMES_NS  # Its evidence comes in with outcomes.
        least = min(findings.findings, key=lambda one: one.probability)
        if young and least.probability < _SURE:
            why = f"{least.kind} at {least.node} is not sure yet ({least.probability:.0%}): more traffic will tell"
            return self._one(case, least.probability, Remedy.MONITOR, why)
        inputs = _inputs_open(case, findings)
        if young and inputs:
            why = f"{inputs} may be at fault, too: inputs are mended before versions and settings"
            return self._one(case, least.probability, Remedy.MONITOR, why)
        chosen: list[tuple[int, Step]] = []
        rejected: list[tuple[str, str]] = []
        before: tuple[Alteration, ...] = ()
        held: list[str] = []
        for finding in sorted(findings.findings, key=lambda one: _first_order(one, self._means)):
            standing = self._standing(case, finding)
            if standing is not None and (young or all(one.kind in _MENDING for one in standing.alterations)):
                why = f"{standing.remedy} at {standing.scope} is in force against {finding.kind} at {finding.node}"
                held.append(why)
                continue
            tried = self._tried(case, finding, before, failed)
            best = _best(tried)
            if young and finding.kind in _SLOW and best.offer.remedy == Remedy.ESCALATE:
                why = f"nothing is known to help against {finding.kind} at {finding.node} yet: more traffic will tell"
                return self._one(case, finding.probability, Remedy.MONITOR, why)
            if young and _unsure(best):
                why = f"{best.offer.remedy} may save something, but it is not sure yet: more traffic will tell"
                return self._one(case, finding.probability, Remedy.MONITOR, why)
            rejected += [(str(one.offer.remedy), _why_not(one, best)) for one in tried if one is not best]
            chosen.append((best.offer.order, _step(best, finding)))
            before += best.offer.alterations
        if not chosen:
            return self._one(case, least.probability, Remedy.MONITOR, "; ".join(held))
        steps = tuple(step for _, step in sorted(chosen, key=lambda one: one[0]))
        confidence = min(one.probability for one in findings.findings)
        return Plan(case.incident.id, case.now_ns, confidence, self._settings, steps, tuple(rejected))

    def revise(self, case: Case, findings: Findings, plan: Plan, edit: Edit) -> Plan:
        """See `contracts.Planner`. The steps before the edited one stay; those after it are rehearsed on top of it."""
        steps, before = list[Step](), tuple[Alteration, ...]()
        means = self._means_at(case)
        for at, step in enumerate(plan.steps):
            if at == edit.step and edit.drop:
                continue
            if at >= edit.step and (step.alterations or step.job):
                finding, offer = offered(step, findings, means)
                offer = changed(offer, finding, edit, means) if at == edit.step else offer
                step = _step(self._tried_once(case, finding, offer, before), finding)
            steps.append(step)
            before += step.alterations
        if not any(step.alterations or step.job for step in steps):
            raise ValueError("nothing is left of the plan that alters anything; reject it instead")
        return replace(plan, at_ns=case.now_ns, settings=self._settings, steps=tuple(steps), by=edit.actor)

    def _means_at(self, case: Case) -> Means:
        return replace(self._means, library=replace(self._means.library, now_ns=case.now_ns))

    def _tried_once(self, case: Case, finding: Finding, offer: Offer, before: Sequence[Alteration]) -> _Tried:
        """An offer with what a rehearsal says on top of earlier steps. Raises ValueError where it does not fit."""
        together = [*before, *offer.alterations]
        if not self._fits(together):
            raise ValueError(f"the app could not apply {offer.remedy} at {offer.scope} with these values")
        effect = None
        if offer.alterations and not offer.protects:
            try:
                effect = self._rehearse(case, finding, offer, together)
            except HomeostatError:
                effect = None  # The gate then says that it was not rehearsed.
        return _Tried(offer, effect, _net(offer, effect))

    def _tried(
        self, case: Case, finding: Finding, before: Sequence[Alteration], failed: Collection[tuple[str, str]]
    ) -> list[_Tried]:  # fmt: skip
        """The offers of a finding with what rehearsals say; beyond some, and those that nothing shows, unrehearsed."""
        found = []
        rehearsals = 0
        for offer in offers(finding, self._means_at(case)):
            gone = (str(offer.remedy), offer.scope) in failed or self._is_standing(offer)
            if gone or not self._fits([*before, *offer.alterations]):
                continue
            effect = None
            if offer.alterations and not offer.protects and rehearsals < _REHEARSALS:
                rehearsals += 1
                try:
                    effect = self._rehearse(case, finding, offer, [*before, *offer.alterations])
                except HomeostatError:
                    effect = None
            found.append(_Tried(offer, effect, _net(offer, effect)))
        return found

    def _standing(self, case: Case, finding: Finding) -> Offer | None:
        """The remedy of a finding that is in force already, just as it would be done again; None where none is."""
        return next((one for one in offers(finding, self._means_at(case)) if self._is_standing(one)), None)

    def _is_standing(self, offer: Offer) -> bool:
        wanted = offer.alterations
        if self._present is None or not wanted or any(one.kind == ChangeKind.REBUILD for one in wanted):
            return False
        now = self._present(wanted)
        return all(
            a.body is not None and b.body is not None and dict(a.body) == dict(b.body)
            for a, b in zip(wanted, now, strict=True)
        )

    def _rehearse(self, case: Case, finding: Finding, offer: Offer, alterations: Sequence[Alteration]) -> Effect | None:
        """The effect of alterations on the traffic since the finding began; None where nothing shows their use."""
        if not offer.beyond:
            return self._by_cost(case, finding, alterations, offer.version)
        return self._by_load(case, finding, offer, alterations)

    def _by_load(self, case: Case, finding: Finding, offer: Offer, alterations: Sequence[Alteration]) -> Effect | None:
        """The load that a remedy takes off, or the time."""
        until, actions = case.now_ns, len(self._means.actions)
        about: Mapping[str, Any] = finding.about or {}
        if offer.beyond == "time" and self._present is not None:
            begin = until - _SPAN_NS
            now = self._rehearsal.again(begin, until, self._present(alterations), since_ns=begin)
            return effect_of_lighter(now, self._rehearsal.again(begin, until, alterations, since_ns=begin), actions)
        senders, count, span_ns = about.get("entities"), about.get("count"), about.get("per_ns")
        if offer.beyond != LOAD or not senders or not count or not span_ns:
            return None
        begin = min(max(finding.since_ns, until - _SPAN_NS), until - _HOUR_NS)
        again = self._rehearsal.again(begin, until, alterations, since_ns=finding.since_ns)
        return effect_of_limit(again, senders, int(count), int(span_ns), actions)

    def _by_cost(
        self, case: Case, finding: Finding, alterations: Sequence[Alteration], version: KeptVersion | None = None
    ) -> Effect:
        """The effect of alterations on the cost of decisions since the finding began.

        Where they alter how we decide, and not what comes, the days before are evidence as well: they are decided
        twice, as we decide now and under the alterations. A version is held against known outcomes of events that it
        has not learned from, and of the newest days.
        version : see `Offer`
        """
        if version is not None:
            return self._rehearse_version(case, finding, alterations, version)
        until, since = case.now_ns, finding.since_ns
        law = finding.kind in _LAW_IN_DOUBT
        if self._present is not None and not law and all(one.kind in _OURS for one in alterations):
            begin = until - _LONG_NS
            try:
                now = self._rehearsal.again(begin, until, self._present(alterations), since_ns=begin)
                other = self._rehearsal.again(begin, until, alterations, since_ns=begin)
                return effect_of(against(now, other), len(self._means.actions))
            except CanNotRehearse:
                pass  # Nothing is kept of that time.
        actions = len(self._means.actions)
        if law and all(one.kind in _OURS for one in alterations):
            again = self._rehearsal.again(until - _LABELS_NS, until, alterations, since_ns=until - _LABELS_NS)
            return effect_of(again, actions, labels_only=True, since_ns=since)
        begin = min(max(since, until - _SPAN_NS), until - _HOUR_NS)
        again = self._rehearsal.again(begin, until, alterations, since_ns=since)
        return effect_of(again, actions, labels_only=law)

    def _rehearse_version(
        self, case: Case, finding: Finding, alterations: Sequence[Alteration], version: KeptVersion
    ) -> Effect:
        until = case.now_ns
        begin = until - _LABELS_NS if version.held_out else max(version.taught_ns, until - _LABELS_NS)
        again = self._rehearsal.again(begin, until, alterations, since_ns=begin)
        newest = until - _NEWEST_NS
        since = newest if finding.kind == Cause.REGIME else min(finding.since_ns, newest)
        return effect_of(
            again, len(self._means.actions), labels_only=True, since_ns=since, unlearned=version,
            positives_least=_CHALLENGED, expected_ns=until - _EXPECTED_NS,
        )  # fmt: skip

    def _one(self, case: Case, confidence: float, remedy: Remedy, why: str) -> Plan:
        step = Step(remedy, "app", (), None, True, 0.0, _NOTHING, _NO_BLAST, 0, why=why)
        return Plan(case.incident.id, case.now_ns, confidence, self._settings, (step,))


def _inputs_open(case: Case, findings: Findings) -> str:
    """A field that came otherwise and is not mended, where all findings are of our own doing; empty where none is.

    A version that is judged while a wrong unit moves its decisions is taken back for what it did not do.
    """
    if not all(one.kind in _OUR_DOING for one in findings.findings):
        return ""
    if case.now_ns < case.incident.opened_ns + _INPUTS_SHOW_NS:
        return "what comes in"
    open_ = [
        one.series.node for one in (*case.signals, *case.beside)
        if one.still and one.series.kind in _OF_INPUTS and one.series.node.startswith("field:")
    ]  # fmt: skip
    elsewhere = [
        one.node for one in case.elsewhere
        if one.node.startswith("field:") and not one.mended and one.until_ns >= case.now_ns
    ]  # fmt: skip
    return next(iter([*open_, *elsewhere]), "")


def _top(findings: Findings) -> float:
    return max((one[2] for one in findings.ranked), default=0.0)


def _first_order(finding: Finding, means: Means) -> int:
    return offers(finding, means)[0].order


def _net(offer: Offer, effect: Effect | None) -> float:
    """Its saving until people have mended the cause, less its cost; NaN where nothing is known."""
    if effect is None or isnan(effect.rehearsed.effect):
        return float("nan")
    return effect.rehearsed.effect * _WORTH_H - _cost(offer, effect)


def _cost(offer: Offer, effect: Effect | None) -> float:
    hourly = 0.0 if effect is None or isnan(effect.hourly_cost) else abs(effect.hourly_cost)
    return PRICES.get(offer.remedy, 0.0) * hourly if offer.alterations or offer.job else 0.0


def _best(tried: Sequence[_Tried]) -> _Tried:
    """The first that surely saves something, else that seems to, else that protects or was not rehearsed.

    Offers come in order: what mends the cause before what hides it. Each is rehearsed under its own risks, so savings
    of different ones can't be held against each other. Those of versions can: known outcomes alone say them, and the
    best is taken. A version that is not sure waits as long as there is an offer to wait.
    """
    sure = [one for one in tried if one.net > 0 and not _unsure(one)]
    if sure:
        versions = [one for one in sure if one.offer.version is not None and one.offer.remedy == sure[0].offer.remedy]
        return max(versions, key=_low) if sure[0] in versions else sure[0]
    if any(one.offer.remedy is Remedy.MONITOR for one in tried):
        tried = [one for one in tried if one.offer.version is None]
    for one in tried:
        if one.net > 0:
            return one
    for one in tried:
        harmful = one.effect is not None and one.effect.rehearsed.high < 0
        # Load against money: a person weighs it.
        if (not harmful or one.offer.beyond) and one.offer.version is None:
            return one
    return tried[-1]


def _low(one: _Tried) -> float:
    return float("-inf") if one.effect is None else one.effect.rehearsed.low


def _unsure(one: _Tried) -> bool:
    """Whether a remedy may save something, and its interval does not say so yet."""
    if one.effect is None or one.net <= 0:
        return False
    if isnan(one.net):
        return True  # Too few outcomes are known.
    return one.effect.rehearsed.low * _WORTH_LEAST_H <= _cost(one.offer, one.effect)


def _why_not(one: _Tried, best: _Tried) -> str:
    if one.effect is None:
        return f"{best.offer.remedy} comes first"
    if isnan(one.net):
        return "too few decisions to say what it saves"
    return f"it saves {one.effect.rehearsed.effect:.3g} an hour, and {best.offer.remedy} comes first"


def _step(one: _Tried, finding: Finding) -> Step:
    offer, effect = one.offer, one.effect
    rehearsed, blast = (_NOTHING, _NO_BLAST) if effect is None else (effect.rehearsed, effect.blast)
    law = finding.kind in _LAW_IN_DOUBT or offer.version is not None
    expects: dict[str, object] = {"by_ns": offer.takes_ns + (_OUTCOMES_NS if law else _WITHIN_NS), "labels_only": law}
    if offer.beyond and effect is not None:
        expects |= {"metric": LOAD, "mix": effect.mix, "mix_before": effect.mix_before}
    elif effect is not None and not isnan(effect.predicted):
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

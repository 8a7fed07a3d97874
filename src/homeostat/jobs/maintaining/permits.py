"""Whether a step may be done, by the chained record and the settings, whatever the store of plans says.

The store of plans is where loop 2 keeps how far it is, and anybody who can write to it could write a plan, a ruling or
an approval. So none of these counts that is not on record, and what was done is counted in the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.engine.gate_record import GateRecord
from homeostat.engine.unauthorised import forbids, step_of, steps_by_itself
from homeostat.maintain.beside import BY
from homeostat.maintain.gate.limits import DAY_NS, Limits
from homeostat.ports.plans import Plans
from homeostat.ports.settings import Settings
from homeostat.records.autonomy import reach_of
from homeostat.records.changes import Change
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan, Tier
from homeostat.records.responses import Answer, Response

_PLANS_KEPT = 10_000
_CLOCKS_NS = 10**9  # The two stores need not read the same clock.
_RESPONSES_KEPT = 10_000  # Of more, older ones are gone from the store for good reason.
_CONFIRMED = frozenset({Phase.INVESTIGATED, Phase.PLANNED, Phase.RULED, Phase.ACTING})


@dataclass(frozen=True, slots=True)
class Permits:
    """See the module. Every method raises Unavailable where a store is away."""

    record: GateRecord
    settings: Settings
    plans: Plans

    def begun_again(self, response: Response, now_ns: int) -> Response | None:
        """The response that begins again, where the stored one is not as it is on record; None where it is."""
        why = ""
        if response.phase in _CONFIRMED and not self.record.confirms(response):
            why = "what is stored of it is not what is on record"
        elif response.wished is not None and not self.record.wished(response.wished.plan, response.wished.actor):
            why = f"the edit by {response.wished.actor} is not on record"
        if not why:
            return None
        text = f"{why}: nothing of it counts, and it is investigated again"
        return response.to(Phase.OPEN, now_ns, text, findings=None, plan=None, ruling=None, approval=None, edits=())

    def forbids_approved(self, plan: Plan, stored: Response, by: str) -> str:
        """Why a plan that a person approved may not be carried out; empty where it may."""
        answer = stored.approval
        if not self._is_of(plan, stored):
            return "another plan is stored by now, or on record"
        if answer is None or (answer.plan, answer.answer, answer.actor) != (plan.hash, Answer.APPROVE, by):
            return f"no approval by {by} is stored"
        return "" if self.record.approved(plan.hash, by) else f"no approval by {by} is on record"

    def forbids_execution(
        self, plan: Plan, stored: Response, responses: Sequence[Response], limits: Limits, now_ns: int
    ) -> str:  # fmt: skip
        """Why a plan may not be carried out by itself; empty where it may.

        stored : the response as it is stored now; responses : all that are stored
        """
        if not self._is_of(plan, stored):
            return "another plan is stored by now, or on record"
        ruling = stored.ruling
        if ruling is None or ruling.plan != plan.hash or ruling.tier != Tier.EXECUTE:
            return "the gate has not ruled to execute it"
        if len(responses) < _RESPONSES_KEPT:
            altered = self.record.altered(responses, now_ns - limits.lowered_ns)
            if altered:
                return f"what is stored of incident {altered[0]} is not what is on record, so a person decides"
        why = self._rejected(plan)
        if why:
            return why
        for step in plan.acting:
            why = forbids(limits, [limits.declared(step.remedy, reach_of(step.scope))], now_ns)
            if why:
                return why
        changes = self.settings.since(0)
        lost = self._lost(plan, changes, now_ns - limits.lowered_ns)
        if lost:
            return lost
        done = steps_by_itself(changes, now_ns - DAY_NS)
        others = sum(not step.startswith(f"{plan.hash}-") for step in done)
        if others + len(plan.acting) > limits.actions_per_day:
            return f"with {others} steps of 24 hours, it is more than {limits.actions_per_day}"
        return ""

    def _lost(self, plan: Plan, changes: Sequence[Change], after_ns: int) -> str:
        """Why nothing is done by itself where the record is younger than acts in the settings; empty where it is not.

        With a record go people's words: a kill switch, rejections, failures.
        """
        began_ns = self.record.began_ns
        before = [
            one for one in changes
            if one.actor == BY and not one.reverts and step_of(one) and not one.key.startswith(f"{plan.hash}-")
            and one.at_ns > after_ns and (began_ns is None or one.at_ns < began_ns - _CLOCKS_NS)
        ]  # fmt: skip
        if not before:
            return ""
        return f"change {before[0].number} of homeostat is older than its record, which was lost, so a person decides"

    def _rejected(self, plan: Plan) -> str:
        """Why a plan is not to be carried out by itself after what people have rejected in its incident."""
        hashes = self.record.rejected(plan.incident)
        kept = {one.plan.hash: one.plan for one in self.plans.ruled(0, _PLANS_KEPT)} if hashes else {}
        for hash in hashes:
            if hash not in kept:
                return f"a person has rejected plan {hash}, which is not kept any more"
            gone = {(one.remedy, one.scope) for one in kept[hash].acting}
            again = next((one for one in plan.acting if (one.remedy, one.scope) in gone), None)
            if again is not None:
                return f"a person has rejected {again.remedy} at {again.scope} in this incident"
        return ""

    def _is_of(self, plan: Plan, stored: Response) -> bool:
        return stored.plan is not None and stored.plan.hash == plan.hash and self.record.confirms(stored)

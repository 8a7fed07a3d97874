"""The gate's decision table: each rule on both sides of its limit, with everything else in order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from tests.support.made_plans import (
    DAY_NS,
    FINDINGS,
    FOUND,
    HOUR_NS,
    NOW,
    OPEN,
    PLAN,
    STEP,
    done,
    plan_with,
)

from homeostat.maintain.gate.blackouts import Blackout
from homeostat.maintain.gate.business import Business, BusinessRule
from homeostat.maintain.gate.limits import WATCHING, Limits
from homeostat.maintain.gate.rules import RULES
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.records.autonomy import Level, Reach
from homeostat.records.changes import ChangeKind
from homeostat.records.findings import Conclusion, Edge, Findings
from homeostat.records.plans import Alteration, Blast, Done, Plan, Rehearsed, Remedy, Ruling, Step, Tier
from homeostat.records.verdicts import Verdict

NAN = float("nan")
E, W, X = Tier.ESCALATE, Tier.WATCH, Tier.EXECUTE
FAILED = done(100, Remedy.THRESHOLD, "app", verdict=Verdict.FAIL)
THRESHOLD = (Remedy.THRESHOLD, Reach.APP)
HOLD = Alteration(ChangeKind.LEARNING, "policy", {"on": False})
IDLE: dict[str, object] = {
    "remedy": Remedy.IMPUTE, "scope": "field:amount", "cost": 0.0, "blast": Blast(0.0, 0.0, 0.0),
    "alterations": (Alteration(ChangeKind.REPAIR, "field:amount", {"op": "impute", "value": 20.0}),),
    "rehearsed": Rehearsed(0.0, 0.0, 0.0, 400, "replay"),
}  # fmt: skip
NOT_SEEN = Rehearsed(0.0, 0.0, 0.0, 0, "none")
SEGMENT = plan_with(scope="segment:country == 'AT'", remedy=Remedy.SCOPED_RULE)
TWO = replace(PLAN, steps=(STEP, replace(STEP, remedy=Remedy.CONVERT, scope="field:amount")))


@dataclass(frozen=True)
class Row:
    """One line of the table: the rule that asks for a tier, while all the others agree. `rule` is empty for none."""

    rule: str
    tier: Tier
    limits: Limits = OPEN
    plan: Plan = PLAN
    findings: Findings = FINDINGS
    history: tuple[Done, ...] = ()
    now: int = NOW
    also: frozenset[str] = field(default_factory=frozenset)

    def ruling(self) -> Ruling:
        return LimitsGate(self.limits).rule(self.plan, self.findings, self.history, self.now)


def limited(**limits: object) -> Limits:
    return replace(OPEN, **limits)  # type: ignore[arg-type]


def business(when: str, then: Tier = E) -> Limits:
    return limited(business=Business((BusinessRule("desk", when, then, "the desk wants it so"),)))


def found(**fields: object) -> Findings:
    return replace(FINDINGS, findings=(replace(FOUND, **fields),))  # type: ignore[arg-type]


def blackout(**fields: object) -> Limits:
    return limited(blackouts=(replace(Blackout("a freeze"), **fields),))  # type: ignore[arg-type]


BERLIN = ZoneInfo("Europe/Berlin")
TABLE = [
    Row("", X),
    Row("kill_switch", E, limited(stop=True)),
    # Figures that are not known, wherever they are. Each rule that needs one refuses it, too.
    Row("figures", E, plan=plan_with(expects={"predicted": NAN})),
    Row("figures", E, plan=plan_with(alterations=(Alteration(ChangeKind.THRESHOLD, "block", {"at": [NAN]}),))),
    Row("figures", E, plan=plan_with(rehearsed=Rehearsed(NAN, 5.0, 15.0, 400, "replay"))),
    Row("figures", E, plan=plan_with(rehearsed=Rehearsed(10.0, 5.0, float("inf"), 400, "replay"))),
    Row("figures", E, plan=plan_with(rehearsed=Rehearsed(10.0, NAN, 15.0, 400, "replay")), also=frozenset({"benefit"})),
    Row("figures", E, plan=plan_with(cost=NAN), also=frozenset({"benefit"})),
    Row("figures", E, plan=replace(PLAN, confidence=NAN), also=frozenset({"confidence"})),
    Row("figures", E, findings=found(probability=NAN), also=frozenset({"confidence"})),
    Row("figures", E, plan=plan_with(blast=Blast(NAN, 0.1, 1.0)), also=frozenset({"blast_decisions"})),
    Row("figures", E, plan=plan_with(blast=Blast(0.1, NAN, 1.0)), also=frozenset({"blast_entities"})),
    Row("figures", E, plan=plan_with(blast=Blast(0.1, 0.1, NAN)), also=frozenset({"blast_money"})),
    # The plan's age.
    Row("", X, now=PLAN.at_ns),
    Row("", X, now=PLAN.at_ns + OPEN.age_ns),
    Row("time", E, now=PLAN.at_ns - 1),
    Row("time", E, now=PLAN.at_ns + OPEN.age_ns + 1),
    # The result of the investigation.
    Row("conclusion", E, findings=replace(FINDINGS, conclusion=Conclusion.NONE)),
    Row("conclusion", E, findings=replace(FINDINGS, conclusion=Conclusion.INCONCLUSIVE)),
    Row("conclusion", E, findings=replace(FINDINGS, findings=())),
    Row("conclusion", E, findings=replace(FINDINGS, incident="i2")),
    Row("grounded", E, findings=found(path=())),
    Row("grounded", E, findings=found(path=(Edge("outcome", "fusion", ""),))),
    Row("", X, limited(grounded=False), findings=found(path=())),
    Row("", X, plan=replace(PLAN, confidence=0.8)),
    Row("confidence", E, plan=replace(PLAN, confidence=0.799)),
    Row("confidence", E, findings=found(probability=0.799)),
    Row("confidence", E, plan=replace(PLAN, confidence=1.5), findings=found(probability=1.5)),
    # Autonomy, by kind and reach, and lowered after a failure.
    Row("autonomy", E, Limits()),
    Row("autonomy", E, limited(levels={THRESHOLD: Level.ASSISTED})),
    Row("", X, replace(Limits(), levels={THRESHOLD: Level.SUPERVISED})),
    Row("autonomy", E, limited(levels={(Remedy.SCOPED_RULE, Reach.SEGMENT): Level.ASSISTED}), SEGMENT),
    Row("", X, limited(levels={(Remedy.SCOPED_RULE, Reach.APP): Level.ASSISTED}), SEGMENT),
    Row("autonomy", E, plan=plan_with(remedy=Remedy.MONITOR)),
    Row("", X, history=(FAILED,)),
    Row("", X, history=(FAILED, FAILED)),
    Row("autonomy", E, history=(FAILED, replace(FAILED, at_ns=FAILED.at_ns - DAY_NS))),
    Row("autonomy", E, limited(levels={THRESHOLD: Level.SUPERVISED}), history=(FAILED,)),
    Row("", X, limited(levels={THRESHOLD: Level.SUPERVISED}), history=(replace(FAILED, remedy=Remedy.CONVERT),)),
    Row("", X, limited(levels={THRESHOLD: Level.SUPERVISED}), history=(replace(FAILED, scope="segment:a"),)),
    Row("", X, limited(levels={THRESHOLD: Level.SUPERVISED}), history=(replace(FAILED, verdict=Verdict.PASS),)),
    Row("", X, limited(levels={THRESHOLD: Level.SUPERVISED}, lowered_ns=DAY_NS), history=(FAILED,)),
    Row("", X, limited(levels={THRESHOLD: Level.SUPERVISED}, raised_ns={THRESHOLD: NOW - 2 * HOUR_NS}),
        history=(FAILED,)),
    Row("autonomy", E, limited(levels={THRESHOLD: Level.SUPERVISED}, raised_ns={THRESHOLD: FAILED.at_ns}),
        history=(FAILED,)),
    Row("reversible", E, plan=plan_with(reversible=False)),
    # The rehearsed benefit: 5 an hour at least, for 24 hours.
    Row("", X, plan=plan_with(cost=119.0)),
    Row("benefit", E, plan=plan_with(cost=120.0)),
    Row("benefit", W, plan=plan_with(cost=360.0)),
    Row("benefit", W, plan=plan_with(rehearsed=Rehearsed(-3.0, -5.0, -1.0, 400, "replay"))),
    Row("benefit", E, limited(worth_h=0.1)),
    Row("benefit", E, plan=plan_with(rehearsed=NOT_SEEN)),
    Row("benefit", E, plan=plan_with(rehearsed=Rehearsed(10.0, 5.0, 15.0, 400, "none"))),
    Row("benefit", E, plan=plan_with(rehearsed=Rehearsed(10.0, 5.0, 15.0, 0, "replay"))),
    # Load is no money: it may cost nothing to take it off.
    Row("", X, plan=plan_with(cost=0.0, rehearsed=Rehearsed(10.0, 5.0, 15.0, 400, "load"))),
    Row("benefit", E, plan=plan_with(cost=0.1, rehearsed=Rehearsed(10.0, 5.0, 15.0, 400, "load"))),
    Row("benefit", E, plan=plan_with(cost=0.0, rehearsed=Rehearsed(10.0, -1.0, 21.0, 400, "load"))),
    Row("benefit", E, plan=plan_with(cost=0.0, rehearsed=Rehearsed(-3.0, -5.0, -1.0, 400, "load"))),
    Row("benefit", E, plan=plan_with(cost=0.0, rehearsed=Rehearsed(10.0, 5.0, 15.0, 0, "load"))),
    Row("benefit", E, plan=plan_with(cost=-1.0), also=frozenset({"cost_budget"}), limits=limited(cost_per_day=9.0)),
    Row("", X, plan=plan_with(remedy=Remedy.HOLD_TRAINING, alterations=(HOLD,), rehearsed=NOT_SEEN)),
    Row("benefit", E, plan=plan_with(alterations=(HOLD, STEP.alterations[0]), rehearsed=NOT_SEEN)),
    # A training alters nothing: its version decides by a plan of its own. Any other job needs a rehearsal.
    Row("", X, plan=plan_with(alterations=(), job=("train", {}), rehearsed=NOT_SEEN)),
    Row("benefit", E, plan=plan_with(alterations=(), job=("train", {}), rehearsed=NOT_SEEN, cost=-1.0),
        also=frozenset({"cost_budget"}), limits=limited(cost_per_day=9.0)),
    Row("benefit", E, plan=plan_with(alterations=(), job=("dig", {}), rehearsed=NOT_SEEN)),
    Row("benefit", E, plan=plan_with(job=("train", {}), rehearsed=NOT_SEEN)),
    # A repair that changes no decision and costs nothing has nothing to lose.
    Row("", X, plan=plan_with(**IDLE)),
    Row("benefit", W, plan=plan_with(**{**IDLE, "cost": 0.1})),
    Row("benefit", W, plan=plan_with(**{**IDLE, "rehearsed": Rehearsed(0.0, 0.0, 0.0, 0, "replay")})),
    Row("benefit", W, plan=plan_with(**{**IDLE, "blast": Blast(0.1, 0.0, 0.0)})),
    Row("benefit", W, plan=plan_with(**{**IDLE, "alterations": STEP.alterations})),
    # Budgets, this plan included.
    Row("", X, limited(cost_per_day=3.0), history=(done(5, cost=2.0),)),
    Row("cost_budget", E, limited(cost_per_day=2.99), history=(done(5, cost=2.0),)),
    Row("", X, limited(cost_per_day=2.99), history=(done(24, cost=2.0),)),
    Row("cost_budget", E, limited(cost_per_day=9.0), history=(done(5, cost=NAN),)),
    Row("cost_budget", E, limited(cost_per_day=9.0), history=(done(5, cost=-20.0),)),
    Row("cost_budget", E, limited(cost_per_day=NAN)),
    Row("", X, limited(actions_per_day=2), history=(done(23),)),
    Row("action_budget", E, limited(actions_per_day=1), history=(done(23),)),
    Row("action_budget", E, limited(actions_per_day=1), history=(done(-50),)),
    Row("", X, limited(actions_per_day=1), history=(done(24),)),
    Row("action_budget", E, limited(actions_per_day=1), TWO),
    Row("action_budget", E, limited(actions_per_day=0)),
    Row("", X, limited(rate=(2.0, HOUR_NS)), history=(done(0.5),)),
    Row("rate", W, limited(rate=(1.0, HOUR_NS)), history=(done(0.5),)),
    Row("", X, limited(rate=(1.0, HOUR_NS)), history=(done(1),)),
    Row("rate", W, limited(rate=(1.0, HOUR_NS)), TWO),
    Row("cool_down", W, history=(done(5.9, Remedy.THRESHOLD, "app"),)),
    Row("cool_down", W, history=(done(-9, Remedy.THRESHOLD, "app"),)),
    Row("", X, history=(done(6, Remedy.THRESHOLD, "app"),)),
    Row("", X, history=(done(5, Remedy.THRESHOLD, "segment:a"),)),
    # How much it touches, all steps together.
    Row("", X, plan=plan_with(blast=Blast(0.3, 0.3, 1e9))),
    Row("blast_decisions", E, plan=plan_with(blast=Blast(0.301, 0.1, 1.0))),
    Row("blast_decisions", E, plan=plan_with(blast=Blast(-0.1, 0.1, 1.0))),
    Row("blast_entities", E, plan=plan_with(blast=Blast(0.1, 0.301, 1.0))),
    Row("blast_money", E, limited(money=49.0)),
    Row("blast_money", E, limited(money=99.0), TWO),
    Row("blast_decisions", E, limited(decisions=0.19), TWO),
    # Blackouts: it is Tuesday, the 3rd of November, 14:00 in UTC and 15:00 in Berlin.
    Row("blackout", E, blackout()),
    Row("", X, blackout(days=frozenset({0, 2, 3, 4, 5, 6}))),
    Row("blackout", E, blackout(days=frozenset({1}), first=14 * 60, end=14 * 60 + 1)),
    Row("", X, blackout(first=13 * 60, end=14 * 60)),
    Row("", X, blackout(first=14 * 60, end=15 * 60, zone=BERLIN)),
    Row("blackout", E, blackout(first=15 * 60, end=16 * 60, zone=BERLIN)),
    Row("blackout", E, blackout(days=frozenset({0}), first=20 * 60, end=15 * 60)),
    Row("", X, blackout(days=frozenset({1}), first=20 * 60, end=15 * 60)),
    Row("blackout", E, blackout(dates=((date(2026, 11, 1), date(2026, 11, 3)),))),
    Row("", X, blackout(dates=((date(2026, 11, 4), date(2026, 11, 5)),))),
    # Rules of the business.
    Row("rule:desk", E, business("remedy == 'threshold'")),
    Row("rule:desk", W, business("weekday == 2 and hour >= 14", W)),
    Row("", X, business("hour < 14 or weekday > 5")),
    Row("rule:desk", E, business("decisions > 0.05 and reach == 'app' and cause == 'concept'")),
    Row("rule:desk", E, business("scope == 'field:amount'"), TWO),
    Row("rule:desk", E, business("reversible and low < 6 and confidence < .95 and how == 'replay'")),
    Row("rule:desk", E, business("low / (cost - 1) > 1e9")),  # It can't be computed.
    Row("four_eyes", E, limited(four_eyes=frozenset({Remedy.THRESHOLD}))),
    Row("", X, limited(four_eyes=frozenset({Remedy.RETRAIN}))),
    Row("edited", E, plan=replace(PLAN, by="ann")),
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(TABLE)))
def test_each_rule_asks_for_its_tier_alone(at: int) -> None:
    row = TABLE[at]
    ruling = row.ruling()
    asking = {spoke.rule for spoke in ruling.rules if spoke.tier != Tier.EXECUTE}
    assert asking == ({row.rule} if row.rule else set()) | row.also
    assert ruling.tier == row.tier
    assert ruling.plan == row.plan.hash and ruling.at_ns == row.now


def test_every_rule_is_in_the_table_and_speaks_in_its_order_whether_or_not_it_agrees() -> None:
    ruling = Row("", X, business("hour > 25")).ruling()
    names = [spoke.rule.split(":")[0] for spoke in ruling.rules]
    named = [rule.__name__ for rule in RULES]
    assert [names[0], *(b for a, b in pairwise(_short(names)) if a != b)] == ["kill_switch", *map(_word, named[1:])]
    assert {_word(name) for name in named} <= {_word(row.rule.split(":")[0].split("_decisions")[0]) for row in TABLE}


def _word(name: str) -> str:
    return {"business": "rule"}.get(name, name)


def _short(names: list[str]) -> list[str]:
    return ["blast" if name.startswith("blast") else name for name in names]


@pytest.mark.parametrize(
    ("remedies", "tier"),
    [
        ((), W), ((Remedy.MONITOR,), W), ((Remedy.NOTE, Remedy.IGNORE), W), ((Remedy.FLAG,), W),
        ((Remedy.ESCALATE,), E), ((Remedy.MONITOR, Remedy.ESCALATE), E),
    ],
)  # fmt: skip
def test_a_plan_that_alters_nothing_needs_no_permission(remedies: tuple[Remedy, ...], tier: Tier) -> None:
    steps = tuple(replace(STEP, remedy=one, alterations=()) for one in remedies)
    ruling = LimitsGate(limited(stop=True)).rule(replace(PLAN, steps=steps), FINDINGS, (), NOW)
    assert (ruling.tier, [spoke.rule for spoke in ruling.rules]) == (tier, ["nothing_altered"])


@pytest.mark.parametrize("remedy", [one for one in Remedy if one not in WATCHING])
def test_without_a_section_in_the_app_file_no_kind_of_action_is_done(remedy: Remedy) -> None:
    assert LimitsGate(Limits()).rule(plan_with(remedy=remedy), FINDINGS, (), NOW).tier == Tier.ESCALATE


def test_to_ask_a_person_goes_before_waiting_and_every_word_has_its_sentence() -> None:
    both = LimitsGate(limited(stop=True)).rule(PLAN, FINDINGS, (done(1, Remedy.THRESHOLD, "app"),), NOW)
    assert both.tier == Tier.ESCALATE
    assert {spoke.rule: spoke.why for spoke in both.rules if spoke.tier != X} == {
        "kill_switch": "the kill switch is on", "cool_down": "threshold at app was done 1 hours ago, and waits 6",
    }  # fmt: skip
    assert all(spoke.why for spoke in both.rules)


def test_a_step_among_others_is_enough_to_forbid_the_plan() -> None:
    third = Step(Remedy.RETRAIN, "app", (), ("train", {}), False, 1.0, STEP.rehearsed, STEP.blast, 0)
    ruling = LimitsGate(OPEN).rule(replace(TWO, steps=(STEP, third)), FINDINGS, (), NOW)
    assert [spoke.rule for spoke in ruling.rules if spoke.tier != X] == ["reversible"]

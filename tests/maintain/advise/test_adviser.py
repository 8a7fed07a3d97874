"""Models are asked some things, little of their answers counts, and ideas are tested as our own are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support.made_plans import PLAN

from homeostat.checks.inquiries import GRAPH, ONSET, case, investigator, quiet, signal, with_amount
from homeostat.maintain.advise.adviser import FACTS_MAX, Adviser, Subject, near_causes, near_remedies
from homeostat.maintain.advise.grammar import Ideas, Order, ProposedCause, Words
from homeostat.ports.language import Question, Refusal, Reply, Role
from homeostat.records.advice import ADVICE, Asked, advice_in, note_of
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.plans import Plan
from homeostat.records.signals import Kind

TRAFFIC = with_amount(quiet(), lambda amount, after: amount * (1 + 99 * after))
CASE = case([signal("field:amount", Kind.DISTRIBUTION)])
UNKNOWN = Findings("i1", 5, Conclusion.INCONCLUSIVE, (), (("labels", "poisoning", 0.1),), 9, ("by 'Ann Lee'",))


class Scripted:
    """Answers each form with what a test says, by the question's own check."""

    def __init__(self, *answers: Any) -> None:
        self.answers = {type(one): one for one in answers}
        self.asked: list[Question[Any]] = []

    def ask(self, question: Question[Any]) -> Reply[Any]:
        self.asked.append(question)
        answer = self.answers.get(question.form)
        try:
            found = None if answer is None else question.check(answer)
        except ValueError:
            found = None
        return Reply(found, None if found is not None else Refusal.INVALID, "m", 1, 2, 0.5, "a", "b")


def adviser(model: Scripted, counts: list[Asked] | None = None) -> Adviser:
    made = investigator(TRAFFIC)
    return Adviser(dict.fromkeys(Role, model), GRAPH.nodes, made.kinds, ([] if counts is None else counts).append)


def advised(model: Scripted, findings: Findings = UNKNOWN, plan: Plan | None = None) -> Any:
    subject = Subject(CASE, findings, plan)
    one = adviser(model)
    return one.advice(subject, one.ask(subject), investigator(TRAFFIC))


def test_an_idea_is_shown_by_the_tests_of_an_investigation_or_is_not() -> None:
    ideas = Ideas([ProposedCause("unit", "field:amount", "cents"), ProposedCause("duplicates", "source")], ["fusion"])
    found = advised(Scripted(Words("Amounts are odd."), ideas))
    assert [(one.kind, one.shown) for one in found.leads] == [("unit", True), ("duplicates", False)]
    assert found.leads[0].probability > 0.5 and found.leads[0].why == "cents"
    assert any("times" in one.what or one.value > 50 for one in found.leads[0].evidence)
    assert [one.node for one in found.looks] == ["fusion"] and found.words == "Amounts are odd."
    assert advice_in({ADVICE: json.loads(json.dumps(note_of(found)))}) == found


@pytest.mark.parametrize(
    "ideas",
    [
        Ideas([ProposedCause("sabotage", "field:amount")]),
        Ideas([ProposedCause("unit", "field:amount"), ProposedCause("unit", "gate")]),
        Ideas([], ["/etc/passwd"]),
        Ideas([ProposedCause("unit", "segment:#7")]),
    ],
    ids=str,
)
def test_an_answer_that_names_what_there_is_not_counts_for_nothing(ideas: Ideas) -> None:
    found = advised(Scripted(ideas))
    assert found.leads == () and found.looks == ()
    assert [(one.role, one.outcome) for one in found.asked] == [("coordinator", "invalid"), ("investigator", "invalid")]


def test_what_was_looked_into_is_not_tried_again_and_much_is_cut() -> None:
    many = [ProposedCause("poisoning", "labels"), *(ProposedCause("unit", node) for node in GRAPH.nodes[:20])]
    assert len(advised(Scripted(Ideas(many))).leads) == 4


def test_no_idea_is_asked_for_where_a_cause_was_found() -> None:
    model = Scripted(Words("x"))
    found = advised(model, investigator(TRAFFIC).investigate(CASE))
    assert found.leads == () and [one.role for one in model.asked] == [Role.COORDINATOR]


def test_near_ties_are_ordered_by_given_names_only() -> None:
    near = replace(UNKNOWN, ranked=(("labels", "poisoning", 0.3), ("source", "flood", 0.25), ("time", "clock", 0.1)))
    assert near_causes(near) == [("labels", "poisoning"), ("source", "flood")]
    plan = replace(PLAN, rejected=(("rule", "it saves 5, an hour"), ("retrain", "it saves -2 an hour"), ("x", "no")))
    assert near_remedies(plan) == ["threshold", "rule"] and near_remedies(PLAN) == []
    order = Order(["flood at source", "poisoning at labels"], ["rule", "threshold"])
    found = advised(Scripted(order), near, plan)
    assert found.likelier == ("flood at source", "poisoning at labels") and found.preferred == ("rule", "threshold")
    for wrong in (Order(["flood at source"], []), Order([], ["rule", "rule"]), Order([], ["retrain", "threshold"])):
        refused = advised(Scripted(wrong), near, plan)
        assert refused.likelier == refused.preferred == ()


def test_facts_are_masked_and_bounded() -> None:
    noisy = [signal(f"segment:name == 'Ann Lee {k}'", Kind.SEGMENT, f"share of ann{k}@example.org") for k in range(50)]
    model = Scripted()
    subject = Subject(case(noisy), replace(UNKNOWN, missing=("'Ann Lee' " * 500,) * 20))
    adviser(model).ask(subject)
    assert model.asked and all("Ann" not in one.facts and "@" not in one.facts for one in model.asked)
    assert all(len(one.facts) <= FACTS_MAX and json.loads(one.facts) for one in model.asked)


def test_each_call_is_counted_by_role_and_outcome() -> None:
    counts: list[Asked] = []
    adviser(Scripted(Words("x")), counts).ask(Subject(CASE, UNKNOWN))
    assert [(one.role, one.outcome) for one in counts] == [("coordinator", "answered"), ("investigator", "invalid")]


def test_a_role_without_a_model_is_not_asked() -> None:
    model = Scripted(Words("x"))
    one = Adviser({Role.STRATEGIST: model}, GRAPH.nodes, ("unit",))
    assert one.ask(Subject(CASE, UNKNOWN)).asked == () and model.asked == []


def test_a_trial_leaves_findings_as_they_are() -> None:
    made = investigator(TRAFFIC)
    before = made.investigate(CASE)
    trial = made.trial(CASE, [("unit", "field:amount"), ("sabotage", "field:amount"), ("flood", "source")], ["labels"])
    assert [(one.kind, one.node) for one in trial.tried] == [("unit", "field:amount"), ("flood", "source")]
    assert trial.tried[0].finding is not None and trial.tried[0].finding.since_ns == ONSET
    assert made.investigate(CASE) == before and trial.looked[0][0] == "labels"

"""Advice and proposals on a live store: kept by compare and set, tested as our own, and never waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.app.gating import gate_of
from homeostat.app.proposing import NoRehearsal, after_tests
from homeostat.checks.inquiries import APP, GRAPH, NOW, case, investigator, quiet, signal, with_amount
from homeostat.config.gate import GateSpec
from homeostat.jobs.maintaining.advising import Advising, Counts
from homeostat.maintain.advise.adviser import Adviser
from homeostat.maintain.advise.grammar import Ideas, ProposedCause, Words
from homeostat.maintain.contracts import Case
from homeostat.ports.language import Question, Refusal, Reply, Role
from homeostat.records.advice import Advice, Proposal, advice_in, note_of, proposals_in
from homeostat.records.advice_words import worded_advice
from homeostat.records.findings import Conclusion, Findings
from homeostat.records.findings_text import findings_dict
from homeostat.records.incidents import Incident
from homeostat.records.signals import Kind

CENTS = with_amount(quiet(), lambda amount, after: amount * (1 + 99 * after))
SIGNAL = signal("field:amount", Kind.DISTRIBUTION)
CASE = case([SIGNAL])
UNKNOWN = Findings("i1", NOW, Conclusion.INCONCLUSIVE, (), (), 9)
FULL = gate_of(GateSpec(level="full"))


class Parts:
    """The parts of an app whose amounts are in cents since the onset."""

    def case(self, incident: Incident, now_ns: int) -> Case:
        return replace(CASE, incident=incident)

    def tests(self, now_ns: int) -> Any:
        return investigator(CENTS)

    def response(self, incident: str) -> None:
        return None

    def proposed(self, proposal: Proposal, case: Case, tests: Any) -> Proposal:
        return after_tests(APP, proposal, case, tests, FULL, NoRehearsal())

    def record(self, incident: str, advice: Advice) -> None:
        self.recorded = [one.outcome for one in advice.asked]


class Slow:
    """A model that answers once it is let."""

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), 0

    def ask(self, question: Question[Any]) -> Reply[Any]:
        self.asked += 1
        assert self.may.wait(60)
        if question.form is Words:
            return Reply(Words("Amounts are odd."), None, "m", 5, 6, 0.5, "a", "b")
        if question.form is Ideas:
            return Reply(question.check(Ideas([ProposedCause("unit", "field:amount", "cents")])), None, "m", 7, 8)
        return Reply(None, Refusal.TIMEOUT, "m")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteIncidents]:
    with closing(SqliteIncidents(tmp_path, app="payments")) as opened:
        opened.write([SIGNAL], [replace(CASE.incident, revision=1)])
        yield opened


def advising(store: SqliteIncidents, model: Slow | None = None, counts: Counts | None = None) -> Advising:
    kinds = investigator(CENTS).kinds
    count = (counts or Counts()).take
    adviser = None if model is None else Adviser(dict.fromkeys(Role, model), GRAPH.nodes, kinds, count)
    return Advising(store, Parts(), adviser, lambda text: None)


def investigated(store: SqliteIncidents) -> None:
    store.write([], [store.get("i1").investigated(findings_dict(UNKNOWN), NOW)], "investigation")


def test_nothing_waits_for_a_model_and_its_advice_is_kept_once(store: SqliteIncidents) -> None:
    model, counts = Slow(), Counts()
    one = advising(store, model, counts)
    assert one.step(NOW) == 0 and model.asked == 0  # Nothing was found as yet.
    investigated(store)
    assert [one.step(NOW) for _ in range(3)] == [0, 0, 0]
    assert advice_in(store.get("i1").notes) is None
    model.may.set()
    one.finish(NOW)
    advice = advice_in(store.get("i1").notes)
    assert advice is not None and advice.words == "Amounts are odd."
    assert [(lead.kind, lead.shown) for lead in advice.leads] == [("unit", True)]
    assert counts.calls["answered"] == 2 and counts.tokens == 26 and counts.cost == 0.5
    asked, revision = model.asked, store.get("i1").revision
    one.finish(NOW)
    assert (model.asked, store.get("i1").revision) == (asked, revision)
    assert "a test shows it" in worded_advice(store.get("i1").notes)
    assert store.get("i1").notes["findings"] == findings_dict(UNKNOWN)


def test_what_a_person_does_meanwhile_stands(store: SqliteIncidents) -> None:
    model = Slow()
    one = advising(store, model)
    investigated(store)
    one.step(NOW)
    store.write([], [store.get("i1").silenced(NOW + 5, "known", NOW)], "ann")
    model.may.set()
    one.finish(NOW)
    incident = store.get("i1")
    assert incident.silenced_until_ns == NOW + 5 and advice_in(incident.notes) is not None


def proposed(store: SqliteIncidents, kind: str, node: str, remedy: str = "") -> Proposal:
    incident = store.get("i1")
    made = Proposal.of("i1", NOW, "assistant ann", node, kind, "odd", remedy)
    store.write([], [incident.proposed(note_of([*proposals_in(incident.notes), made]), NOW)], "assistant ann")
    return made


def test_a_proposal_is_tested_planned_and_ruled_on_and_needs_a_person(store: SqliteIncidents) -> None:
    shown = proposed(store, "unit", "field:amount", "convert")
    wrong = proposed(store, "flood", "source")
    other = proposed(store, "unit", "field:amount", "retrain")
    one = advising(store)
    assert one.step(NOW) == 1 and one.step(NOW) == 0
    found = {each.id: each for each in proposals_in(store.get("i1").notes)}
    assert found[shown.id].state == "shown" and found[shown.id].plan is not None
    assert [step["remedy"] for step in found[shown.id].plan["steps"]] == ["convert"]
    gate = found[shown.id].gate
    assert gate is not None and gate["ruling"] == "escalate" and gate["rules"][-1]["rule"] == "proposal"
    assert (found[wrong.id].state, found[wrong.id].plan) == ("not_shown", None)
    assert found[other.id].plan is None and "convert" in found[other.id].result
    assert "proposes unit at field:amount, remedy convert" in worded_advice(store.get("i1").notes)


def test_a_part_that_breaks_costs_its_own_advice_alone(store: SqliteIncidents) -> None:
    class Broken(Parts):
        def tests(self, now_ns: int) -> Any:
            raise RuntimeError("a plug-in fails")

    said: list[str] = []
    proposed(store, "unit", "field:amount")
    one = Advising(store, Broken(), None, said.append)
    assert [one.step(NOW) for _ in range(3)] == [0, 0, 0]
    assert len(said) == 1 and "a plug-in fails" in said[0]

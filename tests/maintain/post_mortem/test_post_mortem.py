"""A post-mortem holds what is on record of an incident, and no text from data becomes markup in either form."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.made_plans import FINDINGS, FOUND, HOUR_NS, NOW, OPEN, PLAN

from homeostat.checks.incidents import incident, signal
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.maintain.post_mortem.content import Record, post_mortem
from homeostat.maintain.post_mortem.document import Block, Heading, Paragraph, Table, markdown, page
from homeostat.ports.incidents import IncidentChange
from homeostat.records.edits import Edit
from homeostat.records.findings import Conclusion, Evidence, Findings, Ruled
from homeostat.records.findings_text import findings_dict
from homeostat.records.incidents import FINDINGS as NOTE
from homeostat.records.incidents import Incident, Phase
from homeostat.records.plans import Receipt, Remedy, Verified
from homeostat.records.responses import Answer, Approval, Response
from homeostat.records.verdicts import Verdict

EVIL = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) `x` | https://evil.example www.evil.example \u202e\n# no"
CLOSED = replace(
    incident("0a1b"), since_ns=NOW - 4 * HOUR_NS, opened_ns=NOW - 2 * HOUR_NS, cost=90.0, cost_per_hour=30.0
).closed("the feed was mended", NOW + 6 * HOUR_NS)


def answered(text: str = "it is right") -> Response:
    """A plan that a person approved after an hour, done, and undone."""
    found = replace(
        FOUND, node=text, evidence=(Evidence(text, 3.0, "times", 1.0, text),), ruled_out=(Ruled("a", "unit", text),),
        not_checked=(text,),
    )  # fmt: skip
    plan = replace(PLAN, incident="0a1b", rejected=(("retrain", text),), steps=(replace(PLAN.steps[0], why=text),))
    ruling = LimitsGate(replace(OPEN, stop=True)).rule(plan, FINDINGS, (), NOW)
    receipt = Receipt(plan.hash, 0, "k", NOW + 2 * HOUR_NS, text, (7,), "", NOW + 3 * HOUR_NS, text, Remedy.THRESHOLD)
    verdict = Verified(0, NOW + 3 * HOUR_NS, Verdict.FAIL, 0.1, 0.3, 0.2, 0.4, 900, text, key="k")
    return Response(
        "0a1b", 6, Phase.CLOSED, findings=replace(FINDINGS, findings=(found,)), plan=plan, ruling=ruling,
        approval=Approval(plan.hash, Answer.APPROVE, text, text, NOW + HOUR_NS), receipts=(receipt,),
        verdicts=(verdict,), edits=(Edit("h", 0, text, text, NOW, body={text: text}),),
    ).to(Phase.CLOSED, NOW + 6 * HOUR_NS, text)  # fmt: skip


def record(response: Response | None = None, one: Incident = CLOSED) -> Record:
    history = [IncidentChange(1, "homeostat", replace(one, phase=Phase.OPEN, reason="")), IncidentChange(2, "ann", one)]
    return Record(one, [signal()], history, response, "EUR")


def rows_under(blocks: list[Block], title: str) -> list[str]:
    """The rows of the tables below a heading, each as one text."""
    at = next(k for k, one in enumerate(blocks) if isinstance(one, Heading) and one.text == title)
    found = list[str]()
    for one in blocks[at + 1 :]:
        if isinstance(one, Heading) and one.level <= 2:
            break
        found += [" | ".join(row) for row in one.rows] if isinstance(one, Table) else [one.text]
    return found


def test_it_has_time_line_evidence_plan_gate_acts_effect_and_cost() -> None:
    blocks = post_mortem(record(answered()))
    cost = rows_under(blocks, "Cost")
    assert "the incident so far | 90 EUR" in cost and "until it was noticed | 2 hours, 60 EUR" in cost
    assert "for the answer of a person | 1 hours, 30 EUR" in cost
    assert "until something was done | 4 hours, 120 EUR" in cost
    lines = rows_under(blocks, "Time line")
    assert lines == sorted(lines, key=lambda line: line[:20]) and any("ann | closed" in line for line in lines)
    assert any("it is right" in line for line in lines)
    assert any("risk is 3 times as high" in line for line in rows_under(blocks, "Evidence"))
    assert any("10 (5 to 15), 400 decisions" in line and "0.8" in line for line in rows_under(blocks, "Plan"))
    gate = rows_under(blocks, "Gate")
    assert any("kill_switch | escalate" in line for line in gate) and "answered approve" in gate[-1]
    assert any("| threshold |" in line and "7" in line for line in rows_under(blocks, "Acts"))
    assert any("FAIL | 0.1 | 0.3 | 0.2 to 0.4 | 900" in line for line in rows_under(blocks, "Effect"))
    assert post_mortem(record(answered())) == blocks


def test_of_an_incident_that_nothing_was_done_about_it_says_so() -> None:
    blocks = post_mortem(record())
    assert rows_under(blocks, "Plan") == ["No plan was made."]
    assert rows_under(blocks, "Acts") == ["Nothing was altered."]
    assert "It was not investigated" in rows_under(blocks, "Evidence")[0]
    missing = Findings("0a1b", NOW, Conclusion.INCONCLUSIVE, (), (), 9, ("labels of the last hour",))
    noted = replace(CLOSED, notes={NOTE: findings_dict(missing)})
    (line, *_) = rows_under(post_mortem(record(one=noted)), "Evidence")
    assert "inconclusive, in 9 tests. labels of the last hour" in line


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags, self.text = list[tuple[str, tuple[tuple[str, str | None], ...]]](), ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def tags_of(blocks: list[Block]) -> Tags:
    found = Tags()
    found.feed(page(blocks))
    return found


def test_hostile_text_is_the_same_document_with_other_words() -> None:
    calm, evil = post_mortem(record(answered("calm"))), post_mortem(record(answered(EVIL)))
    assert tags_of(evil).tags == tags_of(calm).tags and "onerror=alert" in tags_of(evil).text
    assert {tag for tag, _ in tags_of(evil).tags}.isdisjoint({"script", "img", "a", "link", "iframe"})
    text = markdown(evil)
    assert len(text.splitlines()) == len(markdown(calm).splitlines())
    for wrong in (r"(?<!\\)<", r"(?<!\\)\]\(", "https://", r"www\.evil", "\u202e", "\n# no", r"(?<!\\)`"):
        assert not re.search(wrong, text), wrong
    assert page(evil).count("http") == page(calm).count("http") + page(evil).count("https://evil.example")


@given(st.text(max_size=60))
def test_any_text_stays_in_its_cell(text: str) -> None:
    blocks: list[Block] = [Heading(1, text), Paragraph(text), Table(["a", "b"], [[text, "z"]])]
    calm: list[Block] = [Heading(1, "x"), Paragraph("x"), Table(["a", "b"], [["x", "z"]])]
    assert tags_of(blocks).tags == tags_of(calm).tags
    lines = markdown(blocks).split("\n")
    assert len(lines) == len(markdown(calm).split("\n"))
    cells = lines[-2].replace("\\\\", "").replace("\\|", "")
    assert cells.count("|") == 3 and cells.endswith("| z |")
    assert not lines[2].lstrip().startswith(("#", "- ", "+ ", "* ", ">", "1. ", "<"))


@pytest.mark.parametrize("form", [markdown, page])
def test_nothing_is_asked_from_the_network(form) -> None:  # type: ignore[no-untyped-def]
    text = form(post_mortem(record(answered())))
    assert "src=" not in text and "href=" not in text and "url(" not in text and "@import" not in text

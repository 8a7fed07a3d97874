"""Advice and proposals, for people: every text of a model or an assistant as a quotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from homeostat.records.advice import Advice, Lead, Proposal, advice_in, proposals_in


def worded_advice(notes: Mapping[str, Any]) -> str:
    """The advice and the proposals of an incident's notes, a line each; empty where there are none.

    >>> print(worded_advice({"advice": {"at_ns": 1, "revision": 1, "words": "Amounts are in cents."}}))
    a language model says (it may be wrong, and nothing follows it):
    > Amounts are in cents.
    """
    advice = advice_in(notes)
    lines = [*([] if advice is None else _of(advice)), *(_proposed(one) for one in proposals_in(notes))]
    return "\n".join(lines)


def _of(advice: Advice) -> Iterator[str]:
    if advice.words or advice.leads or advice.likelier or advice.preferred:
        yield "a language model says (it may be wrong, and nothing follows it):"
    yield from (f"> {line}" for line in advice.words.splitlines())
    for lead in advice.leads:
        yield f"  idea: {_lead(lead)}{_quoted(lead.why)}"
    for look in advice.looks:
        yield f"  looked at {look.node}: {look.moved or 'it did not move beyond chance'}"
    for name, order in (("likelier", advice.likelier), ("preferred", advice.preferred)):
        if order:
            yield f"  {name} by its opinion: {', then '.join(order)}"


def _lead(lead: Lead) -> str:
    tests = "a test shows it" if lead.shown else "no test shows it"
    sure = f" ({lead.probability:.0%})" if lead.shown else ""
    return f"{lead.kind} at {lead.node}: {tests}{sure}"


def _proposed(one: Proposal) -> str:
    remedy = f", remedy {one.remedy}" if one.remedy else ""
    result = one.result or "it waits for its tests"
    return f"{one.by} proposes {one.kind} at {one.node}{remedy}: {result}{_quoted(one.why)}"


def _quoted(text: str) -> str:
    return f' ("{text}")' if text else ""

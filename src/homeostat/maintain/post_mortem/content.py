"""The post-mortem of an incident, from its record alone: the same record, the same document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from homeostat.maintain.incident.wording import headline
from homeostat.maintain.post_mortem.costs import cost_rows
from homeostat.maintain.post_mortem.document import Block, Heading, Paragraph, Table
from homeostat.ports.incidents import IncidentChange
from homeostat.records.findings import Conclusion, Finding, Findings
from homeostat.records.findings_text import read_findings
from homeostat.records.incidents import FINDINGS, Incident, Phase
from homeostat.records.plans import Plan, Ruling, Verified
from homeostat.records.response_words import worded_values
from homeostat.records.responses import Response
from homeostat.records.signals import Signal
from homeostat.records.times import time_text

_SIGNALS_MAX = 40


@dataclass(frozen=True, slots=True)
class Record:
    """All that is kept of an incident.

    history : its revisions, the first one first
    response : None where nothing was done about it
    currency : of costs
    """

    incident: Incident
    signals: Sequence[Signal]
    history: Sequence[IncidentChange]
    response: Response | None = None
    currency: str = ""


def post_mortem(record: Record) -> list[Block]:
    """The blocks of the document: summary, time line, causes with evidence, plan, gate, acts, effect and cost."""
    incident, response = record.incident, record.response
    blocks: list[Block] = [Heading(1, f"{incident.app}: incident {incident.id}"), Paragraph(_summary(incident))]
    blocks += [Heading(2, "Cost"), Table(["what", "value"], cost_rows(incident, response, record.currency))]
    blocks += [Heading(2, "Time line"), Table(["time", "who", "what"], _time_line(record))]
    blocks += [Heading(2, "Evidence"), *_evidence(incident, response)]
    blocks += [Heading(3, "Signals"), Table(["since", "kind", "node", "figure", "before", "then"], _signals(record))]
    blocks += [Heading(2, "Plan"), *_plan(response)]
    blocks += [Heading(2, "Gate"), *_gate(response)]
    blocks += [Heading(2, "Acts"), *_acts(response)]
    blocks += [Heading(2, "Effect"), *_effect(response)]
    return blocks


def _summary(incident: Incident) -> str:
    ended = f"closed {time_text(incident.closed_ns)}: {incident.reason}" if incident.phase == Phase.CLOSED else "open"
    again = f" It was opened again {incident.reopened} times." if incident.reopened else ""
    return (
        f"{headline(incident)}. It began {time_text(incident.since_ns)}, was opened {time_text(incident.opened_ns)}, "
        f"and is {ended}.{again}"
    )


def _time_line(record: Record) -> list[list[str]]:
    rows = [(record.incident.since_ns, "data", "the earliest of its signals began")]
    before = ""
    for change in record.history:
        one = change.incident
        text = f"{one.phase}, severity {one.severity}" + (f": {one.reason}" if one.reason else "")
        if text != before:  # Signals join an incident at many revisions.
            rows.append((one.updated_ns, change.actor, text))
        before = text
    if record.response is not None:
        rows += [(line.at_ns, "response", line.text) for line in record.response.lines]
    return [[time_text(at), who, text] for at, who, text in sorted(rows, key=lambda row: row[0])]


def _evidence(incident: Incident, response: Response | None) -> Iterator[Block]:
    found = _findings(incident, response)
    if found is None:
        yield Paragraph("It was not investigated. Suspects by the signals alone:")
        rows = [[one.node, one.kind, f"{one.probability:.2f}"] for one in incident.suspects]
        yield Table(["node", "kind", "probability"], rows)
        return
    if found.conclusion != Conclusion.CAUSE:
        missing = "; ".join(found.missing)
        yield Paragraph(f"The investigation came to: {found.conclusion}, in {found.steps} tests. {missing}".strip())
    for one in found.findings:
        yield from _finding(one)


def _findings(incident: Incident, response: Response | None) -> Findings | None:
    if response is not None and response.findings is not None:
        return response.findings
    if FINDINGS not in incident.notes:
        return None
    try:
        return read_findings(incident.notes[FINDINGS])
    except ValueError:  # Of another version.
        return None


def _finding(one: Finding) -> Iterator[Block]:
    yield Heading(3, f"{one.kind} at {one.node}, probability {one.probability:.2f}, since {time_text(one.since_ns)}")
    edges = [[edge.cause, edge.effect, edge.measured or "not measured"] for edge in one.path]
    yield Table(["from", "to", "measured"], edges)
    if one.evidence:
        tests = [[test.what, _figure(test.value), test.unit, test.command] for test in one.evidence]
        yield Table(["test", "answer", "unit", "command"], tests)
    if one.ruled_out:
        yield Table(["ruled out", "at", "why"], [[ruled.kind, ruled.node, ruled.why] for ruled in one.ruled_out])
    if one.not_checked:
        yield Paragraph(f"Not checked: {'; '.join(one.not_checked)}.")


def _signals(record: Record) -> list[list[str]]:
    ordered = sorted(record.signals, key=lambda one: (one.since_ns, one.id))
    return [
        [time_text(one.since_ns), str(one.series.kind), one.series.node, f"{one.series.name} ({one.series.unit})",
         _figure(one.before), _figure(one.value)]
        for one in ordered[:_SIGNALS_MAX]
    ]  # fmt: skip


def _plan(response: Response | None) -> Iterator[Block]:
    plan = None if response is None else response.plan
    if plan is None:
        yield Paragraph("No plan was made.")
        return
    yield Paragraph(f"Plan {plan.hash}, by {plan.by}, with confidence {plan.confidence:.2f}.")
    yield Table(["step", "what", "where", "values", "saves an hour", "costs", "touches", "why"], _steps(plan))
    if plan.rejected:
        yield Table(["not taken", "why"], plan.rejected)
    if response is not None and response.edits:
        rows = [[time_text(one.at_ns), one.actor, one.wish, one.refused or one.reason] for one in response.edits]
        yield Table(["time", "who", "wanted", "why"], rows)


def _steps(plan: Plan) -> list[list[str]]:
    rows = []
    for at, step in enumerate(plan.steps, 1):
        seen = step.rehearsed
        of = "events or seconds: " if seen.how == "load" else ""
        interval = f"{of}{_figure(seen.effect)} ({_figure(seen.low)} to {_figure(seen.high)}), {seen.n:,} decisions"
        rows.append([
            str(at), str(step.remedy), step.scope, worded_values(step),
            "not rehearsed" if seen.how == "none" else interval, _figure(step.cost),
            f"{100 * step.blast.decisions:.3g} % of decisions", step.why,
        ])  # fmt: skip
    return rows


def _gate(response: Response | None) -> Iterator[Block]:
    ruling: Ruling | None = None if response is None else response.ruling
    if ruling is None:
        yield Paragraph("The gate was not asked.")
        return
    yield Paragraph(f"The gate ruled {ruling.tier} on plan {ruling.plan}, at {time_text(ruling.at_ns)}.")
    rows = [[one.rule, str(one.tier), _figure(one.value), _figure(one.limit), one.why] for one in ruling.rules]
    yield Table(["rule", "asks for", "saw", "limit", "why"], rows)
    given = None if response is None else response.approval
    if given is not None:
        yield Paragraph(f"{given.actor} answered {given.answer} at {time_text(given.at_ns)}: {given.reason}")


def _acts(response: Response | None) -> Iterator[Block]:
    receipts = () if response is None else response.receipts
    if not receipts:
        yield Paragraph("Nothing was altered.")
        return
    rows = [
        [time_text(one.at_ns), one.by, str(one.remedy), one.scope, ", ".join(map(str, one.changes)) or one.job,
         f"{time_text(one.undone_ns)}: {one.undone_why}" if one.undone_ns else "stands"]
        for one in receipts
    ]  # fmt: skip
    yield Table(["time", "by", "what", "where", "changes of the settings", "undone"], rows)


def _effect(response: Response | None) -> Iterator[Block]:
    verdicts: Sequence[Verified] = () if response is None else response.verdicts
    if not verdicts:
        yield Paragraph("No step was verified.")
        return
    rows = [
        [time_text(one.at_ns), str(one.verdict), _figure(one.predicted), _figure(one.seen),
         f"{_figure(one.low)} to {_figure(one.high)}", f"{one.n:,}", one.why]
        for one in verdicts
    ]  # fmt: skip
    yield Table(["time", "verdict", "predicted", "seen", "95 % interval", "decisions", "why"], rows)


def _figure(value: float) -> str:
    return f"{value:.4g}" if isfinite(value) else "unknown"

"""An incident, with the answer to it, becomes a past case: its signals, causes, remedies and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from homeostat.records.findings import Findings
from homeostat.records.findings_text import read_findings
from homeostat.records.incidents import FINDINGS, Incident
from homeostat.records.past import Named, PastCase, Tried, traits_of
from homeostat.records.responses import Response
from homeostat.records.signals import Signal
from homeostat.records.times import time_text

_WORDS_MAX = 8_000
_SIGNALS_MAX = 50
_SOURCES_MAX, _SOURCE_MAX = 20, 100


def past_of(incident: Incident, signals: Sequence[Signal], response: Response | None = None) -> PastCase | None:
    """The case of an incident; None while it is neither investigated nor closed, so that nothing can be learned of it.

    signals : those of the incident, as far as they are kept
    response : the answer to it, where there is one
    """
    findings = _findings(incident, response)
    if findings is None and not incident.closed_ns:
        return None
    last = {one.series.key: one for one in signals}
    traits = traits_of(list(last.values())[:_SIGNALS_MAX])
    causes = () if findings is None else tuple(Named(one.node, one.kind, one.probability) for one in findings.findings)
    tried = _tried(response)
    revision = incident.revision + (0 if response is None else response.revision)
    conclusion, steps = ("", 0) if findings is None else (str(findings.conclusion), findings.steps)
    return PastCase(
        incident.id, revision, incident.opened_ns, incident.closed_ns, traits, conclusion, causes, tried, steps,
        _words(incident, last.values(), findings, tried), incident.since_ns, _sources(last.values()),
    )  # fmt: skip


def _findings(incident: Incident, response: Response | None) -> Findings | None:
    if response is not None and response.findings is not None:
        return response.findings
    if FINDINGS not in incident.notes:
        return None
    try:
        return read_findings(incident.notes[FINDINGS])
    except ValueError:
        return None  # Another version wrote them.


def _tried(response: Response | None) -> tuple[Tried, ...]:
    """The remedies that altered something, each with its last verdict."""
    if response is None:
        return ()
    verdicts = {one.key: str(one.verdict) for one in response.verdicts}
    return tuple(
        Tried(str(one.remedy), one.scope, verdicts.get(one.key, ""), bool(one.undone_ns))
        for one in response.receipts if one.changes or one.job
    )  # fmt: skip


def _sources(signals: Iterable[Signal]) -> tuple[str, ...]:
    """The senders and accounts that signals name."""
    found: dict[str, None] = {}
    for one in signals:
        for name in ("sources", "accounts"):
            listed = one.notes.get(name)
            if isinstance(listed, list | tuple):
                found |= dict.fromkeys(_plain(str(each)) for each in listed[:_SOURCES_MAX])
    return tuple(found)[:_SOURCES_MAX]


def _plain(text: str) -> str:
    """A name that data may have given, without control characters."""
    return "".join(one for one in text[:_SOURCE_MAX] if one.isprintable())


def _words(incident: Incident, signals: Iterable[Signal], findings: Findings | None, tried: Sequence[Tried]) -> str:
    """The case in sentences, for people and for searches by words."""
    lines = [f"{incident.severity} incident of {time_text(incident.since_ns)}"]
    lines += [f"signal: {one.series.kind} at {one.series.node}, {one.series.name}" for one in signals]
    if findings is not None:
        lines += [f"cause: {one.kind} at {one.node} ({one.probability:.0%})" for one in findings.findings]
        lines += [f"shown by {e.what}: {e.value:.4g} {e.unit}" for one in findings.findings for e in one.evidence]
        lines += [f"conclusion: {findings.conclusion}"] if not findings.findings else []
    for one in tried:
        lines.append(f"remedy: {one.remedy} at {one.scope}, {one.verdict or 'no verdict'}" + ", undone" * one.undone)
    if incident.reason:
        lines.append(f"closed: {incident.reason}")
    return "\n".join(lines)[:_WORDS_MAX]

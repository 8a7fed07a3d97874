"""Signals, incidents, silences and deliveries as people's programs get them: times as text, unknown figures null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.records.deliveries import Delivery
from homeostat.records.findings_text import shown_findings
from homeostat.records.incident_text import incident_dict, signal_dict
from homeostat.records.incidents import FINDINGS, Incident, Silence
from homeostat.records.response_shown import shown_response
from homeostat.records.responses import Response
from homeostat.records.signals import Signal
from homeostat.records.times import time_text


def shown_signal(signal: Signal) -> dict[str, Any]:
    """A signal with its times as text."""
    return _timed(signal_dict(signal))


def shown_incident(incident: Incident) -> dict[str, Any]:
    """An incident with its times as text."""
    return _timed(incident_dict(incident))


def whole_incident(
    incident: Incident, signals: Sequence[Signal], history: Sequence[dict[str, Any]],
    response: Response | None = None, answer_ns: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """An incident with its signals in full, and with what was found and done about it.

    history : its revisions, as `shown_change` makes them
    response : to it, None where nothing was done; answer_ns : a person has so long to answer a plan
    """
    shown = shown_incident(incident)
    found = shown["notes"].pop(FINDINGS, None)
    investigated = {
        "conclusion": found["conclusion"] if found else None, "missing": found["missing"] if found else [],
        "recalled": found.get("recalled", []) if found else [],
    }  # fmt: skip
    return {
        **shown, "signals": [shown_signal(one) for one in signals], "history": list(history),
        "findings": shown_findings(found) if found else [], "investigated": investigated,
        "plan": None, "gate": None, "receipts": [], "verdict": None, "response": None,
        **({} if response is None else shown_response(response, answer_ns)),
    }  # fmt: skip


def shown_change(number: int, actor: str, incident: Incident) -> dict[str, Any]:
    """One revision of an incident, in short."""
    return {
        "number": number, "revision": incident.revision, "at": time_text(incident.updated_ns), "actor": actor,
        "phase": str(incident.phase), "severity": str(incident.severity), "reason": incident.reason,
    }  # fmt: skip


def shown_silence(silence: Silence) -> dict[str, Any]:
    """A silence with its times as text."""
    return {
        "id": silence.id, "node": silence.node, "kind": silence.kind, "from": time_text(silence.from_ns),
        "until": time_text(silence.until_ns), "actor": silence.actor, "reason": silence.reason,
        "revision": silence.revision,
    }  # fmt: skip


def shown_delivery(one: Delivery) -> dict[str, Any]:
    """A delivery with its times as text."""
    return {
        "number": one.number, "key": one.key, "channel": one.channel, "incident": one.incident,
        "revision": one.revision, "news": str(one.news), "state": str(one.state), "attempts": one.attempts,
        "made": time_text(one.made_ns), "next": _maybe(one.next_ns), "ended": _maybe(one.ended_ns), "error": one.error,
    }  # fmt: skip


def _timed(found: dict[str, Any]) -> dict[str, Any]:
    """Members that end in _ns under their names without it, as ISO 8601; 0 is null."""
    return {
        name.removesuffix("_ns"): _maybe(value) if name.endswith("_ns") else value for name, value in found.items()
    }  # fmt: skip


def _maybe(time_ns: int) -> str | None:
    return time_text(time_ns) if time_ns else None

"""Prometheus Alertmanager, by its API of version 2: an open incident is an alert that fires, a closed one has ended.

An alert is named by its labels, and the severity is one of them, since routes go by it. So an incident whose severity
has changed ends the alerts of its earlier ones.
"""

from __future__ import annotations

import json
from typing import Any

from homeostat.adapters.announce.message import Message
from homeostat.adapters.announce.web import post
from homeostat.config.announce import ChannelSettings
from homeostat.maintain.incident.wording import headline
from homeostat.records.incidents import Phase
from homeostat.records.times import time_text

_OPEN_NS = 365 * 86_400 * 10**9  # Alertmanager ends an alert without an end by itself after some minutes.


class Alertmanager:
    """See the module."""

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings

    def send(self, message: Message, now_ns: int) -> None:
        """See `Sends`."""
        url = self._settings.url.rstrip("/") + "/api/v2/alerts"
        body = json.dumps(alerts(message, now_ns)).encode()
        post(url, body, {}, self._settings.timeout_s, f"Alertmanager, channel {self._settings.name},")

    def close(self) -> None:
        """Nothing is open."""


def alerts(message: Message, now_ns: int) -> list[dict[str, Any]]:
    """The alerts of an incident: that of its severity, and those of earlier severities, which have ended."""
    incident = message.incident
    ended = incident.phase == Phase.CLOSED
    severities = {incident.severity: now_ns if ended else now_ns + _OPEN_NS}
    for before in message.earlier:
        severities.setdefault(before.severity, now_ns)
    first = incident.suspects[0] if incident.suspects else None
    annotations = {
        "summary": headline(incident), "description": message.text,
        "suspect": "" if first is None else f"{first.kind} at {first.node}",
    }  # fmt: skip
    return [
        {
            "labels": {
                "alertname": "HomeostatIncident", "app": incident.app, "incident": incident.id,
                "severity": str(severity),
            },
            "annotations": annotations,
            "startsAt": time_text(incident.since_ns), "endsAt": time_text(end_ns),
        }
        for severity, end_ns in severities.items()
    ]  # fmt: skip

"""Prometheus Alertmanager: an alert for each entity, which ends when the entity has been quiet for a while.

An alert is named by app and entity, so that Alertmanager groups and deduplicates it. Each flagged decision moves
its end. Nothing has to be remembered here: without a further one, Alertmanager resolves it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from homeostat.adapters.predictions.sending import put
from homeostat.config.predictions import TargetSettings
from homeostat.records.predictions import Prediction
from homeostat.records.times import time_text

_TOP = 3


class Alertmanager:
    """See the module."""

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings

    def send(self, predictions: Sequence[Prediction], now_ns: int) -> None:
        """See `Sends`."""
        found = alerts(predictions, self._settings.target.quiet, now_ns)
        if found:
            url = self._settings.url.rstrip("/") + "/api/v2/alerts"
            put(self._settings, url, json.dumps(found).encode(), {})

    def close(self) -> None:
        """Nothing is open."""


def alerts(predictions: Sequence[Prediction], quiet_ns: int, now_ns: int) -> list[dict[str, Any]]:
    """One alert for each entity with flagged predictions, by the last of them; none where that is long ago.

    quiet_ns : the alert ends so long after the last flagged prediction
    """
    last = {one.entity: one for one in predictions if one.flag}
    first = {one.entity: one for one in reversed(predictions) if one.flag}
    return [
        {
            "labels": {"alertname": "HomeostatAnomaly", "app": one.app, **{k: v for k, v in entity if v}},
            "annotations": {"summary": _summary(one), "action": one.action, "event_id": one.event_id},
            "startsAt": time_text(first[entity].time_ns), "endsAt": time_text(one.time_ns + quiet_ns),
        }
        for entity, one in last.items()
        if one.time_ns + quiet_ns > now_ns
    ]  # fmt: skip


def _summary(one: Prediction) -> str:
    """A sentence with the largest contributions."""
    where = ", ".join(f"{name} {key}" for name, key in one.entity) or one.app
    largest = sorted(one.contributions.items(), key=lambda pair: -pair[1])[:_TOP]
    why = ", ".join(f"{name} {value:+.2f}" for name, value in largest if value > 0)
    return f"{where}: {one.action} at a score of {one.score:.3f}" + (f"; raised by {why}" if why else "")

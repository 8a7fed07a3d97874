"""A webhook: predictions as one JSON document, signed by the scheme of Standard Webhooks.

`webhook-id` is made of the first and the last event, the same at every try.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

from homeostat.adapters.announce.webhook import signature
from homeostat.adapters.predictions.sending import put
from homeostat.config.predictions import TargetSettings
from homeostat.records.predictions import Prediction


class Webhook:
    """See the module. Without a secret, nothing is signed."""

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings

    def send(self, predictions: Sequence[Prediction], now_ns: int) -> None:
        """See `Sends`."""
        body = json.dumps({"predictions": [one.as_json() for one in predictions]}).encode()
        ids = "\0".join(one.event_id for one in (predictions[0], predictions[-1]))
        key, seconds = f"predictions-{sha256(ids.encode()).hexdigest()[:32]}", now_ns // 10**9
        headers = {"Webhook-Id": key, "Webhook-Timestamp": str(seconds), "Idempotency-Key": key}
        if self._settings.secret:
            headers["Webhook-Signature"] = signature(self._settings.secret, key, seconds, body)
        put(self._settings, self._settings.url, body, headers)

    def close(self) -> None:
        """Nothing is open."""

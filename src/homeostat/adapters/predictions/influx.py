"""InfluxDB: 1.x by `/write`, 2.x and 3.x by `/api/v2/write`.

A point is named by measurement, tags and time. So predictions that are sent again replace themselves.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from urllib.parse import urlencode

from homeostat.adapters.influx.line_protocol import FieldValue, Point, Series, lines_of
from homeostat.adapters.predictions.sending import put
from homeostat.config.predictions import TargetSettings
from homeostat.records.predictions import Prediction

CONTRIBUTION = "contribution."


class Influx:
    """See the module."""

    def __init__(self, settings: TargetSettings) -> None:
        target, self._settings = settings.target, settings
        if target.bucket is not None:
            path, asked = "/api/v2/write", {"bucket": target.bucket, "precision": "ns"}
            asked |= {} if target.org is None else {"org": target.org}
        else:
            path, asked = "/write", {"db": target.database or "", "precision": "ns"}
        self._url = f"{settings.url.rstrip('/')}{path}?{urlencode(asked)}"
        self._headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip", **_key(settings)}

    def send(self, predictions: Sequence[Prediction], now_ns: int) -> None:
        """See `Sends`."""
        points = [point_of(one, self._settings.target.measurement) for one in predictions]
        put(self._settings, self._url, gzip.compress(b"\n".join(lines_of(points)), 1), self._headers)

    def close(self) -> None:
        """Nothing is open."""


def point_of(prediction: Prediction, measurement: str) -> Point:
    """The point of a prediction: the entity's keys are its tags, so that it has a series of its own.

    >>> one = Prediction("infra", "e1", 5, (("host", "a"),), 0.9, True, "alert", 80.0, {"cpu": 1.5}, "infra-1")
    >>> point_of(one, "ai_predictions").fields["contribution.cpu"]
    1.5
    """
    fields: dict[str, FieldValue] = {
        "score": prediction.score, "flag": prediction.flag, "action": prediction.action,
        "latency_us": prediction.latency_us, "event_id": prediction.event_id, "version": prediction.version,
    }  # fmt: skip
    fields |= {f"{CONTRIBUTION}{name}": value for name, value in prediction.contributions.items()}
    tags = {"app": prediction.app, **{name: key for name, key in prediction.entity if key}}
    return Point(Series(measurement, tuple(sorted(tags.items()))), fields, prediction.time_ns)


def _key(settings: TargetSettings) -> dict[str, str]:
    if settings.token:
        return {"Authorization": f"Token {settings.token}"}
    if settings.username:
        pair = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}

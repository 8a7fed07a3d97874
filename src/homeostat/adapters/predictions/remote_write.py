"""Prometheus remote write 1.0: a series for the score, the flag, and each contribution of each entity.

A receiver takes each sample once, and refuses one that is older than the newest of its series.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa

from homeostat.adapters.predictions.sending import put
from homeostat.adapters.prometheus.remote_write import write_request_class
from homeostat.config.predictions import TargetSettings
from homeostat.records.predictions import Prediction

_HEADERS = {
    "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"
}  # fmt: skip
Labels = tuple[tuple[str, str], ...]


class RemoteWrite:
    """See the module."""

    def __init__(self, settings: TargetSettings) -> None:
        self._settings, self._headers = settings, dict(_HEADERS)
        if settings.token:
            self._headers["Authorization"] = f"Bearer {settings.token}"
        elif settings.username:
            pair = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"

    def send(self, predictions: Sequence[Prediction], now_ns: int) -> None:
        """See `Sends`."""
        by_series: dict[Labels, dict[int, float]] = {}
        for one in predictions:
            for labels, value in _samples(one, self._settings.target.measurement):
                by_series.setdefault(labels, {})[one.time_ns // 10**6] = value
        request = write_request_class()()
        for labels, samples in by_series.items():
            series = request.timeseries.add()
            for name, text in labels:
                series.labels.add(name=name, value=text)
            for at_ms, value in sorted(samples.items()):
                series.samples.add(timestamp=at_ms, value=value)
        body = pa.Codec("snappy").compress(request.SerializeToString(), asbytes=True)
        put(self._settings, self._settings.url, body, self._headers)

    def close(self) -> None:
        """Nothing is open."""


def _samples(one: Prediction, name: str) -> Iterator[tuple[Labels, float]]:
    prefix = _label(name)
    tags = {"app": one.app, **{_label(entity): key for entity, key in one.entity if key}}
    values = {"score": one.score, "flag": float(one.flag), "latency_us": one.latency_us}
    for what, value in values.items():
        yield tuple(sorted({**tags, "__name__": f"{prefix}_{what}"}.items())), value
    for feature, value in one.contributions.items():
        yield tuple(sorted({**tags, "__name__": f"{prefix}_contribution", "feature": feature}.items())), value


def _label(text: str) -> str:
    """A name that Prometheus takes, for metrics and labels.

    >>> _label("9 my-metric")
    '_9_my_metric'
    """
    name = re.sub(r"[^a-zA-Z0-9_]", "_", text)
    return f"_{name}" if name[:1].isdigit() else name

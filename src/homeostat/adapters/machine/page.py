"""Reads a page of metrics in Prometheus' text format: the process that it is of, and the requests that it answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPException
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families

from homeostat.errors import HomeostatError

_TIMEOUT_S = 5.0
_BYTES_MAX = 16 << 20
_PERIOD_MIN_S = 1e-3
_LATENCY = ("_duration_seconds", "_latency_seconds")


class PageError(HomeostatError):
    """A page of metrics can't be read; the text says why."""

    why = "the address answers with no page in Prometheus' text format, or does not answer"
    remedy = "Check the address in a browser: it shows lines such as `process_cpu_seconds_total 1.5`"


class PageSampler:
    """The metrics of a page; rates are of the time since the sample before.

    cpu : percent of a processor, from process_cpu_seconds_total; memory : MB, from process_resident_memory_bytes
    requests, errors : a second, of all counters whose names end in _requests_total and _errors_total
    latency : ms of an average request, of all histograms and summaries whose names end in _duration_seconds or
        _latency_seconds
    """

    metrics = ("cpu", "memory", "requests", "latency", "errors")

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PageError(f"{url} is no address of a page of metrics: write it as http://127.0.0.1:9100/metrics")
        self.name = parts.netloc.rpartition("@")[2]
        self._url = url
        self._open = build_opener(ProxyHandler({})).open
        self._at, self._before = time.monotonic(), self._read()

    def sample(self) -> dict[str, float]:
        """One value a metric; those that the page does not have are absent. Raises PageError."""
        now, totals = time.monotonic(), self._read()
        period, before = max(now - self._at, _PERIOD_MIN_S), self._before
        self._at, self._before = now, totals
        moved = {name: max(0.0, totals[name] - before[name]) for name in totals if name in before}
        found = {}
        if "cpu" in moved:
            found["cpu"] = 100 * moved["cpu"] / period
        if "memory" in totals:
            found["memory"] = totals["memory"] / 1e6
        found |= {name: moved[name] / period for name in ("requests", "errors") if name in moved}
        if moved.get("answers", 0) > 0:
            found["latency"] = 1000 * moved["answer_s"] / moved["answers"]
        return found

    def culprit(self, metric: str) -> str | None:
        """None: a page says nothing of processes."""
        return None

    def _read(self) -> dict[str, float]:
        request = Request(self._url, headers={"Accept": "text/plain;version=0.0.4"})  # noqa: S310 - http or https, above.
        try:
            with self._open(request, timeout=_TIMEOUT_S) as answer:
                text = answer.read(_BYTES_MAX + 1)
        except (OSError, URLError, HTTPException) as error:
            raise PageError(f"{self._url} can't be read: {error}") from error
        if len(text) > _BYTES_MAX:
            raise PageError(f"{self._url} answers with more than {_BYTES_MAX >> 20} MiB")
        totals: dict[str, float] = {}
        try:
            for name, value in _known(text.decode()):
                totals[name] = totals.get(name, 0.0) + value
        except ValueError as error:  # Of the text, of a number, or of UTF-8.
            raise PageError(f"{self._url} is no page in Prometheus' text format: {error}") from error
        return totals


def _known(text: str) -> Iterator[tuple[str, float]]:
    """The samples that count, each with what it is summed up to.

    >>> list(_known("a_requests_total 3\\nprocess_cpu_seconds_total 1.5\\nother 1\\n"))
    [('requests', 3.0), ('cpu', 1.5)]
    """
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = _meaning(sample.name)
            if name:
                yield name, float(sample.value)


def _meaning(name: str) -> str:
    fixed = {"process_cpu_seconds_total": "cpu", "process_resident_memory_bytes": "memory"}
    if name in fixed:
        return fixed[name]
    for end, meaning in (("_requests_total", "requests"), ("_errors_total", "errors")):
        if name.endswith(end):
            return meaning
    for end in _LATENCY:
        if name.endswith(end + "_sum"):
            return "answer_s"
        if name.endswith(end + "_count"):
            return "answers"
    return ""

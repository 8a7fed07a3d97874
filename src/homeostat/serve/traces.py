"""Trace context of HTTP requests: one that comes along is continued, and a single decision's is sent back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from homeostat.adapters.process.tracing import Attributes, Traced, Tracing
from homeostat.serve.replies import Headers

_SHOWN = ("action", "risk", "version", "fallback", "rule", "late", "duplicate")


class RequestTraces:
    """Makes spans of answers, where they are to be recorded.

    now_ns : nanoseconds since 1970
    """

    def __init__(self, tracing: Tracing, now_ns: Callable[[], int]) -> None:
        self._tracing, self._now_ns = tracing, now_ns

    def begin(self) -> int:
        """When a request's work begins; 0 where nobody wants to know."""
        return self._now_ns() if self._tracing.enabled else 0

    def answered(
        self, scope: Mapping[str, Any], answers: Sequence[Mapping[str, Any]], began_ns: int, single: bool
    ) -> Headers:
        """Record decisions and receipts of outcomes; returns the headers that the reply carries for it."""
        if not (single or self._tracing.enabled):
            return ()
        known = [answer for answer in answers if "event_id" in answer and "errors" not in answer]
        if not known:
            return ()
        incoming = _incoming(scope)
        if self._tracing.enabled:
            self._record(known, incoming, began_ns)
        if not single:
            return ()
        return ((b"traceparent", self._tracing.traceparent(str(known[0]["event_id"]), incoming).encode()),)

    def _record(self, answers: Sequence[Mapping[str, Any]], incoming: str | None, began_ns: int) -> None:
        ended_ns = self._now_ns()
        rows = self._tracing.recorded([str(answer["event_id"]) for answer in answers], [incoming] * len(answers))
        spans = [
            Traced(str(answers[row]["event_id"]), incoming, began_ns, ended_ns, _attributes(answers[row]), served=True)
            for row in rows
        ]
        if answers[0].keys() >= {"action"}:
            self._tracing.decided(spans)
        else:
            self._tracing.learned(spans)

    def close(self) -> None:
        """Send what has not been sent."""
        self._tracing.close()


def _attributes(answer: Mapping[str, Any]) -> Attributes:
    return {name: answer[name] for name in _SHOWN if answer.get(name) not in (None, "")}


def _incoming(scope: Mapping[str, Any]) -> str | None:
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"traceparent":
            if found is not None:
                return None  # Of two, neither can be trusted.
            found = value
    return None if found is None else found.decode("latin-1")

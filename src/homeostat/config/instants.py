"""Instants of the app file (`since`, `until`) as nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

ALWAYS_NS = -(1 << 63)  # A `since` that was not declared.
NEVER_NS = (1 << 63) - 1  # An `until` that was not declared.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_ns(text: str) -> int:
    """An ISO 8601 date or time as nanoseconds since 1970; without a zone it is UTC.

    Raises ValueError with a sentence.

    >>> instant_ns("1970-01-02") == instant_ns("1970-01-02T02:00:00+02:00") == 86_400 * 10**9
    True
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        span_ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not an ISO 8601 time, such as 2026-01-30 or 2026-01-30T12:00:00Z") from None
    if not ALWAYS_NS < span_ns < NEVER_NS:
        raise ValueError(f"{text!r} is outside of the years 1678 to 2261")
    return span_ns


def since_ns(text: str | None) -> int:
    """The start of a validity; ALWAYS_NS when there is none."""
    return ALWAYS_NS if text is None else instant_ns(text)


def until_ns(text: str | None) -> int:
    """The end of a validity; NEVER_NS when there is none."""
    return NEVER_NS if text is None else instant_ns(text)

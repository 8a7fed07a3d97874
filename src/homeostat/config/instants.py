"""Instants of the app file (`since`, `until`) as nanoseconds."""

from __future__ import annotations

from homeostat.decide.intake.times import time_of_text

ALWAYS_NS = -(1 << 63)  # A `since` that was not declared.
NEVER_NS = (1 << 63) - 1  # An `until` that was not declared.


def instant_ns(text: str) -> int:
    """An ISO 8601 date or time as nanoseconds since 1970; without a zone it is UTC.

    Raises ValueError with a sentence.

    >>> instant_ns("1970-01-02") == instant_ns("1970-01-02T02:00:00+02:00") == 86_400 * 10**9
    True
    """
    found = time_of_text(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is not an ISO 8601 time of the years 1900 to 2261, such as 2026-01-30 or 2026-01-30T12:00:00Z"
        )
    return found


def since_ns(text: str | None) -> int:
    """The start of a validity; ALWAYS_NS when there is none."""
    return ALWAYS_NS if text is None else instant_ns(text)


def until_ns(text: str | None) -> int:
    """The end of a validity; NEVER_NS when there is none."""
    return NEVER_NS if text is None else instant_ns(text)

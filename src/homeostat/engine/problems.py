"""The fault of a request, as RFC 9457 problem details with a `fix`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeostat.engine.answer_types import Problem
from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Reason

_FIX = {
    Reason.MALFORMED: "Send one JSON object for each event, in UTF-8, not deeper than a few levels.",
    Reason.MISSING: "Give the field, under its own name or one of its aliases; /openapi.json lists them.",
    Reason.WRONG_TYPE: "Send the declared type; /openapi.json lists the types.",
    Reason.OUT_OF_RANGE: "Send a value within the declared range.",
    Reason.BAD_TIME: "Send an ISO 8601 time such as 2026-01-30T12:00:00Z, or seconds since 1970.",
    Reason.TOO_LATE: "Events this late are rejected by this app; see `lateness` and `late` in its file.",
    Reason.TOO_EARLY: "Check the sender's clock and time zone, and this machine's; see `ahead_max` in the app's file.",
    Reason.UNKNOWN_EVENT: "Send outcomes for events that were decided here, by the same event id.",
    Reason.UNDECIDABLE: "This event brings about a fault of the server, whose log has it: do not send it again.",
}


def problem(status: int, title: str, detail: str, fix: str, **more: Any) -> dict[str, Any]:
    """A problem document."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "fix": fix, **more}


def of_letter(letter: DeadLetter) -> Problem:
    """The problem of an event that could not be read, or not be decided for a fault of ours."""
    reason = Reason(letter.reason)
    where = f"{letter.field}: " if letter.field else ""
    more = f": {letter.detail}" if letter.detail else ""
    status, title = (500, "Undecidable event") if reason is Reason.UNDECIDABLE else (422, "Unusable event")
    detail = f"{where}{reason.value.replace('_', ' ')}{more}"
    return _of_field(status, title, detail, reason, letter.field, letter.value)


def of_unknown(outcome: object, names: tuple[str, ...]) -> Problem:
    """The problem of an outcome whose event was never decided here.

    names : under which the outcome gives its event's id
    """
    found = [outcome[name] for name in names if outcome.get(name) is not None] if isinstance(outcome, Mapping) else []
    given = found[0] if found else ""
    reason = Reason.UNKNOWN_EVENT
    detail = f"no event {str(given)!r} was decided here"
    return _of_field(404, "Unknown event", detail, reason, names[0], str(given))


def _of_field(status: int, title: str, detail: str, reason: Reason, field: str, value: str) -> Problem:
    return {
        "type": "about:blank", "title": title, "status": status, "detail": detail, "fix": _FIX.get(reason, ""),
        "errors": [{"field": field, "value": value, "reason": reason.value}],
    }  # fmt: skip

"""The words that a person sends with a change: why, who, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeostat.config.scalars import duration_ns
from homeostat.serve.routes.resources import Refused

REASON_CHARS_MAX, ACTOR_CHARS_MAX = 1000, 100
SPAN = "for"
_SEE = "See /openapi.json for what there is."


def said(given: Mapping[str, Any], key: str) -> tuple[str, str]:
    """The reason of a change, and who it is of: the person that the request names, and its key. Raises Refused."""
    faults = faults_of(given)
    if faults:
        raise unusable_body("; ".join(faults))
    who = given.get("actor", "")
    return given["reason"], f"{who} ({key})" if who else key


def faults_of(given: Mapping[str, Any], *more: str) -> list[str]:
    """All that is wrong with the words of a change.

    more : SPAN where it has an end
    """
    faults, reason, who = [], given.get("reason", ""), given.get("actor", "")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_CHARS_MAX:
        faults.append(f"reason is a sentence of at most {REASON_CHARS_MAX} characters, for those who look later")
    if not isinstance(who, str) or len(who) > ACTOR_CHARS_MAX:
        faults.append(f"actor is a name of at most {ACTOR_CHARS_MAX} characters")
    if SPAN in more:
        try:
            duration_ns(given.get(SPAN))
        except ValueError as error:
            faults.append(f"{SPAN}: {error}")
    return faults


def span_of(given: Mapping[str, Any]) -> int:
    """How long `for` says, in nanoseconds. Raises Refused."""
    try:
        return duration_ns(given.get(SPAN))
    except ValueError as error:
        raise unusable_body(f"{SPAN}: {error}") from None


def unusable_body(detail: str) -> Refused:
    """A body that can't be taken."""
    return Refused(422, "Unusable request", detail[:1000], _SEE)

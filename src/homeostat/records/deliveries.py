"""Announcements of incidents on their way to people and programs, one for each channel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from homeostat.records.incidents import Incident, Phase, Severity

RANK = {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}


class News(StrEnum):
    """The reason why an incident is announced."""

    OPENED = "opened"
    RAISED = "raised"  # Its severity has risen.
    REOPENED = "reopened"
    CLOSED = "closed"
    ASKS = "asks"  # Its plan waits for the answer of a person.
    ANSWERED = "answered"  # Its response has moved on: findings, plan, ruling, action or verdict. For programs.


class DeliveryState(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"  # Given up after the last try.


@dataclass(frozen=True, slots=True)
class Delivery:
    """One announcement to one channel.

    key : names it, the same after a crash; receivers that honour it take it once
    channel : its name in the app file
    incident, revision : of what, at which revision
    attempts : begun so far; next_ns, made_ns, ended_ns : wall clock
    error : of the last try that failed, without secrets
    number : its place in the log; 0 until it is stored
    """

    key: str
    channel: str
    incident: str
    revision: int
    news: News
    made_ns: int
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    next_ns: int = 0
    ended_ns: int = 0
    error: str = ""
    number: int = 0


def news_of(before: Incident | None, after: Incident) -> News | None:
    """The reason to announce a change of an incident; None where nobody needs to hear of it.

    before : the revision before; None where this is the first
    A silenced incident is announced once its silence is over, as if it were new. One that closes in silence is not.
    """
    hushed = after.silenced_until_ns > after.updated_ns
    heard = before is not None and before.silenced_until_ns <= before.updated_ns
    if hushed or (after.phase == Phase.CLOSED and not heard):
        return None
    if before is None or not heard:
        return News.OPENED
    if after.phase == Phase.CLOSED:
        return None if before.phase == Phase.CLOSED else News.CLOSED
    if after.reopened > before.reopened:
        return News.REOPENED
    return News.RAISED if RANK[after.severity] > RANK[before.severity] else None


def delivery_key(incident: Incident, channel: str) -> str:
    """The key of the delivery of a revision to a channel."""
    return f"{incident.id}-{incident.revision}-{channel}"

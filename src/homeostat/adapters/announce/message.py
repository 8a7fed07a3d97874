"""The message that a channel sends, and how a channel is used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from homeostat.errors import HomeostatError
from homeostat.maintain.incident.wording import story, subject
from homeostat.records.deliveries import Delivery
from homeostat.records.incident_shown import shown_incident, shown_signal
from homeostat.records.incidents import Incident
from homeostat.records.plans import Plan, Ruling
from homeostat.records.response_shown import gate_in_full, plan_in_full
from homeostat.records.response_words import worded_plan, worded_ruling
from homeostat.records.signals import Signal
from homeostat.records.times import time_text


class Refused(HomeostatError):
    """A receiver refuses an announcement for good; the text says why.

    Trying again does not help, so the delivery is given up.
    """

    why = "the receiver answered that it will never take this message"
    remedy = "Correct the channel's address, secret or form in `maintain.announce`"


@dataclass(frozen=True, slots=True)
class Asks:
    """A plan that waits for a person.

    until_ns : an answer counts until then
    links : answer -> the address of the page on which it is given; empty where there are no links
    """

    plan: Plan
    ruling: Ruling
    until_ns: int
    links: Mapping[str, str]

    @property
    def text(self) -> str:
        """Some lines for people."""
        lines = [*worded_plan(self.plan), worded_ruling(self.ruling), f"answer until {time_text(self.until_ns)}"]
        return "\n".join("".join(letter if letter.isprintable() else " " for letter in line) for line in lines)

    @property
    def data(self) -> dict[str, Any]:
        """The same for programs."""
        found = {"plan": plan_in_full(self.plan), "gate": gate_in_full(self.ruling), "until": time_text(self.until_ns)}
        return {**found, "links": dict(self.links)} if self.links else found


@dataclass(frozen=True, slots=True)
class Message:
    """One announcement.

    incident : at the delivery's revision; earlier : its revisions before
    signals : those of it that are kept
    asks : the plan that waits, None where none does
    answer : how far the response is, as GET /v1/incidents/ID shows it; None where nobody hears of that
    """

    delivery: Delivery
    incident: Incident
    signals: Sequence[Signal]
    earlier: Sequence[Incident] = ()
    currency: str = ""
    asks: Asks | None = None
    answer: Mapping[str, Any] | None = None

    @property
    def links(self) -> Mapping[str, str]:
        """Answer -> the address of the page on which it is given."""
        return {} if self.asks is None else self.asks.links

    @property
    def subject(self) -> str:
        """One line for people."""
        return subject(self.incident, self.delivery.news)

    @property
    def text(self) -> str:
        """Some lines for people."""
        text = story(self.incident, self.signals, self.currency)
        return text if self.asks is None else f"{self.asks.text}\n\n{text}"

    @property
    def data(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "type": f"incident.{self.delivery.news}", "key": self.delivery.key, "subject": self.subject,
            "incident": shown_incident(self.incident), "signals": [shown_signal(one) for one in self.signals],
            **({} if self.asks is None else self.asks.data), **(self.answer or {}),
        }  # fmt: skip

    @property
    def body(self) -> bytes:
        """The data as JSON."""
        return json.dumps(self.data, separators=(",", ":"), allow_nan=False, default=str).encode()


class Sends(Protocol):
    """A channel that is ready."""

    def send(self, message: Message, now_ns: int) -> None:
        """Deliver a message. Raises Unavailable where another try may help, Refused where none does.

        now_ns : the wall clock, for signatures
        """
        ...

    def close(self) -> None:
        """Let go of servers."""
        ...

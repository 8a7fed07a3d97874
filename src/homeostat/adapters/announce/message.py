"""The message that a channel sends, and how a channel is used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from homeostat.errors import HomeostatError
from homeostat.maintain.incident.wording import story, subject
from homeostat.records.deliveries import Delivery
from homeostat.records.incident_shown import shown_incident, shown_signal
from homeostat.records.incidents import Incident
from homeostat.records.signals import Signal


class Refused(HomeostatError):
    """A receiver refuses an announcement for good; the text says why.

    Trying again does not help, so the delivery is given up.
    """

    why = "the receiver answered that it will never take this message"
    remedy = "Correct the channel's address, secret or form in `maintain.announce`"


@dataclass(frozen=True, slots=True)
class Message:
    """One announcement.

    incident : at the delivery's revision; earlier : its revisions before
    signals : those of it that are kept
    """

    delivery: Delivery
    incident: Incident
    signals: Sequence[Signal]
    earlier: Sequence[Incident] = ()
    currency: str = ""

    @property
    def subject(self) -> str:
        """One line for people."""
        return subject(self.incident, self.delivery.news)

    @property
    def text(self) -> str:
        """Some lines for people."""
        return story(self.incident, self.signals, self.currency)

    @property
    def data(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "type": f"incident.{self.delivery.news}", "key": self.delivery.key, "subject": self.subject,
            "incident": shown_incident(self.incident), "signals": [shown_signal(one) for one in self.signals],
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

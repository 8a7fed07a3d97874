"""Events and outcomes in, decisions out: what a worker needs of Kafka or of Redis Streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from homeostat.errors import Conflict


@dataclass(slots=True)
class Pulled:
    """`n` messages of one channel, as columns; those of one lane are in the lane's order.

    values : the messages' bytes
    lane : where order holds (a partition), e.g. "payments.events/3"; the same text object for all of a lane
    position : where each lies in its lane, in a form that sorts and reads well: "42", "1700000000000-0"
    traceparent : W3C trace context that came along, None where none did
    produced_ns : when each was produced, nanoseconds since 1970 UTC; 0 where the stream doesn't say
    epoch : (per row) of the lane's assignment: rows of an earlier one are no longer this worker's to publish
    key : under which each was sent, None where there was none
    """

    values: list[bytes] = field(default_factory=list)
    lane: list[str] = field(default_factory=list)
    position: list[str] = field(default_factory=list)
    traceparent: list[str | None] = field(default_factory=list)
    produced_ns: list[int] = field(default_factory=list)
    epoch: list[int] = field(default_factory=list)
    key: list[bytes | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)

    def extend(self, more: Pulled) -> None:
        """Put the messages of another pull behind these."""
        self.values += more.values
        self.lane += more.lane
        self.position += more.position
        self.traceparent += more.traceparent
        self.produced_ns += more.produced_ns
        self.epoch += more.epoch
        self.key += more.key

    def place(self, row: int) -> str:
        """Where a message lies, unique for as long as its stream lives: lane@position."""
        return f"{self.lane[row]}@{self.position[row]}"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published.

    key : what keeps messages of one thing in order; None where nothing does
    traceparent : W3C trace context that goes along
    """

    value: bytes
    key: bytes | None = None
    traceparent: str | None = None


class Stream(Protocol):
    """The streams of one worker. `publish` may be called by another thread than the rest; nothing else may."""

    def pull(self, limit: int, wait_s: float) -> tuple[Pulled, Pulled]:
        """Up to about `limit` events and outcomes that were not pulled before, once there are any or `wait_s` passed.

        Never raises because a server is away: it returns nothing then, and `trouble` says why. Raises ValueError (at
        the first call at the latest) for settings that can't work.
        """
        ...

    @property
    def generation(self) -> int:
        """Rises whenever lanes were newly given to this worker: what comes then may have been pulled by another."""
        ...

    def owned(self, pulled: Pulled) -> list[bool]:
        """Which of the messages this worker may still publish for."""
        ...

    def publish(self, done: Sequence[Pulled], decisions: Sequence[Outgoing], dead_letters: Sequence[Outgoing]) -> None:
        """All or nothing, and for consumers that read committed messages at once: publish, and mark `done` as done.

        Waits, with jittered back-off, while the servers are away. Raises Fenced when lanes of `done` are no longer
        this worker's: nothing was published then.
        """
        ...

    @property
    def trouble(self) -> str:
        """The fault that keeps the stream from working at present; empty when there is none."""
        ...

    def lag(self) -> dict[str, int]:
        """Messages by lane that lie there and have not been pulled."""
        ...

    def stop(self) -> None:
        """Pull no more, and let `publish` give up waiting: Unavailable is raised there."""
        ...

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        ...


class Sender(Protocol):
    """Sends single messages, where nothing is read."""

    def send(self, messages: Sequence[Outgoing], wait_s: float) -> None:
        """All or nothing. Raises Unavailable where the servers don't take them within about that time."""
        ...

    def close(self) -> None:
        """Let go of the servers."""
        ...


class Fenced(Conflict):
    """Another worker has taken over: what was to be published is its work now."""

    why = "each part of a stream has one worker at a time"
    remedy = "Nothing: the other worker goes on with these events"

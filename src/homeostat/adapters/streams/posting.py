"""Events to a stream of Kafka or Redis, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from homeostat.ports import Unavailable
from homeostat.ports.streams import Outgoing, Sender

_WAIT_S = 10.0


class StreamPoster:
    """Sends events through one thread, since those of one entity keep their order."""

    threads = 1

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, messages: Sequence[Outgoing]) -> Counter[str]:
        """Send events; how many were not taken, by reason: all of them or none."""
        try:
            self._sender.send(messages, _WAIT_S)
        except Unavailable as error:
            return Counter({str(error): len(messages)})
        return Counter()

    def close(self) -> None:
        """Let go of the servers."""
        self._sender.close()

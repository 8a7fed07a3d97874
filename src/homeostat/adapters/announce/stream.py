"""A topic of Kafka or a stream of Redis: the message as JSON, under the incident's id as its key."""

from __future__ import annotations

from homeostat.adapters.announce.message import Message
from homeostat.adapters.opening import sender_opener
from homeostat.adapters.streams.addresses import read_address
from homeostat.config.announce import ChannelSettings
from homeostat.config.servers import KafkaSettings
from homeostat.ports.streams import Outgoing, Sender


class StreamChannel:
    """See the module.

    kafka : how brokers are reached, as in `servers.kafka`
    """

    def __init__(self, settings: ChannelSettings, kafka: KafkaSettings) -> None:
        self._settings, self._kafka = settings, kafka
        self._sender: Sender | None = None

    def send(self, message: Message, now_ns: int) -> None:
        """See `Sends`."""
        if self._sender is None:
            address = read_address(f"announce.{self._settings.name}", self._settings.url)
            self._sender = sender_opener(self._settings.url)(address, self._kafka, f"announce.{self._settings.name}")
        outgoing = Outgoing(message.body, message.incident.id.encode())
        self._sender.send([outgoing], self._settings.timeout_s)

    def close(self) -> None:
        """Let go of the servers."""
        if self._sender is not None:
            self._sender.close()
        self._sender = None

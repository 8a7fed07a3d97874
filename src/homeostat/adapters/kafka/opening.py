"""How the table of backends opens Kafka."""

from __future__ import annotations

from homeostat.adapters.kafka.stream import KafkaStream
from homeostat.adapters.kafka.topics import create_topics
from homeostat.adapters.streams.addresses import Addresses
from homeostat.config.servers import KafkaSettings


def open_stream(addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> KafkaStream:
    """The streams of one worker. Asks no server yet."""
    return KafkaStream(addresses, settings, group, client_id)


def create_missing(addresses: Addresses, settings: KafkaSettings, partitions: int, group: str) -> list[str]:
    """Create the topics that are missing; returns their names. The group needs nothing."""
    return create_topics(addresses, settings, partitions)

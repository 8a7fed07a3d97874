"""How the table of backends opens streams on Redis."""

from __future__ import annotations

from homeostat.adapters.redis.stream import RedisStream, create_groups
from homeostat.adapters.streams.addresses import Addresses
from homeostat.config.servers import KafkaSettings


def open_stream(addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> RedisStream:
    """The streams of one worker. Asks no server yet. Kafka's settings mean nothing here."""
    return RedisStream(addresses, group, client_id)


def create_missing(addresses: Addresses, settings: KafkaSettings, partitions: int, group: str) -> list[str]:
    """Create the streams and groups that are missing; returns the streams' names. A stream here has one partition."""
    return create_groups(addresses, group)

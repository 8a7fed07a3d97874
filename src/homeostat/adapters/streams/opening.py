"""The streams that an app's servers name, on Kafka or on Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeostat.adapters.streams.addresses import read_addresses
from homeostat.config.servers import Servers
from homeostat.ports.streams import Stream


def open_stream(servers: Servers, app: str, *, client_id: str) -> Stream:
    """The streams of one worker. Asks no server yet.

    app : name that workers share events under, where `servers.group` is absent
    client_id : of this worker, no other's. One that is the same after a restart ends at once what a crash left open
    Raises ValueError for addresses and settings that can't work, and ImportError where a package is not installed.
    """
    addresses = read_addresses(servers)
    group = servers.group or app
    if addresses.events.scheme == "kafka":
        with _extra("confluent_kafka", "kafka"):
            from homeostat.adapters.kafka.stream import KafkaStream
        return KafkaStream(addresses, servers.kafka, group, client_id)
    with _extra("redis", "redis"):
        from homeostat.adapters.redis.stream import RedisStream
    return RedisStream(addresses, group, client_id)


def ensure_topics(servers: Servers, app: str) -> list[str]:
    """Create the streams that are missing; returns their names. What exists stays as it is.

    Raises Unavailable when the servers don't answer or refuse, ValueError for addresses that can't work.
    """
    addresses = read_addresses(servers)
    if addresses.events.scheme == "kafka":
        with _extra("confluent_kafka", "kafka"):
            from homeostat.adapters.kafka.topics import create_topics
        return create_topics(addresses, servers.kafka, servers.partitions)
    with _extra("redis", "redis"):
        from homeostat.adapters.redis.stream import create_groups
    return create_groups(addresses, servers.group or app)


@contextmanager
def _extra(package: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(f"this needs a package that is not installed: pip install 'homeostat[{extra}]'") from None

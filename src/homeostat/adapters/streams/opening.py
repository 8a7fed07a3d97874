"""The streams that an app's servers name."""

from __future__ import annotations

from homeostat.adapters.opening import stream_creator, stream_opener
from homeostat.adapters.streams.addresses import read_addresses
from homeostat.config.servers import Servers
from homeostat.ports.streams import Stream


def open_stream(servers: Servers, app: str, *, client_id: str) -> Stream:
    """The streams of one worker. Asks no server yet.

    app : name that workers share events under, where `servers.group` is absent
    client_id : of this worker, no other's. One that is the same after a restart ends at once what a crash left open
    Raises ValueError for addresses and settings that can't work, and MissingExtra where a package is not installed.
    """
    addresses = read_addresses(servers)
    group = servers.group or app
    return stream_opener(servers.events or "")(addresses, servers.kafka, group, client_id)


def ensure_topics(servers: Servers, app: str) -> list[str]:
    """Create the streams that are missing; returns their names. Topics that exist stay as they are.

    Raises Unavailable when the servers don't answer or refuse, ValueError for addresses that can't work.
    """
    addresses = read_addresses(servers)
    create = stream_creator(servers.events or "")
    return create(addresses, servers.kafka, servers.partitions, servers.group or app)

"""A Redis server as workers see it whose events are in its streams."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import redis

from homeostat.adapters.redis.stream import connect, message_of
from homeostat.adapters.streams.addresses import Addresses
from homeostat.ports import Unavailable

VERSION_MIN = (7, 0)
SAMPLE = 100


@dataclass(slots=True)
class StreamAbout:
    """The findings about a Redis.

    kind, version : redis or valkey, as it says it
    kept : whether an append-only file is written
    eviction : what it does when its memory is full; empty where that has no limit
    skew_s : how far its clock is ahead of ours
    lengths : entries by stream, of those that exist
    missing : streams that are read from and don't exist
    workers : names in the group
    lag, pending : by stream, what nobody has read, and what was read and is not done with
    sample : by stream, the last messages
    refused : commands that this user may not use
    """

    kind: str = "redis"
    version: str = ""
    kept: bool = False
    eviction: str = ""
    skew_s: float = 0.0
    lengths: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    workers: int = 0
    lag: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    sample: dict[str, list[bytes]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def about(addresses: Addresses, group: str) -> StreamAbout:
    """Ask the server; changes nothing. Raises Unavailable where it doesn't answer."""
    client, found = connect(addresses.events), StreamAbout()
    try:
        before = time.time()
        seconds, micros = client.time()
        found.skew_s = seconds + micros / 1e6 - (before + time.time()) / 2
        info = client.info("everything")
        found.kind = "valkey" if "valkey_version" in info else "redis"
        found.version = str(info.get("valkey_version", info.get("redis_version", "")))
        found.kept = bool(info.get("aof_enabled"))
        found.eviction = str(info.get("maxmemory_policy", "")) if int(info.get("maxmemory", 0)) else ""
        client.eval("return 1", 0)
        for address in (addresses.events, addresses.outcomes):
            if address is not None:
                _look_at(client, address.name, group, found)
    except redis.exceptions.NoPermissionError as error:
        found.refused.append(str(error))
    except redis.RedisError as error:
        raise Unavailable(f"Redis at {addresses.events.hosts} doesn't answer: {error}") from None
    finally:
        client.close()
    return found


def _look_at(client: Any, name: str, group: str, found: StreamAbout) -> None:
    if not client.exists(name):
        found.missing.append(name)
        return
    found.lengths[name] = int(client.xlen(name))
    found.sample[name] = [message_of(fields) for _, fields in client.xrevrange(name, count=SAMPLE)]
    groups: list[dict[str, Any]] = client.xinfo_groups(name)
    own: dict[str, Any] = next((one for one in groups if one["name"] == group.encode()), {})
    found.workers = max(found.workers, int(own.get("consumers", 0)))
    lag = own.get("lag", found.lengths[name] if not own else None)
    found.lag[name] = int(lag or 0)
    found.pending[name] = int(own.get("pending", 0))

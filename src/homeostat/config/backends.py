"""Which adapter opens an address, by the address's scheme.

A new backend is an adapter, a line here, and its conformance suite in `homeostat.checks`. The adapters are named by
module and name, not imported: an address can be checked without their packages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backend:
    """An adapter.

    opener : `module:name` of what opens it, see `adapters.opening`
    extra : which extra of homeostat brings the packages that it needs
    purpose : the subject of the sentence that says so
    creator : of streams: `module:name` of what creates the missing ones
    """

    opener: str
    extra: str
    purpose: str
    creator: str = ""


_POSTGRES = Backend("homeostat.adapters.postgres:PostgresJournal", "postgres", "a journal in PostgreSQL")
_POSTGRES_KEYS = Backend("homeostat.adapters.disk.api_keys:PostgresApiKeys", "postgres", "keys in PostgreSQL")
_REDIS = Backend("homeostat.adapters.redis.features:RedisFeatures", "redis", "a feature store on Redis")
_REDIS_STREAM = Backend(
    "homeostat.adapters.redis.opening:open_stream", "redis", "a stream on Redis",
    "homeostat.adapters.redis.opening:create_missing",
)  # fmt: skip
_KAFKA = Backend(
    "homeostat.adapters.kafka.opening:open_stream", "kafka", "a stream on Kafka",
    "homeostat.adapters.kafka.opening:create_missing",
)  # fmt: skip

JOURNALS = {"postgresql": _POSTGRES, "postgres": _POSTGRES}
KEYS = {"postgresql": _POSTGRES_KEYS, "postgres": _POSTGRES_KEYS}
FEATURES = {"redis": _REDIS, "rediss": _REDIS, "redis+cluster": _REDIS, "rediss+cluster": _REDIS}
STREAMS = {"kafka": _KAFKA, "redis-stream": _REDIS_STREAM, "rediss-stream": _REDIS_STREAM}

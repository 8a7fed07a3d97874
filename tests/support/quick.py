"""Which tests the inner loop runs: those that need no server, no process of their own, and no seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable

# Fixtures that start servers; `cluster` is one of Ray, whose processes take seconds to come up.
SERVERS = frozenset(
    {"redis", "redis_cluster", "postgres", "kafka", "s3", "database", "own_server", "real_servers", "cluster"}
)


def is_quick(fixtures: Iterable[str], marks: Collection[str]) -> bool:
    """Whether a test belongs to the inner loop.

    >>> is_quick(["tmp_path"], {})
    True
    >>> is_quick(["redis"], {})
    False
    >>> is_quick([], {"peers"})
    False
    """
    return {"long", "peers"}.isdisjoint(marks) and SERVERS.isdisjoint(fixtures)

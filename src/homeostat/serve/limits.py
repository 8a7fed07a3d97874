"""How much of everything one client may ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass

_RESERVED_FILES = 64  # Of the files that a process may have open: for its journal, logs and libraries.


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the server.

    head_bytes_max, headers_max : of a request's line and headers
    request_bytes_max : of a request as it is sent; of a body, the app reads less
    request_s_max : how long a client may take to send a request, or to begin one on a new connection
    answer_s_max : how long a client may leave its answers unread
    idle_s_max : how long a connection is kept between requests
    connections_max : at a time
    rate : requests a second of all clients together; None for no limit
    """

    head_bytes_max: int = 32 << 10
    headers_max: int = 100
    request_bytes_max: int = 72 << 20
    request_s_max: float = 30.0
    answer_s_max: float = 30.0
    idle_s_max: float = 75.0
    connections_max: int = 1000
    rate: float | None = None


class Bucket:
    """A token bucket: `rate` requests a second on average, and a second's worth of them at once.

    >>> bucket = Bucket(2.0)
    >>> [bucket.take(now_s) for now_s in (0.0, 0.0, 0.0, 0.5, 0.5)]
    [0.0, 0.0, 0.5, 0.0, 0.5]
    """

    __slots__ = ("_at_s", "_level", "burst", "rate")

    def __init__(self, rate: float) -> None:
        self.rate, self.burst = rate, float(max(1, math.ceil(rate)))
        self._level, self._at_s = self.burst, -math.inf

    def take(self, now_s: float) -> float:
        """Take one; returns 0, or the seconds until there is one again, and takes none then."""
        level = self._level + (now_s - self._at_s) * self.rate
        self._level, self._at_s = min(level, self.burst), now_s
        if self._level < 1.0:
            return (1.0 - self._level) / self.rate
        self._level -= 1.0
        return 0.0

    def headers(self, name: str, wait_s: float) -> tuple[tuple[bytes, bytes], ...]:
        """When to come back, and the policy in the words of draft-ietf-httpapi-ratelimit-headers.

        >>> Bucket(0.5).headers("key", 0.1)[1:]
        ((b'ratelimit-policy', b'"key";q=1;w=2'), (b'ratelimit', b'"key";r=0;t=1'))
        """
        after, window = math.ceil(wait_s) or 1, math.ceil(self.burst / self.rate)
        return (
            (b"retry-after", b"%d" % after),
            (b"ratelimit-policy", f'"{name}";q={int(self.burst)};w={window}'.encode()),
            (b"ratelimit", f'"{name}";r=0;t={after}'.encode()),
        )


def connections_possible(wanted: int) -> int:
    """How many connections this process can have, given how many files it may open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + wanted // 10 + 1 + _RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        wanted = min(wanted, (raised - _RESERVED_FILES) * 10 // 11 - 1)
    return max(wanted, 1)

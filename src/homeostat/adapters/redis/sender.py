"""Single messages to a stream of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from homeostat.adapters.redis.stream import connect
from homeostat.adapters.streams.addresses import Address
from homeostat.config.servers import KafkaSettings
from homeostat.errors import Unavailable
from homeostat.ports.streams import Outgoing

_KEPT_MAX = 100_000  # Entries of the stream, about; the oldest go.


class RedisSender:
    """See `Sender`."""

    def __init__(self, address: Address, settings: KafkaSettings, name: str) -> None:
        self._address = address
        self._client: Any = connect(address)

    def send(self, messages: Sequence[Outgoing], wait_s: float) -> None:
        """See `Sender`. One transaction."""
        try:
            with self._client.pipeline(transaction=True) as pipe:
                for one in messages:
                    fields = {"value": one.value, **({} if one.key is None else {"key": one.key})}
                    pipe.xadd(self._address.name, fields, maxlen=_KEPT_MAX, approximate=True)
                pipe.execute()
        except redis.RedisError as error:
            raise Unavailable(f"Redis at {self._address.hosts}: {error}") from None

    def close(self) -> None:
        """See `Sender`."""
        self._client.close()

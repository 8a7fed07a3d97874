"""A topic of Kafka or a stream of Redis: each prediction as JSON, under the entity's keys.

After a crash the last ones may come twice: `event_id` is the same then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from homeostat.adapters.opening import sender_opener
from homeostat.adapters.streams.addresses import read_address
from homeostat.config.predictions import TargetSettings
from homeostat.config.servers import KafkaSettings
from homeostat.ports.streams import Outgoing, Sender
from homeostat.records.predictions import Prediction


class StreamTarget:
    """See the module.

    kafka : how brokers are reached, as in `servers.kafka`
    """

    def __init__(self, settings: TargetSettings, kafka: KafkaSettings) -> None:
        self._settings, self._kafka = settings, kafka
        self._sender: Sender | None = None

    def send(self, predictions: Sequence[Prediction], now_ns: int) -> None:
        """See `Sends`."""
        if self._sender is None:
            name = f"predictions.{self._settings.name}"
            address = read_address(name, self._settings.url)
            self._sender = sender_opener(self._settings.url)(address, self._kafka, name)
        outgoing = [
            Outgoing(json.dumps(one.as_json()).encode(), "|".join(key for _, key in one.entity).encode() or None)
            for one in predictions
        ]
        self._sender.send(outgoing, self._settings.timeout_s)

    def close(self) -> None:
        """Let go of the servers."""
        if self._sender is not None:
            self._sender.close()
        self._sender = None

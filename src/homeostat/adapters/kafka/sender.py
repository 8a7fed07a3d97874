"""Single messages to a topic of Kafka, acknowledged by all replicas. A try whose answer was lost may have sent them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import confluent_kafka as kafka

from homeostat.adapters.kafka.settings import LOG, producer_settings, refused
from homeostat.adapters.kafka.topics import create_topics
from homeostat.adapters.streams.addresses import Address, Addresses
from homeostat.config.servers import KafkaSettings
from homeostat.errors import Unavailable
from homeostat.ports.streams import Outgoing


class KafkaSender:
    """See `Sender`. One thread uses it.

    name : of the sender, by which brokers know it
    """

    def __init__(self, address: Address, settings: KafkaSettings, name: str) -> None:
        self._both, self._given = Addresses(address, address), settings
        given = producer_settings(self._both, settings, "homeostat", name)
        given.pop("transactional.id")
        self._address, self._settings = address, {**given, "enable.idempotence": True}
        self._producer: Any = None

    def send(self, messages: Sequence[Outgoing], wait_s: float) -> None:
        """See `Sender`. A topic that is missing is created first."""
        failures: list[str] = []
        sent = 0

        def delivered(error: Any, _: Any) -> None:
            nonlocal sent
            if error is None:
                sent += 1
            else:
                failures.append(error.str())

        try:
            if self._producer is None:
                create_topics(self._both, self._given, 1)
                self._producer = kafka.Producer(self._settings, logger=LOG)
            for one in messages:
                self._producer.produce(self._address.name, one.value, one.key, on_delivery=delivered)
            self._producer.flush(wait_s)
        except (kafka.KafkaException, BufferError) as error:
            failures.append(str(error))
        except (TypeError, ValueError) as error:
            raise refused(self._settings, error) from None
        if sent < len(messages):
            self.close()  # Else the messages that it holds would be sent beside the next try.
            why = failures[0] if failures else f"no answer within {wait_s:g} s"
            raise Unavailable(f"Kafka at {self._address.hosts}, topic {self._address.name}: {why}")

    def close(self) -> None:
        """See `Sender`."""
        if self._producer is not None:
            self._producer.purge()
        self._producer = None

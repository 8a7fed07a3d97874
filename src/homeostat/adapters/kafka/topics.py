"""Topics are created where they are missing."""

from __future__ import annotations

from typing import Any

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # The stubs forget it.

from homeostat.adapters.kafka.settings import LOG, reach, refused
from homeostat.adapters.streams.addresses import Addresses
from homeostat.config.servers import KafkaSettings
from homeostat.ports import Unavailable

ANSWER_S = 20.0


def create_topics(addresses: Addresses, settings: KafkaSettings, partitions: int) -> list[str]:
    """Create the app's topics that are missing; returns their names. Raises Unavailable, ValueError."""
    reached = reach(addresses, settings)
    named = (addresses.events, addresses.outcomes, addresses.decisions, addresses.dead_letters)
    names = list(dict.fromkeys(address.name for address in named if address is not None))
    said: list[str] = []
    try:
        asked: dict[str, Any] = {**reached, "error_cb": lambda error: said.append(error.str())}
        client = AdminClient(asked, logger=LOG)
    except (kafka.KafkaException, TypeError, ValueError) as error:
        raise refused(reached, error) from None
    try:
        there = client.list_topics(timeout=ANSWER_S).topics
        missing = [name for name in names if name not in there]
        wanted = [NewTopic(name, partitions, settings.replication) for name in missing]
        created = client.create_topics(wanted, operation_timeout=ANSWER_S) if wanted else {}
    except kafka.KafkaException as error:
        client.poll(0.1)  # It tells the cause, such as a wrong password, to whom asks.
        cause = next((one for one in said if "brokers are down" not in one), error.args[0].str())
        raise Unavailable(f"Kafka at {addresses.events.hosts} doesn't answer: {cause}") from None
    for name, future in created.items():
        try:
            future.result(ANSWER_S)
        except kafka.KafkaException as error:
            if error.args[0].code() != kafka.KafkaError.TOPIC_ALREADY_EXISTS:  # Another worker was first.
                raise Unavailable(f"the topic {name} can't be created: {error.args[0].str()}") from None
    return missing

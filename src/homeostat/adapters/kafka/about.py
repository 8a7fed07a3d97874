"""A Kafka as an app's workers see it: its topics, what they may do there, who reads, how far behind, and a sample."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec  # type: ignore[attr-defined]  # Stubs forget.

from homeostat.adapters.kafka.settings import LOG, consumer_settings, outcomes_group, producer_settings, reach, refused
from homeostat.adapters.streams.addresses import Addresses
from homeostat.config.servers import KafkaSettings
from homeostat.ports import Unavailable

ANSWER_S = 4.0
SAMPLE = 100
_SAMPLE_S = 3.0
_SPEC: Any = OffsetSpec  # It has no types.
_NAME = "doctor"  # No worker's, so that nobody is thrown out.


@dataclass(slots=True)
class KafkaAbout:
    """The findings about a Kafka.

    brokers : how many there are
    version : as far as they say: "3.9-IV0", "4.0 or later", empty where this client may not ask
    partitions : by topic, of those that exist
    missing : topics that don't
    refused : what this client may not do, each in words
    transactions : why none can be begun; empty where they can
    workers : members of the group that reads events
    outcome_workers : members of the one that reads outcomes; None where there are none to read
    lag : messages by partition of what is read that are not done with
    sample : by topic, the last messages
    newest_ns : the latest time that a producer has put on a message of the sample, nanoseconds since 1970; 0 for none
    """

    brokers: int = 0
    version: str = ""
    partitions: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    transactions: str = ""
    workers: int = 0
    outcome_workers: int | None = None
    lag: dict[str, int] = field(default_factory=dict)
    sample: dict[str, list[bytes]] = field(default_factory=dict)
    newest_ns: int = 0


def about(addresses: Addresses, settings: KafkaSettings, group: str) -> KafkaAbout:
    """Ask the brokers. Changes nothing but the fencing of a transactional id of its own.

    Raises Unavailable where none answers; ValueError for settings that can't work.
    """
    found, heard = KafkaAbout(), list[str]()
    own = reach(addresses, settings)
    called: dict[str, Any] = {"error_cb": lambda error: heard.append(error.str())}
    try:
        client: Any = AdminClient({**own, **called}, logger=LOG)
    except (kafka.KafkaException, TypeError, ValueError) as error:
        raise refused(own, error) from None
    try:
        there = client.list_topics(timeout=ANSWER_S)
        client.poll(0)
    except kafka.KafkaException as error:
        client.poll(0)
        why = next((text for text in heard if "SASL" in text or "SSL" in text), error.args[0].str())
        raise Unavailable(f"Kafka at {addresses.events.hosts} doesn't answer: {why}") from None
    names = [
        one.name for one in (addresses.events, addresses.outcomes, addresses.decisions, addresses.dead_letters) if one
    ]
    found.brokers = len(there.brokers)
    found.missing = [name for name in names if name not in there.topics]
    found.partitions = {name: len(there.topics[name].partitions) for name in names if name in there.topics}
    found.version = _version(client, sorted(there.brokers))
    _look_at_permissions(client, addresses, group, found)
    found.transactions = _transactions(addresses, settings, group)
    read = [one.name for one in (addresses.events, addresses.outcomes) if one and one.name in found.partitions]
    ends = _ends(client, {name: found.partitions[name] for name in read})
    if group:
        found.workers = _look_at_group(client, group, addresses.events.name, ends, found)
        if addresses.outcomes is not None:
            name = addresses.outcomes.name
            found.outcome_workers = _look_at_group(client, outcomes_group(group), name, ends, found)
    for name in read:
        mine = {partition: span for (topic, partition), span in ends.items() if topic == name}
        found.sample[name] = _sample(addresses, settings, group, name, mine, found)
    return found


def _version(client: Any, brokers: list[int]) -> str:
    """Brokers don't say their version; up to 3.9 they have a setting that does."""
    resource = ConfigResource(ConfigResource.Type.BROKER, str(brokers[0]) if brokers else "0")
    try:
        [future] = client.describe_configs([resource], request_timeout=ANSWER_S).values()
        answered = future.result(ANSWER_S)
    except (kafka.KafkaException, TimeoutError, ValueError):
        return ""
    old = answered.get("inter.broker.protocol.version")
    return str(old.value) if old is not None else "4.0 or later" if answered else ""


def _look_at_permissions(client: Any, addresses: Addresses, group: str, found: KafkaAbout) -> None:
    wanted = {addresses.events.name: ("READ", "DESCRIBE"), addresses.decisions.name: ("WRITE", "DESCRIBE")}
    if addresses.outcomes is not None:
        wanted[addresses.outcomes.name] = ("READ", "DESCRIBE")
    if addresses.dead_letters is not None:
        wanted[addresses.dead_letters.name] = ("WRITE", "DESCRIBE")
    try:
        if found.partitions:
            topics = kafka.TopicCollection(list(found.partitions))
            answered = client.describe_topics(topics, include_authorized_operations=True, request_timeout=ANSWER_S)
            for name, future in answered.items():
                lacking = _lacking(future.result(ANSWER_S), wanted[name])
                found.refused += [f"{word} the topic {name}" for word in lacking]
        if found.missing:
            cluster = client.describe_cluster(include_authorized_operations=True, request_timeout=ANSWER_S)
            if _lacking(cluster.result(ANSWER_S), ("CREATE",)):
                found.refused.append(f"create the topics {', '.join(found.missing)}")
    except (kafka.KafkaException, TimeoutError) as error:
        found.refused.append(f"ask what it may do ({_said(error)})")


def _lacking(described: Any, wanted: Iterable[str]) -> list[str]:
    may = described.authorized_operations
    if may is None:
        return []
    names = {operation.name for operation in may}
    return [] if "ALL" in names else [word.lower() for word in wanted if word not in names]


def _transactions(addresses: Addresses, settings: KafkaSettings, group: str) -> str:
    own = producer_settings(addresses, settings, group or "homeostat", _NAME)
    try:
        producer = kafka.Producer(own, logger=LOG)
        producer.init_transactions(ANSWER_S)
    except kafka.KafkaException as error:
        return _said(error)
    except (TypeError, ValueError) as error:
        raise refused(own, error) from None
    return ""


def _ends(client: Any, topics: dict[str, int]) -> dict[tuple[str, int], tuple[int, int]]:
    """First and next offset of each partition."""
    places = [kafka.TopicPartition(name, number) for name, count in topics.items() for number in range(count)]
    spans: list[dict[tuple[str, int], int]] = []
    try:
        for which in (_SPEC.earliest(), _SPEC.latest()):
            asked = client.list_offsets(dict.fromkeys(places, which), request_timeout=ANSWER_S) if places else {}
            spans.append({(at.topic, at.partition): future.result(ANSWER_S).offset for at, future in asked.items()})
    except (kafka.KafkaException, TimeoutError):
        return {}
    return {place: (spans[0][place], spans[1][place]) for place in spans[0]}


def _look_at_group(
    client: Any, group: str, read: str, ends: dict[tuple[str, int], tuple[int, int]], found: KafkaAbout
) -> int:
    """How far behind the group that reads a topic is; returns how many members it has."""
    members = 0
    try:
        [described] = client.describe_consumer_groups([group], request_timeout=ANSWER_S).values()
        members = len(described.result(ANSWER_S).members)
        asked = [kafka.ConsumerGroupTopicPartitions(group)]
        [answered] = client.list_consumer_group_offsets(asked, request_timeout=ANSWER_S).values()
        done = {(at.topic, at.partition): at.offset for at in answered.result(ANSWER_S).topic_partitions}
    except kafka.KafkaException as error:
        if error.args[0].code() == kafka.KafkaError.GROUP_AUTHORIZATION_FAILED:
            found.refused.append(f"read as the group {group}")
            return members
        done = {}
    except TimeoutError:
        return members
    for (topic, partition), (first, end) in ends.items():
        if topic == read:
            at = done.get((topic, partition), -1)
            found.lag[f"{topic}/{partition}"] = max(0, end - (at if at >= 0 else first))
    return members


def _sample(
    addresses: Addresses, settings: KafkaSettings, group: str, topic: str, ends: dict[int, tuple[int, int]],
    found: KafkaAbout,
) -> list[bytes]:  # fmt: skip
    """Up to 100 of the last messages. Assigned, so that no group is joined, and nothing is marked as done."""
    filled = {number: span for number, span in ends.items() if span[1] > span[0]}
    if not filled:
        return []
    each = -(-SAMPLE // len(filled))
    starts = [kafka.TopicPartition(topic, number, max(low, end - each)) for number, (low, end) in filled.items()]
    consumer = kafka.Consumer(consumer_settings(addresses, settings, group or "homeostat", _NAME), logger=LOG)
    sample: list[bytes] = []
    try:
        consumer.assign(starts)
        left, until = set(filled), time.monotonic() + _SAMPLE_S
        while left and len(sample) < SAMPLE and time.monotonic() < until:
            for message in consumer.consume(SAMPLE, 0.1):
                error = message.error()
                if error is None:
                    sample.append(message.value() or b"")
                    kind, produced_ms = message.timestamp()
                    found.newest_ns = max(found.newest_ns, produced_ms * 1_000_000 if kind else 0)
                elif error.code() == kafka.KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                elif error.code() == kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    return []
    except kafka.KafkaException as error:
        LOG.debug("no sample: %s", _said(error))
    finally:
        consumer.close()
    return sample[:SAMPLE]


def _said(error: BaseException) -> str:
    return str(error.args[0].str()) if isinstance(error, kafka.KafkaException) else "no answer in time"

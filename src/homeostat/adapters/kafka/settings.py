"""How librdkafka is set up: how it reaches the brokers, what consumers and transactional producers need.

Names are those of librdkafka's CONFIGURATION.md.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import confluent_kafka as kafka

from homeostat.adapters.servers.circuit import Backoff, RetryPolicy
from homeostat.adapters.streams.addresses import Addresses
from homeostat.config.servers import KafkaSettings

POLICY = RetryPolicy(
    deadline_s=10.0, failures=None, backoff=Backoff(0.02, 2.0),
    falls_back="nothing is pulled; what was decided is journalled and waits to be published, and no event is lost",
)  # fmt: skip
# How long what a crashed worker left open holds up those who read committed messages.
TRANSACTION_S_MAX = POLICY.deadline_s
SESSION_S = 10.0  # After so long without a sign of life a worker's partitions go to others.
BUSY_S_MAX = (
    600.0  # A worker that doesn't pull for so long is thrown out: ten times the longest that it should be busy.
)
OUTCOMES_WAIT_MS = 50
LOG = logging.getLogger("homeostat.kafka")
_EXPECTED = ("FAIL ", "TXNERR ", "GETPID ", "SESSTMOUT ", "MAXPOLL ")  # Facilities of librdkafka's log.

_OWN = {
    "bootstrap.servers", "client.id", "group.id", "group.protocol", "enable.auto.commit", "enable.auto.offset.store",
    "isolation.level", "transactional.id", "enable.idempotence", "enable.partition.eof",
    "partition.assignment.strategy",
    "group.instance.id", "acks", "security.protocol", "sasl.username", "sasl.password", "sasl.mechanism",
    "sasl.mechanisms",
}  # fmt: skip
_CONSUMER = {
    "group.protocol": "classic", "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": False, "enable.auto.offset.store": False, "isolation.level": "read_committed",
    "auto.offset.reset": "earliest", "enable.partition.eof": True,
    "session.timeout.ms": int(SESSION_S * 1000), "heartbeat.interval.ms": 1000,
    "max.poll.interval.ms": int(BUSY_S_MAX * 1000),
    # The messages fetched ahead are bounded, and come in small shares of each partition, so that none runs far ahead.
    "queued.min.messages": 20_000, "queued.max.messages.kbytes": 32_768, "fetch.queue.backoff.ms": 10,
    "max.partition.fetch.bytes": 262_144,
    # Brokers answer once there is something to speak of, or soon: answering for each message takes half of their time.
    "fetch.min.bytes": 16_384, "fetch.wait.max.ms": 10, "fetch.error.backoff.ms": 100,
}  # fmt: skip
_PRODUCER = {
    "enable.idempotence": True, "acks": "all", "linger.ms": 1, "compression.type": "lz4",
    "transaction.timeout.ms": int(TRANSACTION_S_MAX * 1000), "partitioner": "murmur2_random",
    # A new transaction is refused until the last one's end is written everywhere, a few milliseconds.
    "retry.backoff.ms": 1, "retry.backoff.max.ms": 200,
    # One batch has to fit in: it is bounded by what was pulled.
    "queue.buffering.max.messages": 1_000_000, "queue.buffering.max.kbytes": 1_048_576,
    "message.max.bytes": 8_388_608,
}  # fmt: skip
_COMMON = {
    # librdkafka jitters these itself.
    "reconnect.backoff.ms": int(POLICY.backoff.first_s * 1000),
    "reconnect.backoff.max.ms": int(POLICY.backoff.longest_s * 1000), "socket.keepalive.enable": True,
    "topic.metadata.refresh.interval.ms": 30_000, "allow.auto.create.topics": False, "log.connection.close": False,
}  # fmt: skip
_ONLY_CONSUMER = re.compile(r"^(fetch\.|queued\.|max\.partition|max\.poll|session\.|heartbeat\.|auto\.offset|check\.)")
_ONLY_PRODUCER = re.compile(r"^(linger|batch\.|compression|queue\.buffering|transaction|partitioner|sticky|delivery)")


def _demoted(record: logging.LogRecord) -> bool:
    """Troubles that the adapter deals with, and that `trouble` shows, are not logged as a warning each time."""
    if record.levelno > logging.INFO and record.getMessage().startswith(_EXPECTED):
        record.levelno, record.levelname = logging.INFO, "INFO"
    return LOG.isEnabledFor(record.levelno)


LOG.addFilter(_demoted)


def consumer_settings(addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> dict[str, Any]:
    """Of a worker's consumer of events. Raises ValueError."""
    own = {"group.id": group, "client.id": client_id}
    return {**_COMMON, **_CONSUMER, **reach(addresses, settings, _ONLY_PRODUCER), **own}


def outcomes_group(group: str) -> str:
    """The group that shares the partitions of outcomes."""
    return f"{group}.outcomes"


def outcomes_settings(addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> dict[str, Any]:
    """Of the consumer of outcomes, which nobody waits for. Raises ValueError."""
    own = consumer_settings(addresses, settings, outcomes_group(group), client_id)
    return {**own, "fetch.wait.max.ms": settings.settings.get("fetch.wait.max.ms", OUTCOMES_WAIT_MS)}


def producer_settings(addresses: Addresses, settings: KafkaSettings, group: str, client_id: str) -> dict[str, Any]:
    """Of a worker's producer. Raises ValueError."""
    own = {"transactional.id": f"{group}.{client_id}", "client.id": client_id}
    return {**_COMMON, **_PRODUCER, **reach(addresses, settings, _ONLY_CONSUMER), **own}


def reach(addresses: Addresses, settings: KafkaSettings, without: re.Pattern[str] | None = None) -> dict[str, Any]:
    """How the brokers are reached, and the user's further settings. Raises ValueError for those that are ours."""
    ours = sorted(_OWN & set(settings.settings))
    if ours:
        raise ValueError(f"servers.kafka.settings can't set {', '.join(ours)}: homeostat rests on its own")
    further = {name: value for name, value in settings.settings.items() if without is None or not without.match(name)}
    protocol = ("SASL_" if settings.sasl_mechanism else "") + ("SSL" if settings.tls else "PLAINTEXT")
    named = {
        "ssl.ca.location": settings.ca_file, "ssl.certificate.location": settings.certificate_file,
        "ssl.key.location": settings.key_file, "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.username, "sasl.password": settings.password,
    }  # fmt: skip
    given = {name: value for name, value in named.items() if value is not None}
    return {**further, **given, "security.protocol": protocol.lower(), "bootstrap.servers": addresses.events.hosts}


def refused(settings: dict[str, Any], error: BaseException) -> ValueError:
    """The fault of settings that librdkafka doesn't take, without their secrets."""
    said = str(error.args[0].str() if isinstance(error, kafka.KafkaException) else error)
    for name, value in settings.items():
        if (
            re.search(r"password|secret|\.pem|token|jaas|oauthbearer\.config", name)
            and isinstance(value, str)
            and value
        ):
            said = said.replace(value, "***")
    return ValueError(f"Kafka's settings can't work: {said}")

"""The rules of each adapter for a server that fails: declared once, used by it, and on the page about operations."""

from pathlib import Path

import pytest

from homeostat.adapters.disk import spool
from homeostat.adapters.kafka import publisher
from homeostat.adapters.kafka import settings as kafka_settings
from homeostat.adapters.redis import features, stream, wire
from homeostat.adapters.servers.circuit import RetryPolicy
from homeostat.adapters.streams.addresses import read_address, read_addresses
from homeostat.config.servers import KafkaSettings, Servers
from homeostat.engine.assembly import prepare
from homeostat.engine.shared import connecting, rejoining
from homeostat.jobs.predicting import following

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
POLICIES = {
    "streams on Kafka": kafka_settings.POLICY, "streams on Redis": stream.POLICY, "features on Redis": wire.POLICY,
    "journal on PostgreSQL": spool.POLICY, "a feature store that comes back": rejoining.POLICY,
    "predictions out": following.POLICY,
}  # fmt: skip


def row(name: str, policy: RetryPolicy) -> str:
    failures = "never" if policy.failures is None else str(policy.failures)
    pauses = f"{policy.backoff.first_s:g} s to {policy.backoff.longest_s:g} s"
    return f"| {name} | {policy.deadline_s:g} s | {failures} | {pauses} | {policy.falls_back} |"


@pytest.mark.parametrize("name", POLICIES)
def test_the_page_says_what_the_code_does(name: str) -> None:
    assert row(name, POLICIES[name]) in PAGE.read_text("utf-8").splitlines()


def test_the_page_has_no_other_rows() -> None:
    section = PAGE.read_text("utf-8").partition("## When servers fail\n")[2].partition("\n## ")[0]
    assert sum(line.startswith("| ") for line in section.splitlines()) == len(POLICIES) + 2


def test_deadlines_of_clients_are_those_of_the_policies(monkeypatch, tmp_path) -> None:
    client = stream.connect(read_address("events", "redis-stream://127.0.0.1/0/a"))
    assert client.connection_pool.connection_kwargs["socket_timeout"] == stream.POLICY.deadline_s
    client = wire.Wire("redis://127.0.0.1/0").client
    assert client.connection_pool.connection_kwargs["socket_timeout"] == wire.POLICY.deadline_s
    assert features._ATTEMPTS == wire.POLICY.failures

    policy, given = kafka_settings.POLICY, {}
    addresses = read_addresses(Servers(events="kafka://127.0.0.1/a", decisions="kafka://127.0.0.1/b"))
    settings = kafka_settings.producer_settings(addresses, KafkaSettings(), "g", "c")
    assert settings["transaction.timeout.ms"] == policy.deadline_s * 1000 == publisher._STUCK_S * 1000
    assert settings["reconnect.backoff.ms"] == policy.backoff.first_s * 1000
    assert settings["reconnect.backoff.max.ms"] == policy.backoff.longest_s * 1000

    def journal(url, **settings):
        given.update(settings)
        raise LookupError

    monkeypatch.setattr("homeostat.adapters.postgres.PostgresJournal", journal)
    servers = Servers(journal="postgresql://127.0.0.1/db", spool=str(tmp_path))
    with pytest.raises(LookupError):
        connecting.open_journal(prepare("access"), servers, None)
    assert given["deadline_s"] == spool.POLICY.deadline_s

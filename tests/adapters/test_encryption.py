"""Which connections are reported as plain text."""

import pytest

from homeostat.adapters.servers.encryption import plain_connections
from homeostat.config.servers import Servers

POSTGRES = "postgresql://me:hunter2@"


def streams(address: str, **kafka: object) -> Servers:
    return Servers(events=f"{address}a", decisions=f"{address}b", kafka=kafka)


@pytest.mark.parametrize(
    ("servers", "what"),
    [
        (streams("kafka://127.0.0.1:9092/"), ""),
        (streams("kafka://localhost,[::1]:9092/"), ""),
        (streams("kafka://localhost,other:9092/"), "kafka"),
        (streams("kafka://other:9092/", tls=True), ""),
        (streams("redis-stream://:hunter2@other/0/"), "redis streams"),
        (streams("rediss-stream://:hunter2@other/0/"), ""),
        (Servers(features="redis://:hunter2@10.0.0.7:6379/0"), "redis"),
        (Servers(features="redis+cluster://:hunter2@other:6379"), "redis"),
        (Servers(features="rediss://other"), ""),
        (Servers(features="rediss+cluster://other"), ""),
        (Servers(journal=f"{POSTGRES}other/db"), "postgres"),
        *(
            (Servers(journal=f"{POSTGRES}other/db?sslmode={mode}"), "postgres")
            for mode in ("disable", "allow", "prefer")
        ),
        *((Servers(journal=f"{POSTGRES}o/db?sslmode={mode}"), "") for mode in ("require", "verify-ca", "verify-full")),
        (Servers(journal=f"{POSTGRES}other/db?sslrootcert=system"), ""),
        (Servers(journal=f"{POSTGRES}127.0.0.1:5433,[fe80::1]:5432/db"), "postgres"),
        (Servers(journal=f"{POSTGRES}/db?host=/var/run/postgresql"), ""),
        (Servers(journal=f"{POSTGRES}%2Fvar%2Frun%2Fpostgresql/db"), ""),
        (Servers(journal="postgresql:///db"), ""),
        (Servers(events="kafka://no-topic", decisions="nonsense"), ""),
    ],
)
def test_what_leaves_this_machine_in_plain_text_is_found(servers: Servers, what: str) -> None:
    found = plain_connections(servers, environment={})
    assert [one.what for one in found] == ([what] if what else [])
    assert all(one.mend and not one.secret_sent for one in found) and "hunter2" not in repr(found)


def test_what_libpq_takes_from_the_environment_counts() -> None:
    servers = Servers(journal="postgresql:///db")
    assert plain_connections(servers, environment={"PGHOST": "other"})
    assert not plain_connections(servers, environment={"PGHOST": "other", "PGSSLMODE": "verify-full"})


@pytest.mark.parametrize(
    ("mechanism", "sent"), [("PLAIN", True), ("OAUTHBEARER", True), ("SCRAM-SHA-256", False), (None, False)]
)
def test_a_password_that_is_sent_as_it_is_counts_for_more(mechanism: str | None, sent: bool) -> None:
    own = {"sasl_mechanism": mechanism, "username": "me", "password": "hunter2"}
    (found,) = plain_connections(streams("kafka://other/", **own), environment={})
    assert found.secret_sent is sent and "hunter2" not in repr(found)
    assert not plain_connections(streams("kafka://other/", **own, tls=True), environment={})
    assert not plain_connections(streams("kafka://other/", **own), streams=False, environment={})

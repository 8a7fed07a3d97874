"""Streams on a Redis that speaks TLS."""

from pathlib import Path

import pytest
from tests.serve.certificates import Authority

from homeostat.adapters.redis.stream import RedisStream
from homeostat.adapters.streams.addresses import read_address, read_addresses
from homeostat.adapters.streams.opening import ensure_topics, open_stream
from homeostat.checks.servers import machine, redis_server
from homeostat.config.servers import Servers, read_servers
from homeostat.ports import Unavailable
from homeostat.ports.streams import Outgoing


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def secure(authority: Authority):
    """The host and port where only clients with a certificate are let in."""
    certificate, key = authority.issue("redis")
    port = machine.free_port()
    options = ["--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file"]
    with redis_server(options=[*map(str, options), str(authority.path)]):
        yield f"127.0.0.1:{port}"


def servers_at(address: str, query: str) -> Servers:
    scheme = "rediss-stream" if query else "redis-stream"
    return Servers(
        events=f"{scheme}://{address}/0/tls.events{query}", decisions=f"{scheme}://{address}/0/tls.decisions"
    )


def test_events_come_and_decisions_go_over_tls(secure: str, authority: Authority) -> None:
    certificate, key = authority.issue("worker", client=True)
    servers = servers_at(secure, f"?ssl_ca_certs={authority.path}&ssl_certfile={certificate}&ssl_keyfile={key}")
    assert ensure_topics(servers, "app") == ["tls.events"]
    stream = open_stream(servers, "app", client_id="a")
    assert isinstance(stream, RedisStream)
    stream._client.xadd("tls.events", {"value": b"one"})
    events, _ = stream.pull(10, 1.0)
    assert events.values == [b"one"] and stream.trouble == ""
    stream.publish([events], [Outgoing(b"two")], [])
    assert [fields[b"value"] for _, fields in stream._client.xrange("tls.decisions")] == [b"two"]
    stream.close()


def test_a_server_of_an_unknown_authority_is_not_trusted(secure: str, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        ensure_topics(servers_at(secure, f"?ssl_ca_certs={other.path}"), "app")


def test_in_plain_text_it_does_not_answer(secure: str) -> None:
    with pytest.raises(Unavailable):
        ensure_topics(servers_at(secure, ""), "app")


def test_the_address_says_its_files_and_nothing_else() -> None:
    address = read_address("events", "rediss-stream://me:hunter2@h/3/a%3Fb?ssl_ca_certs=/etc/ca.pem")
    assert (address.tls, address.name, address.database, address.servers) == (True, "a?b", 3, (("h", 6379),))
    assert address.tls_files == (("ssl_ca_certs", "/etc/ca.pem"),) and "hunter2" not in repr(address)
    with pytest.raises(ValueError, match="ssl_ca_certs") as raised:
        read_address("events", "rediss-stream://h/0/a?password=hunter2")
    assert "hunter2" not in str(raised.value)
    plain = read_address("events", "redis-stream://h/0/a?b")
    assert not plain.tls and plain.name == "a?b"
    environ = {
        "HOMEOSTAT_SERVERS__EVENTS": "rediss-stream://h/0/a",
        "HOMEOSTAT_SERVERS__DECISIONS": "redis-stream://h/0/b",
    }
    with pytest.raises(ValueError, match="should be on the servers"):
        read_addresses(read_servers(None, environ))

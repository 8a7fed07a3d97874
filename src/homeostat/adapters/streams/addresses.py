"""Addresses of streams: `kafka://host:port,host:port/topic` and `redis-stream://user:password@host:port/db/key`.

`rediss-stream://` is the latter over TLS; behind `?` it may name the files for that, as `rediss://` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from homeostat.config.servers import STREAM_SCHEMES, Servers

DEFAULT_PORTS = {"kafka": 9092, "redis-stream": 6379, "rediss-stream": 6379}
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")  # By the names that redis:// addresses have for them.


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stream is.

    servers : (host, port) of each server that leads there
    name : the topic, or the key
    database : Redis's number of it
    tls_files : the files for TLS that the address names, each with its name of `TLS_FILES`
    """

    scheme: str
    servers: tuple[tuple[str, int], ...]
    name: str
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_files: tuple[tuple[str, str], ...] = ()

    @property
    def tls(self) -> bool:
        """Whether the address asks for TLS; Kafka's does not say, since that is a setting of its own."""
        return self.scheme == "rediss-stream"

    @property
    def hosts(self) -> str:
        """As clients of Kafka take it: host:port,host:port."""
        return ",".join(f"{host}:{port}" for host, port in self.servers)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The streams of an app, all on the same servers; what is None is not used."""

    events: Address
    decisions: Address
    outcomes: Address | None = None
    dead_letters: Address | None = None


def read_address(name: str, text: str) -> Address:
    """An address in parts. Raises ValueError that names the setting, and never says the password.

    >>> read_address("events", "kafka://a:9092,b/payments.events").hosts
    'a:9092,b:9092'
    """
    scheme, there, rest = text.partition("://")
    if not there or scheme not in STREAM_SCHEMES:
        raise ValueError(f"servers.{name}: an address begins with {' or '.join(f'{one}://' for one in STREAM_SCHEMES)}")
    where, _, path = rest.partition("/")
    user, _, hosts = where.rpartition("@")
    servers = tuple(_server(name, scheme, part) for part in hosts.split(",") if part)
    if not servers:
        raise ValueError(f"servers.{name}: the address names no host")
    if scheme == "kafka":
        if user:
            raise ValueError(f"servers.{name}: name and password of Kafka belong in servers.kafka")
        if not path or "/" in path:
            raise ValueError(f"servers.{name}: the address should end with /topic")
        return Address(scheme, servers, path)
    files: tuple[tuple[str, str], ...] = ()
    if scheme == "rediss-stream":
        path, _, query = path.partition("?")
        files = tuple(parse_qsl(query, keep_blank_values=True))
        if any(file not in TLS_FILES for file, _ in files):
            raise ValueError(f"servers.{name}: behind `?` there may be {', '.join(TLS_FILES)}, and nothing else")
    database, _, key = path.partition("/")
    if not database.isdigit() or not key:
        raise ValueError(f"servers.{name}: the address should end with /db/key, such as /0/payments.events")
    username, _, password = user.partition(":")
    return Address(
        scheme, servers[:1], unquote(key), int(database), unquote(username) or None, unquote(password) or None, files
    )


def read_addresses(servers: Servers) -> Addresses:
    """The streams that an app's servers name. Raises ValueError where something is missing or doesn't fit."""
    if servers.events is None or servers.decisions is None:
        raise ValueError(
            "a worker needs to know where events come from and decisions go: servers.events, servers.decisions"
        )
    events, decisions = read_address("events", servers.events), read_address("decisions", servers.decisions)
    outcomes = None if servers.outcomes is None else read_address("outcomes", servers.outcomes)
    letters = None if servers.dead_letters is None else read_address("dead_letters", servers.dead_letters)
    for name, address in (("decisions", decisions), ("outcomes", outcomes), ("dead_letters", letters)):
        if address is not None and _place(address) != _place(events):
            raise ValueError(
                f"servers.{name} should be on the servers of servers.events: what is published with it is one act"
            )
    names = [address.name for address in (events, decisions, outcomes, letters) if address is not None]
    if len(set(names)) < len(names):
        raise ValueError("servers.events, outcomes, decisions and dead_letters should be different streams")
    return Addresses(events, decisions, outcomes, letters)


def _place(address: Address) -> tuple[object, ...]:
    return address.scheme, frozenset(address.servers), address.database, address.username, address.password


def _server(name: str, scheme: str, text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "", parts.port or DEFAULT_PORTS[scheme]
    except ValueError:
        raise ValueError(f"servers.{name}: a host is written as name:port") from None

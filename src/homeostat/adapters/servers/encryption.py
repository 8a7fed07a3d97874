"""Which connections to an app's servers leave this machine without being encrypted, as far as addresses tell.

No server is asked. One that encrypts although it need not counts as plain, too: whoever is in between could answer in
its place, and say that it can't.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from homeostat.adapters.streams.addresses import read_address
from homeostat.config.loopback import is_loopback
from homeostat.config.servers import Servers

ENCRYPTED = ("require", "verify-ca", "verify-full")  # Of libpq's sslmode; with the others a server may say no.
_TELLING = ("PLAIN", "OAUTHBEARER")  # Mechanisms of SASL by which the secret itself is sent.


@dataclass(frozen=True, slots=True)
class Plain:
    """A connection to other machines in plain text.

    what : kafka, redis streams, redis, postgres
    seen, mend : what is so, and how to encrypt it; no password
    secret_sent : whether whoever listens learns what lets them in as well
    """

    what: str
    seen: str
    mend: str
    secret_sent: bool = False


def plain_connections(
    servers: Servers, *, streams: bool = True, environment: Mapping[str, str] = os.environ
) -> list[Plain]:
    """In the order of the settings. Addresses that can't be read are left out.

    streams : whether the process reads and writes them; a server that answers requests does not
    environment : what libpq takes from it: PGHOST, PGSSLMODE

    >>> [(one.what, one.seen) for one in plain_connections(Servers(features="redis://cache.example:6379/0"))]
    [('redis', 'cache.example is another machine, and what is sent there is not encrypted')]
    >>> plain_connections(Servers(features="rediss://cache.example/0", journal="postgresql://127.0.0.1/db"))
    []
    """
    found = [*(_of_streams(servers) if streams else ())]
    if servers.features is not None and not urlsplit(servers.features).scheme.startswith("rediss"):
        others = _others([urlsplit(servers.features).hostname or ""])
        if others:
            mend = "Write rediss:// or rediss+cluster:// in servers.features."
            found.append(Plain("redis", _seen(others), mend))
    if servers.journal is not None:
        mode, hosts = _of_postgres(servers.journal, environment)
        others = _others(hosts)
        if others and mode not in ENCRYPTED:
            seen = f"{_seen(others, 'need not be encrypted')} (sslmode={mode})"
            mend = "Put ?sslmode=verify-full behind servers.journal, with sslrootcert=FILE or sslrootcert=system."
            found.append(Plain("postgres", seen, mend))
    return found


def _of_streams(servers: Servers) -> Iterator[Plain]:
    hosts: dict[str, list[str]] = {}
    for name in ("events", "outcomes", "decisions", "dead_letters"):
        address = getattr(servers, name)
        if address is None:
            continue
        try:
            read = read_address(name, address)
        except ValueError:
            continue
        if not read.tls:
            hosts.setdefault(read.scheme, []).extend(host for host, _ in read.servers)
    for scheme, named in hosts.items():
        others = _others(named)
        if not others:
            continue
        if scheme != "kafka":
            mend = "Write rediss-stream:// in servers.events and the other streams."
            yield Plain("redis streams", _seen(others), mend)
        elif not servers.kafka.tls:
            mend = "Set servers.kafka.tls, and servers.kafka.ca_file to the authority of the brokers' certificates."
            if servers.kafka.sasl_mechanism in _TELLING:
                seen = f"{_seen(others)}: with SASL {servers.kafka.sasl_mechanism} that is the password or token, too"
                yield Plain("kafka", seen, mend, secret_sent=True)
            else:
                yield Plain("kafka", _seen(others), mend)


def _of_postgres(url: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """libpq's sslmode and the hosts, as it would find them."""
    try:
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    except ValueError:
        return "prefer", []
    named = query.get("hostaddr") or query.get("host") or unquote(parts.netloc.rpartition("@")[2])
    hosts = [_without_port(host) for host in (named or environment.get("PGHOST", "")).split(",")]
    mode = query.get("sslmode") or ("require" if query.get("ssl") == "true" else "") or environment.get("PGSSLMODE")
    if not mode and query.get("sslrootcert") == "system":
        mode = "verify-full"
    return mode or "prefer", hosts


def _without_port(host: str) -> str:
    """A host as addresses write it.

    >>> _without_port("db:5432"), _without_port("[::1]:5432"), _without_port("fe80::1")
    ('db', '::1', 'fe80::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _others(hosts: Iterable[str]) -> list[str]:
    """Those that are other machines; a path is that of a socket on this one, and no name is this one's."""
    return [host for host in dict.fromkeys(hosts) if host and not host.startswith("/") and not is_loopback(host)]


def _seen(others: list[str], what: str = "is not encrypted") -> str:
    machines = "is another machine" if len(others) == 1 else "are other machines"
    return f"{', '.join(others)} {machines}, and what is sent there {what}"

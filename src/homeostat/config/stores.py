"""Addresses of stores of metrics, as `homeostat collect --from` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from homeostat.errors import HomeostatError

_PORTS = {"influxdb": 8086, "prometheus": 9090}
_ASKED = {"influxdb": {"tls", "org", "version"}, "prometheus": {"tls"}}


class BadStore(HomeostatError, ValueError):
    """An address of a store of metrics that can't be read; the text says which part."""

    why = "a store is named as influxdb://host:8086/database or prometheus://host:9090"
    remedy = "Correct the address"


@dataclass(frozen=True, slots=True)
class Store:
    """Where metrics are kept.

    kind : influxdb or prometheus; version : of InfluxDB, 1 to 3
    place : the database of InfluxDB 1.x and 3.x, the bucket of 2.x, a prefix of the paths of Prometheus
    org : the organisation that has the bucket
    """

    kind: str
    host: str
    port: int
    tls: bool
    place: str
    version: int = 1
    org: str = ""


def read_store(address: str) -> Store:
    """The store of an address. Raises BadStore.

    >>> read_store("influxdb://127.0.0.1/telegraf").port
    8086
    >>> read_store("influxdb://127.0.0.1/bucket?org=ops").version
    2
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise BadStore(f"the address can't be read ({error})") from None
    kind, asked = parts.scheme, {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if kind not in _PORTS or not parts.hostname:
        raise BadStore("the address does not begin with influxdb:// or prometheus:// and a host")
    if parts.username is not None or parts.password is not None:
        raise BadStore("keys belong in HOMEOSTAT_COLLECT__TOKEN, or __USERNAME and __PASSWORD, not into the address")
    if unknown := sorted(set(asked) - _ASKED[kind]):
        raise BadStore(
            f"the address asks for {', '.join(unknown)}, and {kind} has only {', '.join(sorted(_ASKED[kind]))}"
        )
    place, org = unquote(parts.path.strip("/")), asked.get("org", "")
    version = asked.get("version", "2" if org else "1")
    if kind == "influxdb" and not place:
        raise BadStore("the address names no database: write influxdb://host:8086/database")
    if version not in ("1", "2", "3") or asked.get("tls", "false") not in ("true", "false"):
        raise BadStore("`version` is 1, 2 or 3, and `tls` is true or false")
    if version == "2" and not org:
        raise BadStore("InfluxDB 2.x needs the organisation: write influxdb://host:8086/bucket?org=NAME")
    return Store(kind, parts.hostname, port or _PORTS[kind], asked.get("tls") == "true", place, int(version), org)

"""The hosts and services of the data centre: who runs where, who calls whom, and what each hour usually brings."""

from __future__ import annotations

from dataclasses import dataclass

METRICS = (
    "cpu", "memory", "disk", "disk_io", "network", "loss", "requests", "latency", "errors", "restarts", "clock",
)  # fmt: skip
"""cpu, memory, disk and disk_io in percent, network in MB/s, loss in percent of packets, requests a second, latency in
ms, errors in percent of requests, restarts in a step, clock as an offset in ms."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the data centre.

    calls : the services that each of its requests calls, with the share of their latency and errors that it feels
    latency_ms : of a request in a quiet hour, without the services that it calls
    requests : a second on each host in the busiest hour
    """

    name: str
    calls: tuple[tuple[str, float], ...]
    latency_ms: float
    requests: float
    peak_hour: float = 14.0


SERVICES = (
    Service("gateway", (("catalog", 0.6), ("checkout", 0.5)), 8.0, 400.0),
    Service("catalog", (("database", 0.7),), 15.0, 260.0, 13.0),
    Service("checkout", (("payment", 0.8), ("stock", 0.6)), 20.0, 90.0, 15.0),
    Service("payment", (), 60.0, 60.0, 15.0),
    Service("stock", (("database", 0.7),), 12.0, 120.0, 14.5),
    Service("database", (), 5.0, 700.0),
)
CALLS = tuple((service.name, callee) for service in SERVICES for callee, _ in service.calls)
"""Pairs (caller, callee)."""
BELOW_FIRST = ("payment", "database", "stock", "catalog", "checkout", "gateway")
"""The services in an order in which each comes after those that it calls."""


def host_names(hosts: int) -> tuple[str, ...]:
    """The names of so many hosts.

    >>> host_names(2)
    ('host-01', 'host-02')
    """
    return tuple(f"host-{number:02d}" for number in range(1, hosts + 1))


def service_of(host: int) -> int:
    """The place in SERVICES of the service that a host runs.

    >>> SERVICES[service_of(7)].name
    'catalog'
    """
    return host % len(SERVICES)

"""The cost of an incident, and of waiting: hours of each part of it, at its cost an hour."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from homeostat.records.incidents import Incident
from homeostat.records.responses import Response

_HOUR_NS = 3_600_000_000_000


def cost_rows(incident: Incident, response: Response | None, currency: str) -> list[list[str]]:
    """Rows of what and value: how many were affected, the whole cost, and that of each wait.

    >>> from homeostat.records.incidents import Severity
    >>> one = Incident("i", "shop", 1, 2 * _HOUR_NS, 0, 0, Severity.HIGH, (), cost=9.0, cost_per_hour=3.0)
    >>> cost_rows(one, None, "EUR")[-1]
    ['until it was noticed', '2 hours, 6 EUR']
    """
    rows = [
        ["decisions affected", f"{incident.decisions:,}, on {incident.entities:,} entities"],
        ["the incident so far", _money(incident.cost, currency)],
        ["an hour of it", _money(incident.cost_per_hour, currency)],
    ]
    for name, hours in _waits(incident, response):
        cost = incident.cost_per_hour * hours
        worth = f", {_money(cost, currency)}" if isfinite(cost) else ""
        rows.append([name, f"{hours:.3g} hours{worth}"])
    return rows


def _waits(incident: Incident, response: Response | None) -> Iterator[tuple[str, float]]:
    """Each wait with its hours, from the onset to the first act or the end."""
    yield "until it was noticed", _hours(incident.since_ns, incident.opened_ns)
    if response is None:
        return
    ruled_ns = 0 if response.ruling is None else response.ruling.at_ns
    if ruled_ns:
        yield "until a plan was ruled on", _hours(incident.opened_ns, ruled_ns)
    given = response.approval
    if ruled_ns and given is not None:
        yield "for the answer of a person", _hours(ruled_ns, given.at_ns)
    if response.receipts:
        yield "until something was done", _hours(incident.opened_ns, response.receipts[0].at_ns)
    elif incident.closed_ns:
        yield "until it was closed, while nothing was done", _hours(incident.opened_ns, incident.closed_ns)


def _hours(from_ns: int, until_ns: int) -> float:
    return max(0, until_ns - from_ns) / _HOUR_NS


def _money(value: float, currency: str) -> str:
    return f"{value:,.4g} {currency}".strip() if isfinite(value) else "unknown"

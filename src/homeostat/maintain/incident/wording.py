"""An incident in words: for a list, for a message, for the subject of a letter."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from homeostat.records.deliveries import News
from homeostat.records.incidents import Incident
from homeostat.records.signals import BROKEN, Signal
from homeostat.records.times import time_text

_SHOWN = 8


def headline(incident: Incident) -> str:
    """One line: severity, the first suspect with its probability, and how much there is.

    >>> from homeostat.records.incidents import Severity, Suspect
    >>> headline(Incident("a", "shop", 1, 0, 0, 0, Severity.HIGH, ("s",), (), (Suspect("field:x", "unit", 0.7),)))
    'high: unit at field:x is suspected (70 %), from 1 signal'
    """
    n = len(incident.signals)
    about = "no suspect"
    if incident.suspects:
        first = incident.suspects[0]
        about = f"{first.kind} at {first.node} is suspected ({100 * first.probability:.0f} %)"
    return f"{incident.severity}: {about}, from {n} signal{'s' if n != 1 else ''}"


def subject(incident: Incident, news: News) -> str:
    """The subject of a message, on one line."""
    words = {
        News.OPENED: "new incident", News.RAISED: "incident is worse", News.REOPENED: "incident is back",
        News.CLOSED: "incident closed", News.ASKS: "a plan waits for an answer",
        News.ANSWERED: "the answer moves on",
    }[news]  # fmt: skip
    return _plain(f"[{incident.app}] {words}: {headline(incident)}")


def story(incident: Incident, signals: Sequence[Signal], currency: str = "") -> str:
    """Some lines: since when, the harm, the suspects, and the signals, consequences last."""
    lines = [
        headline(incident),
        f"since {time_text(incident.since_ns)}, opened {time_text(incident.opened_ns)}, {incident.phase}"
        + (f": {incident.reason}" if incident.reason else ""),
        f"affected: {_impact(incident, currency)}",
    ]
    if incident.notes.get(BROKEN) is True:
        lines.append("assumption broken: outcomes contradict the estimates of quality, which are not to be trusted")
    lines += [f"suspect: {s.kind} at {s.node}, {100 * s.probability:.0f} %" for s in incident.suspects[:3]]
    inhibited = set(incident.inhibited)
    ordered = sorted(signals, key=lambda one: (one.id in inhibited, one.since_ns))
    lines += [_line(one, one.id in inhibited) for one in ordered[:_SHOWN]]
    if len(ordered) > _SHOWN:
        lines.append(f"and {len(ordered) - _SHOWN} more signals")
    return "\n".join(map(_plain, lines))


def _impact(incident: Incident, currency: str) -> str:
    most = "at most " if incident.notes.get("impact") == "at most" else ""
    text = f"{most}{incident.decisions:,} decisions on {incident.entities:,} entities"
    if isfinite(incident.cost):
        text += f", {incident.cost:,.0f} {currency} so far, {incident.cost_per_hour:,.2f} an hour".replace("  ", " ")
    return text


def _line(signal: Signal, inhibited: bool) -> str:
    series = signal.series
    text = (
        f"signal: {series.kind} at {series.node}, {series.name} {signal.before:.4g} -> {signal.value:.4g} "
        f"{series.unit} (difference {signal.low:.4g} to {signal.high:.4g}, n {signal.n:,})"
    )
    if isfinite(signal.decisions):
        text += f", moves {100 * signal.decisions:.1f} % of decisions"
    if isfinite(signal.cost_per_hour):
        text += f", costs {signal.cost_per_hour:,.2f} an hour more"
    return text + (", a consequence" if inhibited else "") + ("" if signal.still else ", over")


def _plain(text: str) -> str:
    """Text without control characters: names of categories and segments come from data."""
    return "".join(letter if letter.isprintable() else " " for letter in text)

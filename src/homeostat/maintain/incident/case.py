"""One incident with the signals that it is made of, while it is worked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from homeostat.records.incident_text import incident_dict, read_incident, read_signal, signal_dict
from homeostat.records.incidents import Incident, Phase, Severity
from homeostat.records.signals import Signal

SIGNALS_MAX = 256


@dataclass(slots=True)
class Case:
    """See the module.

    signals : by the key of their series, the last of each
    """

    incident: Incident
    signals: dict[str, Signal] = field(default_factory=dict)

    @classmethod
    def of(cls, app: str, signal: Signal) -> Case:
        """A new one, of its first signal."""
        id = sha256(f"incident|{app}|{signal.id}".encode()).hexdigest()[:16]
        made = Incident(
            id, app, 0, signal.at_ns, signal.at_ns, signal.since_ns, Severity.MEDIUM, (signal.id,),
        )  # fmt: skip
        return cls(made, {signal.series.key: signal})

    @property
    def open(self) -> bool:
        """Whether it is not closed."""
        return self.incident.phase != Phase.CLOSED

    @property
    def active(self) -> list[Signal]:
        """The signals that hold on, of those that make an incident."""
        return [one for one in self.signals.values() if one.still and one.series.alone]

    @property
    def quiet_since_ns(self) -> int | None:
        """When the last of its signals ended; None while one holds on."""
        if self.active:
            return None
        return max(one.at_ns for one in self.signals.values() if not (one.still and not one.series.alone))

    def add(self, signal: Signal) -> bool:
        """Take a signal in, or the news of one; whether the incident has to be looked at because of it.

        One that goes on, the end of one of several, and one of a kind and place that are there already are kept, and
        change nothing until the next look.
        """
        key, known = signal.series.key, self.incident.signals
        old = self.signals.get(key)
        if old is None and len(self.signals) >= SIGNALS_MAX:
            return False
        places = {(one.series.kind, one.series.node) for one in self.signals.values()}
        self.signals[key] = signal
        if signal.id in known and old is not None and old.id == signal.id:
            return old.still != signal.still and not self.active
        if signal.id not in known:
            self.incident = replace(self.incident, signals=(*known[: 4 * SIGNALS_MAX], signal.id))
        since = min(self.incident.since_ns, signal.since_ns)
        self.incident = replace(self.incident, since_ns=since)
        return (signal.series.kind, signal.series.node) not in places

    def dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "incident": incident_dict(self.incident),
            "signals": [signal_dict(one) for one in self.signals.values()],
        }

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Case:
        """The case of such a dict."""
        signals = [read_signal(one) for one in found["signals"]]
        return cls(read_incident(found["incident"]), {one.series.key: one for one in signals})

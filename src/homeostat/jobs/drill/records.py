"""The record of one run: what was there to be seen, and what was seen of it and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from homeostat.jobs.drill.deciding import Hour
from homeostat.jobs.drill.watching import Seen
from homeostat.records.incidents import Incident, Suspect
from homeostat.records.signals import Signal
from homeostat.sim.faults.fault import Truth
from homeostat.sim.faults.runs import Laid, Run
from homeostat.sim.faults.traffic import DAY_NS

RANKED_AFTER_NS = DAY_NS
"""The ranking is read a day after an incident was noticed, or when the run ends before that."""
_RANKED = 10
_MINUTE_NS = 60_000_000_000


@dataclass(slots=True)
class Watch:
    """Keeps the record of a run while it goes on.

    opened_ns : of each incident that was opened since day 0, when that was noticed
    events : events decided since the onset, until it was noticed
    """

    run: Run
    opened_ns: dict[str, int] = field(default_factory=dict)
    detected_ns: int | None = None
    events: int = 0
    current: dict[str, Incident] = field(default_factory=dict)
    ranked: tuple[Suspect, ...] = ()
    signals: list[dict[str, Any]] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)

    def take(self, hour: Hour, seen: Seen) -> None:
        """Take in an hour and what was noticed at its end."""
        run, onset = self.run, self.run.onset_ns
        news = [one for one in seen.incidents if self._is_news(one)]
        for one in seen.incidents:
            self.current[one.id] = one
        for one in news:
            if seen.at_ns > run.frame.start_ns:
                self.opened_ns.setdefault(one.id, seen.at_ns)
        self.signals += [_line(one, seen.at_ns) for one in seen.signals if seen.at_ns > run.frame.start_ns]
        if not onset or hour.end_ns <= onset:
            return
        if self.detected_ns is None:
            self.events += sum(map(len, hour.decisions))
            if news:
                self.detected_ns = seen.at_ns
        if self.detected_ns is not None and seen.at_ns <= self.detected_ns + RANKED_AFTER_NS:
            self.ranked = ranking(list(self.current.values()), self.detected_ns)

    def _is_news(self, incident: Incident) -> bool:
        """Whether people hear something new: an incident that is open, with a signal that no one knew."""
        told = set(incident.signals) - set(incident.inhibited)
        new = told - self._known
        self._known |= set(incident.signals)
        return bool(new) and incident.closed_ns == 0

    def copy(self, run: Run) -> Watch:
        """The same record, of a run that goes on from here."""
        return Watch(
            run, dict(self.opened_ns), self.detected_ns, self.events, dict(self.current), self.ranked,
            list(self.signals), set(self._known),
        )  # fmt: skip


def ranking(incidents: Sequence[Incident], since_ns: int) -> tuple[Suspect, ...]:
    """The suspects of all incidents that were alive since a moment, by falling probability; each node and kind once."""
    best: dict[tuple[str, str], float] = {}
    for one in incidents:
        if one.closed_ns == 0 or one.closed_ns >= since_ns:
            for suspect in one.suspects:
                place = suspect.node, suspect.kind
                best[place] = max(best.get(place, 0.0), suspect.probability)
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Suspect(node, kind, p) for (node, kind), p in ordered[:_RANKED])


def _line(signal: Signal, at_ns: int) -> dict[str, Any]:
    return {
        "at": when(at_ns), "series": signal.series.key, "still": signal.still, "value": _figure(signal.value),
        "before": _figure(signal.before), "since": when(signal.since_ns), "e_value": _figure(signal.e_value),
    }  # fmt: skip


def _figure(value: float) -> float | None:
    return None if not np.isfinite(value) else float(f"{value:.6g}")


def when(moment_ns: int) -> str:
    """A moment as ISO 8601.

    >>> when(1_767_571_200_000_000_000)
    '2026-01-05T00:00:00Z'
    """
    return f"{np.datetime64(moment_ns // 1_000_000_000, 's')}Z"


def line_of(watch: Watch, laid: Laid) -> dict[str, Any]:
    """The line of a run in runs.jsonl."""
    run, frame = watch.run, watch.run.frame
    harmless, onset = run.scenario.harmless, run.onset_ns
    before = [at for at in watch.opened_ns.values() if not onset or at <= onset]
    detected = None if harmless else watch.detected_ns
    delay = None if not onset or harmless else ((detected or frame.end_ns) - onset) // _MINUTE_NS
    still = sum(one.closed_ns == 0 for one in watch.current.values())
    return {
        "scenario": run.scenario.id, "seed": run.seed, "severity": run.severity if run.scenario.faults else 0,
        "decoy": run.decoy or None, "noise": bool(run.noise_ns), "truth": _truths(laid.truths),
        "onset": when(onset) if onset else None, "detected": None if detected is None else when(detected),
        "delay_minutes": delay, "delay_events": None if delay is None else watch.events,
        "alarms_before_onset": len(before), "false_alarms": len(watch.opened_ns) if harmless else len(before),
        "incidents": {"opened": len(watch.opened_ns), "open_at_end": still},
        "ranked": [
            {"node": one.node, "kind": str(one.kind), "probability": round(one.probability, 4)} for one in watch.ranked
        ],
    }  # fmt: skip


def _truths(truths: Sequence[Truth]) -> Any:
    found = [{"node": one.node, "kind": str(one.kind)} for one in truths]
    return None if not found else found[0] if len(found) == 1 else found


def named(ranked: Sequence[Suspect], truths: Sequence[Truth], now_ns: int, first: int = 3) -> bool:
    """Whether every true node of now is among the first of a ranking; each node counts once."""
    nodes = list(dict.fromkeys(one.node for one in ranked))[:first]
    return bool(truths) and all(any(truth.at(node, now_ns) for node in nodes) for truth in truths)

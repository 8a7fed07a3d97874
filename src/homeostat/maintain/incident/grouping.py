"""Signals -> few incidents. The stage of the maintenance loop that follows the alarm scale.

A signal joins the open incident whose signals it can belong to (`linking`), the nearest in onset. Of several signals
in one incident, those that others explain are inhibited. An incident closes by itself when all its signals have ended
for a while, and is opened again where one of them comes back within a week. It holds no clock: ticks say the time.

A signal that makes no incident by itself (`Series.alone`) is parked until one comes that it can belong to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any

import numpy as np

from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import Block, Tick
from homeostat.maintain.incident.case import Case
from homeostat.maintain.incident.change_log import ChangeLog
from homeostat.maintain.incident.impact import HOUR_NS, Span, Traffic
from homeostat.maintain.incident.linking import Links
from homeostat.maintain.incident.ranking import Evidence, Ranking
from homeostat.maintain.incident.severity import severity_of, worst
from homeostat.maintain.incident.signatures import class_of
from homeostat.records.arrays import Float, State
from homeostat.records.causes import CausalGraph
from homeostat.records.incident_text import read_signal, read_silence, signal_dict, silence_dict
from homeostat.records.incidents import Incident, Phase, Severity, Silence
from homeostat.records.signals import BROKEN, Kind, Signal

ENDED = "all of its signals have ended"
_DAY_NS = 24 * HOUR_NS
_CLOSED_MAX, _PARKED_MAX = 64, 512
_NEVER = 2**63 - 1
_OF_OUTCOMES = frozenset({"outcome", "segment"})
_DECISIVE = frozenset({"action", "policy", "guards", "outcome", "segment", "serving", "settings"})
"""Where signals show that decisions, or what came of them, differ."""


@dataclass(frozen=True, slots=True)
class GroupingSettings:
    """How long things are waited for, in event time.

    quiet_ns : an incident closes when all its signals ended so long ago
    reopen_ns : a signal that comes back within this time after the close opens the incident again
    slack_ns : how far a change point may be off
    refresh_ns : how often the figures of an open incident are made again, though no signal came
    """

    quiet_ns: int = _DAY_NS
    reopen_ns: int = 7 * _DAY_NS
    slack_ns: int = 26 * HOUR_NS
    refresh_ns: int = _DAY_NS


class IncidentGrouping:
    """See the module.

    costs : (n,) the expected cost of each decision of a tick, NaN where it is not known; None where none are declared
    """

    def __init__(
        self, app: str, graph: CausalGraph, costs: Callable[[Tick], Float] | None = None,
        settings: GroupingSettings = GroupingSettings(),
    ) -> None:  # fmt: skip
        self._app, self._graph, self._costs, self._settings = app, graph, costs, settings
        self._ranking = Ranking(graph)
        self._links = Links(graph, self._ranking, settings.slack_ns)
        self._traffic, self._log = Traffic(), ChangeLog()
        self._cases: list[Case] = []
        self._parked: dict[str, Signal] = {}
        self._silences: tuple[Silence, ...] = ()
        self._settled, self._due_ns = False, _NEVER  # Whether a tick without signals changes nothing, and until when.

    def group(self, tick: Tick, signals: Sequence[Signal]) -> list[Incident]:
        """The incidents that are new or have changed, the oldest first; each with the next revision."""
        return self.group_block(block_of([tick]), [signals])[0]

    def group_block(self, block: Block, signals: Sequence[Sequence[Signal]]) -> list[list[Incident]]:
        """The same for each tick of a block. A tick without signals, and with nothing due, is only counted."""
        cost = None if self._costs is None else self._costs(block.whole)
        found: list[list[Incident]] = []
        calm, counted = np.zeros(len(block), bool), 0
        for at, (end_ns, of_tick) in enumerate(zip(block.end_ns.tolist(), signals, strict=True)):
            calm[at] = not any(case.open for case in self._cases)
            if block.changes[at] or self._log.differs(block.whole.versions):
                self._log.add(block.ticks[at])
            if self._settled and not of_tick and end_ns < self._due_ns:
                found.append([])
                continue
            self._traffic.add(block, counted, at + 1, cost, calm)
            counted = at + 1
            if at:
                self._forget(int(block.end_ns[at - 1]))
            found.append(self._at_tick(end_ns, of_tick))
        self._traffic.add(block, counted, len(block), cost, calm)
        self._forget(int(block.end_ns[-1]))
        return found

    def _at_tick(self, end_ns: int, signals: Sequence[Signal]) -> list[Incident]:
        changed: dict[int, Case] = {}
        for signal in self._in_order(signals):
            case = self._place(signal)
            if case is not None:
                changed[id(case)] = case
        for case in self._unparked():
            changed[id(case)] = case
        for case in self._cases:
            if case.open and (id(case) in changed or self._due(case) <= end_ns):
                changed[id(case)] = case
                self._renew(case, end_ns)
        self._forget(end_ns)
        self._settled = not signals and not changed
        self._due_ns = min((self._due(case) for case in self._cases if case.open), default=_NEVER)
        return [case.incident for case in self._cases if id(case) in changed]

    def take(self, incidents: Sequence[Incident], silences: Sequence[Silence] | None) -> None:
        """Learn what others have done: their revisions of incidents, unless older, and the silences that hold now."""
        known = {case.incident.id: case for case in self._cases}
        self._settled = self._settled and not incidents
        for one in incidents:
            case = known.get(one.id)
            if case is not None and one.revision >= case.incident.revision:
                case.incident = one
        if silences is not None:
            self._silences = tuple(silences)

    def _in_order(self, signals: Sequence[Signal]) -> list[Signal]:
        """Sure onsets first, causes before effects: a tick that raises both makes one incident."""

        def place(one: Signal) -> tuple[bool, int, int, str]:
            vague = one.since_high_ns - one.since_low_ns > self._settings.slack_ns
            return vague, self._links.depth(one.series.node), one.since_ns, one.series.key

        return sorted(signals, key=place)

    def _place(self, signal: Signal) -> Case | None:
        """The case that a signal has changed; None where it says nothing new."""
        key = signal.series.key
        self._parked.pop(key, None)
        for case in self._cases:
            if case.open and key in case.signals:
                return case if case.add(signal) else None
        if not signal.still:
            return self._last_word(signal)
        closed = [case for case in reversed(self._cases) if not case.open and key in case.signals]
        if any(signal.id in case.incident.signals for case in closed):
            return None  # It was known when a person closed the incident.
        near = self._nearest(signal)
        if near is not None:
            return near if near.add(signal) else None
        if not signal.series.alone:
            if len(self._parked) < _PARKED_MAX:
                self._parked[key] = signal
            return None
        if closed:
            return self._again(closed[0], signal)
        self._cases.append(Case.of(self._app, signal))
        return self._cases[-1]

    def _unparked(self) -> list[Case]:
        """The incidents that parked signals have just joined."""
        found = []
        for key, signal in list(self._parked.items()):
            near = self._nearest(signal)
            if near is not None:
                del self._parked[key]
                if near.add(signal):
                    found.append(near)
        return found

    def _last_word(self, signal: Signal) -> Case | None:
        """Note in a closed incident that a signal has ended; its incident stays closed."""
        for case in reversed(self._cases):
            if signal.series.key in case.signals:
                case.add(signal)
                return None
        return None

    def _again(self, case: Case, signal: Signal) -> Case:
        """Open an incident again, one of whose signals has come back."""
        case.add(signal)
        incident = case.incident
        case.incident = replace(incident, phase=Phase.OPEN, reason="", closed_ns=0, reopened=incident.reopened + 1)
        return case

    def _nearest(self, signal: Signal) -> Case | None:
        """The open incident that a signal belongs to, by the nearest onset among its signals."""
        best: tuple[int, Case] | None = None
        for case in self._cases:
            if case.open:
                alive = [one for one in case.signals.values() if self._alive(one, signal)]
                gaps = [gap for one in alive if (gap := self._links.distance(signal, one)) is not None]
                if gaps and min(gaps) > self._settings.slack_ns and not _reaches_outcomes(case, signal):
                    continue
                if gaps and (best is None or min(gaps) < best[0]):
                    best = min(gaps), case
        return None if best is None else best[1]

    def _alive(self, one: Signal, signal: Signal) -> bool:
        """Whether a signal held on, or had just ended, when another began; outcomes are known so much later."""
        return one.still or signal.since_low_ns <= one.at_ns + self._settings.slack_ns + self._links.lag_ns(signal)

    def _due(self, case: Case) -> int:
        """The time at which an open incident is to be looked at though no signal came."""
        settings, quiet = self._settings, case.quiet_since_ns
        refreshed = case.incident.updated_ns + settings.refresh_ns
        return refreshed if quiet is None else min(refreshed, quiet + settings.quiet_ns)

    def _renew(self, case: Case, end_ns: int) -> None:
        """Make all that follows from the signals again; close the incident where they have been silent for long."""
        incident, signals = case.incident, list(case.signals.values())
        inhibited = self._links.consequences(signals)
        low, high = incident.since_ns - 14 * _DAY_NS, end_ns
        evidence = Evidence(signals, self._log.near(low, high), end_ns, self._settings.slack_ns)
        span = self._traffic.since(incident.since_ns)
        case.incident = replace(
            self._valued(incident, signals, span),
            revision=incident.revision + 1, updated_ns=end_ns,
            signals=incident.signals, inhibited=tuple(one.id for one in inhibited),
            suspects=tuple(self._ranking.suspects(evidence)),
            silenced_until_ns=self._silenced(incident, [one for one in signals if one not in inhibited], end_ns),
        )  # fmt: skip
        quiet = case.quiet_since_ns
        if quiet is not None and end_ns - quiet >= self._settings.quiet_ns:
            case.incident = replace(case.incident, phase=Phase.CLOSED, reason=ENDED, closed_ns=end_ns)

    def _valued(self, incident: Incident, signals: Sequence[Signal], span: Span) -> Incident:
        """The incident with its impact, as far as it is known."""
        shares = [one.decisions for one in signals if isfinite(one.decisions)]
        share = min(max(shares), 1.0) if shares else nan
        costs = [one.cost_per_hour for one in signals if isfinite(one.cost_per_hour)]
        decided = any(class_of(one.series.node) in _DECISIVE for one in signals)
        excess = max(span.per_hour - span.ordinary, 0.0) if decided else nan  # Else it may be another incident's.
        per_hour = max(costs) if costs else excess
        wrong = not costs and any(_wrong_decisions(one) for one in signals)
        severity = severity_of(per_hour, span.ordinary, nan if costs else share)  # A cost that was measured says all.
        severity = worst([severity, Severity.MEDIUM]) if wrong else severity
        known = isfinite(share) and not wrong
        met = 1 - (1 - share) ** (span.decisions / max(span.entities, 1)) if known else 1.0
        broken = {BROKEN: True} if any(one.still and one.notes.get(BROKEN) is True for one in signals) else {}
        notes = {name: value for name, value in incident.notes.items() if name != BROKEN}
        return replace(
            incident, severity=severity,
            decisions=round(span.decisions * (share if known else 1.0)), entities=round(span.entities * met),
            cost_per_hour=per_hour, cost=per_hour * span.hours,
            notes={**notes, "impact": "measured" if known else "at most", **broken},
        )  # fmt: skip

    def _silenced(self, incident: Incident, signals: Sequence[Signal], now_ns: int) -> int:
        """Until when all signals that count are silenced; a person's own word on the incident stands."""
        ends = [
            max((one.until_ns for one in self._silences if one.covers(s.series.node, s.series.kind, now_ns)), default=0)
            for s in signals
        ]
        return max(incident.silenced_until_ns, min(ends, default=0))

    def _forget(self, now_ns: int) -> None:
        """Let go of incidents that were closed long ago and are silent, and of the oldest beyond a number."""
        oldest = now_ns - self._settings.reopen_ns
        kept = [case for case in self._cases if case.open or case.incident.closed_ns > oldest or case.active]
        closed = [case for case in kept if not case.open]
        gone = {id(case) for case in closed[: max(0, len(closed) - _CLOSED_MAX)]}
        self._cases = [case for case in kept if id(case) not in gone]

    def state(self) -> State:
        """Open incidents, those closed lately, traffic and changes."""
        kept: dict[str, Any] = {
            "cases": [case.dict() for case in self._cases], "log": self._log.dict(),
            "silences": [silence_dict(one) for one in self._silences],
            "parked": [signal_dict(one) for one in self._parked.values()],
        }  # fmt: skip
        text = np.frombuffer(json.dumps(kept, allow_nan=False).encode(), np.uint8).copy()
        return {"text": text} | {f"traffic.{name}": value for name, value in self._traffic.state().items()}

    def restore(self, state: State) -> None:
        """Go on from what was remembered."""
        kept: Mapping[str, Any] = json.loads(state["text"].astype(np.uint8).tobytes())
        self._settled = False
        self._cases = [Case.read(one) for one in kept["cases"]]
        self._log.read(kept["log"])
        self._silences = tuple(read_silence(one) for one in kept["silences"])
        self._parked = {one.series.key: one for one in map(read_signal, kept["parked"])}
        mark = "traffic."
        self._traffic.restore({k.removeprefix(mark): v for k, v in state.items() if k.startswith(mark)})


def _wrong_decisions(signal: Signal) -> bool:
    """Whether decisions may be wrong though their mix is as before: outcomes differ, and nobody knows of how many.

    More positives of the same kind make no decision wrong.
    """
    known = isfinite(signal.decisions) or signal.series.kind == Kind.BASE_RATE
    return class_of(signal.series.node) in _OF_OUTCOMES and not known


def _reaches_outcomes(case: Case, signal: Signal) -> bool:
    """Whether a signal of outcomes can come of an incident days later: only where decisions or labels differed then."""
    if class_of(signal.series.node) not in _OF_OUTCOMES:
        return True
    through = _DECISIVE | {"labels", "scorer", "fusion", "version", "environment"}
    return any(class_of(one.series.node) in through for one in case.signals.values())

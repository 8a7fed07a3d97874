"""The incidents of a run as cases, with what an investigation asks: recent traffic, and the drill's rehearsal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from homeostat.jobs.drill.deciding import Deciding, Hour
from homeostat.jobs.drill.rehearsing import DrillRehearsal
from homeostat.jobs.drill.watching import Seen
from homeostat.jobs.recent import RecentColumns
from homeostat.maintain.contracts import Case
from homeostat.records.incidents import Incident
from homeostat.records.logged import LoggedChange
from homeostat.records.signals import Signal

BEFORE_NS = 7 * 86_400 * 10**9
"""Changes are looked at from so long before the earliest signal on."""


@dataclass(slots=True)
class DrillCases:
    """See the module. Hours come in by `take`, in order.

    incidents : by id, the last revision of each
    """

    deciding: Deciding
    recent: RecentColumns
    rehearsal: DrillRehearsal
    incidents: dict[str, Incident] = field(default_factory=dict)
    _signals: dict[str, Signal] = field(default_factory=dict)

    @classmethod
    def of(cls, deciding: Deciding) -> DrillCases:
        """Those of a run that begins."""
        recent = RecentColumns(deciding.drill.prepared)
        return cls(deciding, recent, DrillRehearsal(deciding, recent))

    def forked(self, deciding: Deciding) -> DrillCases:
        """Those of a run that goes on from here."""
        recent = self.recent.copy()
        return DrillCases(
            deciding, recent, self.rehearsal.forked(deciding, recent), dict(self.incidents), dict(self._signals)
        )  # fmt: skip

    def decided(self, hour: Hour, keep: bool = True) -> None:
        """Take in what was decided in an hour that has just passed. keep : whether the run stands at its end"""
        if hour.outcomes is not None:
            self.recent.take(hour.outcomes, hour.start_ns)
        for decisions, at in zip(hour.decisions, hour.recorded_ns, strict=True):
            self.recent.take(decisions, at)
        self.recent.refuse(hour.letters, hour.end_ns)
        if keep:
            self.rehearsal.keep()

    def seen(self, seen: Sequence[Seen]) -> None:
        """Take in what was noticed."""
        for one in seen:
            self.incidents |= {incident.id: incident for incident in one.incidents}
            self._signals |= {signal.id: signal for signal in one.signals}

    def case(self, incident: Incident, now_ns: int) -> Case:
        """An incident as a case."""
        last: dict[str, Signal] = {}
        for id in incident.signals:
            if id in self._signals:
                last[self._signals[id].series.key] = self._signals[id]
        first = min((one.since_low_ns for one in last.values()), default=incident.since_ns) - BEFORE_NS
        changes = [one for one in self.deciding.acting.settings.since(0) if one.at_ns >= first]
        logged = [
            LoggedChange(one.at_ns, one.kind, one.node, one.text, one.actor, one.until_ns)
            for one in self.deciding.log
            if first <= one.at_ns <= now_ns
        ]
        return Case(incident, tuple(last.values()), changes, logged, now_ns)

"""Looks for the causes of open incidents, some hours after each was opened, in a step of its own.

Findings are stored with the incident by compare and set, which moves it from open to investigated. So a process that is
killed in between does it again, and one that was slower than a person stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeostat.app.investigating import investigator_of
from homeostat.errors import HomeostatError
from homeostat.jobs.maintaining.source import Source
from homeostat.jobs.recent import RecentColumns
from homeostat.maintain.contracts import Case
from homeostat.ports.incidents import IncidentMoved
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change
from homeostat.records.findings import Findings
from homeostat.records.findings_text import findings_dict
from homeostat.records.incidents import Incident, Phase
from homeostat.records.logged import LoggedChange

ACTOR = "investigation"
SETTLE_NS = 2 * 3600 * 10**9
"""Signals of one trouble come one after the other, so an incident is looked into so long after it was opened."""
ENTRIES_MAX = 20_000
"""So many of the journal's last entries are read, at the most."""
_BEFORE_NS = 7 * 86_400 * 10**9
_AT_ONCE = 20


@dataclass(slots=True)
class Investigating:
    """See the module.

    say : gets a sentence for people
    """

    source: Source
    say: Callable[[str], None]
    _tried: dict[str, int] = field(default_factory=dict)

    def step(self, reached_ns: int) -> int:
        """Look into the incidents that are due at a moment of event time; returns how many. Raises Unavailable."""
        store = self.source.store
        due = [
            kept.incident
            for kept in store.list([Phase.OPEN], _AT_ONCE)
            if kept.incident.opened_ns + SETTLE_NS <= reached_ns
            and self._tried.get(kept.incident.id) != kept.incident.revision
        ]
        if not due:
            return 0
        recent, changes = self._read()
        for incident in due:
            self._tried[incident.id] = incident.revision
            self._look_into(incident, recent, changes, reached_ns)
        return len(due)

    def _look_into(self, incident: Incident, recent: RecentColumns, changes: list[Change], now_ns: int) -> None:
        prepared, store = self.source.prepared, self.source.store
        case = self._case(incident, changes, now_ns)
        try:
            found = investigator_of(prepared.app, prepared.features, None, recent, self.source.memory).investigate(case)
        except HomeostatError as error:
            self.say(f"incident {incident.id} could not be investigated: {error}")
            return
        try:
            store.write([], [incident.investigated(findings_dict(found), now_ns)], ACTOR)
        except IncidentMoved:
            return  # Somebody was faster. It is looked into again as it is now.
        self.say(f"incident {incident.id}: {_in_short(found)}")

    def _case(self, incident: Incident, changes: list[Change], now_ns: int) -> Case:
        signals = {one.series.key: one for one in self.source.store.signals_of(incident.signals)}
        since = incident.since_ns - _BEFORE_NS
        seasons = [
            LoggedChange(one.span_ns[0], "calendar", "source", "a season of the app file", "", one.span_ns[1])
            for one in self.source.prepared.app.maintain.calendar
            if one.span_ns[1] >= since
        ]
        return Case(incident, tuple(signals.values()), [c for c in changes if c.at_ns >= since], seasons, now_ns)

    def _read(self) -> tuple[RecentColumns, list[Change]]:
        """The journal's last decisions and outcomes, and the changes among them."""
        recent, changes = RecentColumns(self.source.prepared), list[Change]()
        journal, facts = self.source.journal, self.source.facts
        after = max(0, journal.last - ENTRIES_MAX)
        times = {} if facts is None else {one.sequence: (one.recorded_us or 0) * 1000 for one in facts(after)}
        for entry in journal.read(after):
            if isinstance(entry.body, ChangeBatch):
                changes += entry.body.changes
            else:
                recent.take(entry.body, times.get(entry.sequence, (entry.recorded_us or 0) * 1000))
        return recent, changes


def _in_short(found: Findings) -> str:
    """Findings on one line."""
    causes = " and ".join(f"{one.kind} at {one.node} ({one.probability:.0%})" for one in found.findings)
    return causes or f"investigated, {found.conclusion}"

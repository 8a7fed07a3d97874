"""Incidents as cases, with what an investigation asks the journal for: the last decisions, outcomes and refused events.

The journal is read only where somebody asks, and once for all that is asked in a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.jobs.maintaining.rehearsing import came_ns
from homeostat.jobs.maintaining.source import Source
from homeostat.jobs.recent import RecentColumns
from homeostat.maintain.contracts import Case
from homeostat.ports.recent import Recent
from homeostat.ports.settings import Settings
from homeostat.records.changes import Change
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter
from homeostat.records.incidents import Incident
from homeostat.records.logged import LoggedChange

ENTRIES_MAX = 20_000
"""So many of the journal's last entries are read, at the most."""
BEFORE_NS = 7 * 86_400 * 10**9
"""Changes are looked at from so long before an incident's first signal on."""
_LETTERS_MAX = 1000


class LastEntries:
    """The journal's last entries; a `RecentTraffic`. They are read once, until `forget`.

    Refused events are known from its making on: their file does not say when they came.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._columns: RecentColumns | None = None
        self._found: Recent | None = None
        self._letters_at = 0 if source.letters is None else source.letters.end()
        self._letters: list[tuple[Sequence[DeadLetter], int]] = []

    def until(self, now_ns: int) -> Recent:
        """See `RecentTraffic`."""
        if self._columns is None:
            self._columns = self._read()
        if self._found is None or self._found.now_ns != now_ns:
            self._found = self._columns.until(now_ns)
        return self._found

    def forget(self, now_ns: int) -> None:
        """Read the journal again when somebody asks next, and take in what was refused since the last time."""
        self._columns = self._found = None
        letters = self._source.letters
        if letters is not None:
            found, self._letters_at = letters.read(self._letters_at)
            if found:
                self._letters = [*self._letters, (found, now_ns)][-_LETTERS_MAX:]

    def _read(self) -> RecentColumns:
        columns, journal = RecentColumns(self._source.prepared), self._source.journal
        for entry, recorded_ns in self._source.entries(max(0, journal.last - ENTRIES_MAX)):
            body = entry.body
            some = isinstance(body, DecisionBatch) and len(body) > 0
            columns.take(body, came_ns(body, recorded_ns) if some and isinstance(body, DecisionBatch) else recorded_ns)
        for found, at_ns in self._letters:
            columns.refuse(found, at_ns)
        return columns


@dataclass(frozen=True, slots=True)
class Cases:
    """See the module.

    settings : the changes of the app
    recent : what an investigation asks for
    """

    source: Source
    settings: Settings
    recent: LastEntries

    def case(self, incident: Incident, now_ns: int) -> Case:
        """An incident as a case. Raises Unavailable."""
        signals = {one.series.key: one for one in self.source.store.signals_of(incident.signals)}
        since = min((one.since_low_ns for one in signals.values()), default=incident.since_ns) - BEFORE_NS
        changes: list[Change] = [one for one in self.settings.since(0) if one.at_ns >= since]
        seasons = [
            LoggedChange(one.span_ns[0], "calendar", "source", "a season of the app file", "", one.span_ns[1])
            for one in self.source.prepared.app.maintain.calendar
            if one.span_ns[1] >= since
        ]
        return Case(incident, tuple(signals.values()), changes, seasons, now_ns)

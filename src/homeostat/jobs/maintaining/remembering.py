"""Keeps investigated and closed incidents as past cases, in a step of its own, at most once an hour of event time.

Once a week it looks for repeats among the incidents that were only watched, and opens at most one incident for them.

A case follows from what is stored of its incident. So a process that is killed in between does it again, and nothing is
stored twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from homeostat.adapters.memory.notes import read_folder
from homeostat.errors import HomeostatError
from homeostat.jobs.maintaining.source import Source
from homeostat.maintain.incident.past import past_of
from homeostat.maintain.incident.repeats import WEEK_NS, opened_for, repeats
from homeostat.ports.memory import BadNote
from homeostat.records.responses import Response

ACTOR = "memory"
EACH_NS = 3600 * 10**9
NEWEST = 500
"""So many incidents are looked at in a step, the newest ones."""


@dataclass(slots=True)
class Remembering:
    """See the module.

    say : gets a sentence for people
    runbooks : a folder whose notes are taken in, None for none
    """

    source: Source
    say: Callable[[str], None]
    runbooks: Path | None = None
    _next_ns: int = 0
    _searched_ns: int = -WEEK_NS
    _known: dict[str, int] = field(default_factory=dict)
    _trouble: str = ""
    _said: frozenset[str] = frozenset()

    def step(self, reached_ns: int) -> int:
        """Keep the cases that are new or have changed, if it is time; returns how many. A memory that fails waits."""
        if self.source.memory is None or reached_ns < self._next_ns:
            return 0
        self._next_ns = reached_ns + EACH_NS
        try:
            found = self._kept()
            self._take_notes()
            self._search(reached_ns)
        except HomeostatError as error:
            if str(error) != self._trouble:
                self.say(f"incidents are not remembered as yet: {error}")
            self._trouble = str(error)
            return 0
        self._trouble = ""
        return found

    def _kept(self) -> int:
        store, memory, plans = self.source.store, self.source.memory, self.source.plans
        assert memory is not None, "it was asked for"
        answers: dict[str, Response] = {} if plans is None else {one.incident: one for one in plans.list((), NEWEST)}
        kept = 0
        for one in reversed(store.list((), NEWEST)):
            incident, answer = one.incident, answers.get(one.incident.id)
            revision = incident.revision + (0 if answer is None else answer.revision)
            if self._known.get(incident.id) == revision:
                continue
            case = past_of(incident, store.signals_of(incident.signals), answer)
            kept += case is not None and memory.keep(case)
            self._known[incident.id] = revision
        return kept

    def _take_notes(self) -> None:
        """Take in the notes of the declared folder. Each file that is left out is reported once."""
        memory = self.source.memory
        if self.runbooks is None or memory is None:
            return
        try:
            notes, refused = read_folder(self.runbooks)
        except BadNote as error:
            notes, refused = [], [str(error)]
        for note in notes:
            memory.add(note)
        for text in refused:
            if text not in self._said:
                self.say(f"runbooks: {text}")
        self._said = frozenset(refused)

    def _search(self, now_ns: int) -> None:
        """Once a week, look for repeats among incidents that were only watched; at most one incident is opened."""
        if now_ns < self._searched_ns + WEEK_NS:
            return
        self._searched_ns = now_ns
        store, memory = self.source.store, self.source.memory
        assert memory is not None, "it was asked for"
        there = {kept.incident.id: kept.incident for kept in store.list((), NEWEST)}
        opened = opened_for(there.values())
        if any(at > now_ns - WEEK_NS for at in opened.values()):
            return
        for one in repeats(memory.cases(NEWEST), now_ns, opened)[:1]:
            signals = [id for case in one.cases if case.id in there for id in there[case.id].signals]
            incident = one.incident(self.source.prepared.app.app, list(dict.fromkeys(signals)), now_ns)
            store.write([], [incident], ACTOR)
            self.say(
                f"incident {incident.id}: {len(one.cases)} incidents that were only watched have the {one.by} "
                f"{one.what} in common"
            )

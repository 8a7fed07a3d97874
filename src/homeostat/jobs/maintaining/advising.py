"""Asks language models about incidents that were investigated, and has the proposals of outside assistants tested.

Models are asked in a thread, since they may be slow. The result is stored as a note of the incident, by compare
and set: who changed the incident first wins, and the note is made again. The loop never waits for any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from homeostat.errors import HomeostatError
from homeostat.maintain.advise.adviser import Adviser, Spoken, Subject, Tests
from homeostat.maintain.contracts import Case
from homeostat.ports.incidents import IncidentMoved, Incidents
from homeostat.records.advice import ADVICE, PROPOSALS, Proposal, advice_in, note_of, proposals_in
from homeostat.records.findings import Findings
from homeostat.records.findings_text import read_findings
from homeostat.records.incidents import FINDINGS, Incident, Phase
from homeostat.records.responses import Response

ACTOR = "advice"
_AT_ONCE = 20
_OPEN = tuple(phase for phase in Phase if phase != Phase.CLOSED)


class Means(Protocol):
    """The needs of advising in the process that it runs in. Every method may raise Unavailable."""

    def case(self, incident: Incident, now_ns: int) -> Case:
        """An incident as a case."""
        ...

    def tests(self) -> Tests:
        """The maker of tests: the app's investigator on the journal's last entries."""
        ...

    def response(self, incident: str) -> Response | None:
        """The response to an incident; None where there is none."""
        ...

    def proposed(self, proposal: Proposal, case: Case, tests: Tests) -> Proposal:
        """A proposal after its tests, see `app.proposing.after_tests`."""
        ...


@dataclass(slots=True)
class Advising:
    """See the module. `step` again and again, then `close`; for one thread.

    adviser : None where the app declares no language models: then only proposals are tested
    say : gets a sentence for people
    """

    store: Incidents
    means: Means
    adviser: Adviser | None
    say: Callable[[str], None]
    _waiting: dict[str, tuple[Subject, Future[Spoken]]] = field(default_factory=dict)
    _pool: ThreadPoolExecutor | None = None

    def step(self, now_ns: int) -> int:
        """Take what was answered, test what was proposed, and ask what is to be asked; returns how many notes it made.

        now_ns : event time. Raises Unavailable.
        """
        made = self._collect()
        for kept in self.store.list(_OPEN, _AT_ONCE):
            made += self._proposals(kept.incident, now_ns)
            self._ask(kept.incident, now_ns)
        return made

    def close(self) -> None:
        """Let go of the thread; what it still waits for is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        self._waiting.clear()

    @property
    def waits(self) -> bool:
        """Whether models are being asked."""
        return bool(self._waiting)

    def _ask(self, incident: Incident, now_ns: int) -> None:
        if self.adviser is None or incident.id in self._waiting or not is_due(incident):
            return
        try:
            findings = read_findings(incident.notes[FINDINGS])
        except ValueError:
            return
        subject = self._subject(self.means.case(incident, now_ns), findings)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="advice")
        self._waiting[incident.id] = subject, self._pool.submit(self.adviser.ask, subject)

    def _subject(self, case: Case, findings: Findings) -> Subject:
        response = self.means.response(case.incident.id)
        if response is None or response.findings is None or response.findings.at_ns != findings.at_ns:
            return Subject(case, findings)
        return Subject(case, findings, response.plan, response.ruling)

    def _collect(self) -> int:
        made = 0
        for id, (subject, future) in list(self._waiting.items()):
            if not future.done():
                continue
            del self._waiting[id]
            try:
                assert self.adviser is not None
                advice = self.adviser.advice(subject, future.result(), self.means.tests())
            except HomeostatError as error:
                self.say(f"incident {id}: the ideas of a language model could not be tested: {error}")
                continue
            made += self._note(id, partial(_with_advice, note_of(advice)))
        return made

    def _proposals(self, incident: Incident, now_ns: int) -> int:
        waiting = [one for one in proposals_in(incident.notes) if one.state == "waits"]
        if not waiting:
            return 0
        case, tests = self.means.case(incident, now_ns), self.means.tests()
        done = {one.id: self._tested(one, case, tests) for one in waiting}
        for one in done.values():
            self.say(f"incident {incident.id}: {one.by} proposes {one.kind} at {one.node}: {one.result}")
        return self._note(incident.id, lambda notes: with_proposals(notes, list(done.values())))

    def _tested(self, one: Proposal, case: Case, tests: Tests) -> Proposal:
        try:
            return self.means.proposed(one, case, tests)
        except HomeostatError as error:
            return replace(one, state="not_shown", result=f"it could not be tested: {error}")

    def _note(self, id: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
        """Change the notes of an incident as it is now; 0 where somebody is faster, and it is done again later."""
        try:
            self.store.write([], [noted(self.store.get(id), change)], ACTOR)
        except (IncidentMoved, LookupError):
            return 0
        return 1


def _with_advice(note: Any, notes: dict[str, Any]) -> dict[str, Any]:
    return {**notes, ADVICE: note}


def is_due(incident: Incident) -> bool:
    """Whether an incident has findings that no model was asked about."""
    found, advice = incident.notes.get(FINDINGS), advice_in(incident.notes)
    if not found:
        return False
    return advice is None or advice.at_ns < int(found.get("at_ns", 0))


def noted(incident: Incident, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Incident:
    """The next revision of an incident, with other notes."""
    return replace(incident, revision=incident.revision + 1, notes=change(dict(incident.notes)))


def with_proposals(notes: dict[str, Any], changed: Sequence[Proposal]) -> dict[str, Any]:
    """Notes with proposals as they are now, in their places."""
    new = {one.id: one for one in changed}
    kept = [new.get(one.id, one) for one in proposals_in(notes)]
    return {**notes, PROPOSALS: note_of(kept)}

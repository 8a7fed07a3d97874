"""Asks language models about incidents that were investigated, and has the proposals of outside assistants tested.

Models are asked in a thread, since they may be slow. The result is stored as a note of the incident, by compare
and set: who changed the incident first wins, and the note is made again. The loop never waits for any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Thread
from typing import Any, Protocol

from homeostat.app.gating import gate_of
from homeostat.app.investigating import investigator_of
from homeostat.app.proposing import after_tests
from homeostat.engine.gate_record import GateRecord
from homeostat.engine.readings import Value
from homeostat.errors import HomeostatError, Unavailable
from homeostat.jobs.maintaining.cases import Cases, LastEntries
from homeostat.jobs.maintaining.responding import Means
from homeostat.jobs.maintaining.source import Source
from homeostat.maintain.advise.adviser import Adviser, Spoken, Subject, Tests
from homeostat.maintain.contracts import Case
from homeostat.ports.incidents import IncidentMoved, Incidents
from homeostat.ports.language import Refusal
from homeostat.ports.plans import NoResponse
from homeostat.records.advice import ADVICE, PROPOSALS, Advice, Asked, Proposal, advice_in, note_of, proposals_in
from homeostat.records.findings import Findings
from homeostat.records.findings_text import read_findings
from homeostat.records.incidents import FINDINGS, Incident, Phase
from homeostat.records.responses import Response
from homeostat.records.statements import INCIDENT, NAME_CHARS_MAX, Statement, StatementKind

ACTOR = "advice"
_AT_ONCE = 20
_OPEN = tuple(phase for phase in Phase if phase != Phase.CLOSED)


class Parts(Protocol):
    """The needs of advising in the process that it runs in. Every method may raise Unavailable."""

    def case(self, incident: Incident, now_ns: int) -> Case:
        """An incident as a case."""
        ...

    def tests(self, now_ns: int) -> Tests:
        """The maker of tests: the app's investigator on the journal's last entries."""
        ...

    def response(self, incident: str) -> Response | None:
        """The response to an incident; None where there is none."""
        ...

    def proposed(self, proposal: Proposal, case: Case, tests: Tests) -> Proposal:
        """A proposal after its tests, see `app.proposing.after_tests`."""
        ...

    def record(self, incident: str, advice: Advice) -> None:
        """Put the calls of an advice on record, in the chain of statements."""
        ...


class LiveParts:
    """The `Parts` of an app with a journal."""

    def __init__(self, source: Source, means: Means) -> None:
        self._source, self._means = source, means
        self._recent = LastEntries(source)
        self._cases = Cases(source, means.settings, self._recent)

    def case(self, incident: Incident, now_ns: int) -> Case:
        """See `Parts`."""
        return self._cases.case(incident, now_ns)

    def tests(self, now_ns: int) -> Tests:
        """See `Parts`."""
        self._recent.forget(now_ns)
        prepared = self._source.prepared
        return investigator_of(prepared.app, prepared.features, self._means.rehearsal, self._recent)

    def response(self, incident: str) -> Response | None:
        """See `Parts`."""
        try:
            return self._means.plans.get(incident)
        except NoResponse:
            return None

    def proposed(self, proposal: Proposal, case: Case, tests: Tests) -> Proposal:
        """See `Parts`."""
        app, means = self._source.prepared.app, self._means
        record = GateRecord(means.record)
        gate = gate_of(app.maintain.gate, record.raised(), record.stopped)
        return after_tests(app, proposal, case, tests, gate, means.rehearsal, means.settings.last)

    def record(self, incident: str, advice: Advice) -> None:
        """See `Parts`."""
        for at, one in enumerate(advice.asked):
            self._means.record.append(on_record(incident, f"advice-{incident}-{advice.at_ns}-{at}", one))


@dataclass(slots=True)
class Counts:
    """The calls of this process's models by outcome, and all that they took."""

    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("answered", *map(str, Refusal)), 0))
    tokens: int = 0
    cost: float = 0.0

    def take(self, asked: Asked) -> None:
        """Count a call."""
        self.calls = {**self.calls, asked.outcome: self.calls.get(asked.outcome, 0) + 1}
        self.tokens, self.cost = self.tokens + asked.tokens_in + asked.tokens_out, self.cost + asked.cost

    def readings(self) -> dict[str, Value]:
        """The figures by name of a declared metric."""
        return {
            "homeostat_language_calls_total": {name: float(count) for name, count in self.calls.items()},
            "homeostat_language_tokens_total": self.tokens, "homeostat_language_cost_total": self.cost,
        }  # fmt: skip


@dataclass(slots=True)
class Advising:
    """See the module. `step` again and again, then `close`; for one thread.

    adviser : None where the app declares no language models: then only proposals are tested
    say : gets a sentence for people
    """

    store: Incidents
    parts: Parts
    adviser: Adviser | None
    say: Callable[[str], None]
    _waiting: tuple[Subject, Future[Spoken]] | None = None
    _broken: dict[str, int] = field(default_factory=dict)

    def step(self, now_ns: int) -> int:
        """Take what was answered, test what was proposed, and ask what is to be asked; returns how many notes it made.

        now_ns : event time. Raises Unavailable.
        """
        made = self._collect(now_ns)
        for kept in self.store.list(_OPEN, _AT_ONCE):
            incident = kept.incident
            if self._broken.get(incident.id) == incident.revision:
                continue
            try:
                made += self._proposals(incident, now_ns)
                self._ask(incident, now_ns)
            except Unavailable:
                raise
            except Exception as error:  # Hypotheses may be anybody's; the others go on.
                self._broken[incident.id] = incident.revision
                self.say(f"incident {incident.id} gets no advice: {type(error).__name__}: {error}")
        return made

    def finish(self, now_ns: int) -> None:
        """Step until nothing is being asked. Raises Unavailable."""
        self.step(now_ns)
        while self._waiting is not None:
            wait([self._waiting[1]])
            self.step(now_ns)

    def _ask(self, incident: Incident, now_ns: int) -> None:
        """Ask about one incident at a time, in a thread that no end of the process waits for."""
        adviser = self.adviser
        if adviser is None or self._waiting is not None or not is_due(incident):
            return
        subject = self._subject(self.parts.case(incident, now_ns), read_findings(incident.notes[FINDINGS]))
        future: Future[Spoken] = Future()

        def ask() -> None:
            try:
                future.set_result(adviser.ask(subject))
            except BaseException as error:  # It would end the loop, were it handed on as it is.
                future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

        self._waiting = subject, future
        Thread(target=ask, name="advice", daemon=True).start()

    def _subject(self, case: Case, findings: Findings) -> Subject:
        response = self.parts.response(case.incident.id)
        if response is None or response.findings is None or response.findings.at_ns != findings.at_ns:
            return Subject(case, findings)
        return Subject(case, findings, response.plan, response.ruling)

    def _collect(self, now_ns: int) -> int:
        if self._waiting is None or not self._waiting[1].done():
            return 0
        (subject, future), self._waiting = self._waiting, None
        id = subject.case.incident.id
        assert self.adviser is not None, "somebody was asked"
        try:
            advice = self.adviser.advice(subject, future.result(), self.parts.tests(now_ns))
        except Exception as error:  # As above.
            self._broken[id] = subject.case.incident.revision
            self.say(f"incident {id}: the advice of a language model is of no use: {type(error).__name__}: {error}")
            return 0
        # It is about these findings, whenever it was asked for.
        about = replace(advice, at_ns=max(advice.at_ns, subject.findings.at_ns))
        try:
            self.parts.record(id, about)
        except (HomeostatError, ValueError) as error:  # The incident has the hashes, too.
            self.say(f"incident {id}: the calls of language models are not on record: {error}")
        return self._note(id, partial(_with_advice, note_of(about)))

    def _proposals(self, incident: Incident, now_ns: int) -> int:
        waiting = [one for one in proposals_in(incident.notes) if one.state == "waits"]
        if not waiting:
            return 0
        case, tests = self.parts.case(incident, now_ns), self.parts.tests(now_ns)
        done = [self._tested(one, case, tests) for one in waiting]
        for one in done:
            self.say(f"incident {incident.id}: {one.by} proposes {one.kind} at {one.node}: {one.result}")
        return self._note(incident.id, lambda notes: with_proposals(notes, done))

    def _tested(self, one: Proposal, case: Case, tests: Tests) -> Proposal:
        try:
            return self.parts.proposed(one, case, tests)
        except Unavailable:
            raise
        except Exception as error:  # As above: it is tested once.
            return replace(one, state="not_shown", result=f"it could not be tested: {type(error).__name__}: {error}")

    def _note(self, id: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
        """Change the notes of an incident as it is now; 0 where somebody is faster, and it is done again later."""
        try:
            self.store.write([], [noted(self.store.get(id), change)], ACTOR)
        except (IncidentMoved, LookupError):
            return 0
        return 1


def on_record(incident: str, key: str, asked: Asked) -> Statement:
    """A call of a language model as a statement: how it ended, and the hashes of what was sent and what came."""
    return Statement(
        StatementKind.ADVICE, INCIDENT, incident, asked.outcome, f"{asked.asked}:{asked.answered}", asked.role,
        "".join(c for c in f"model {asked.model}" if c.isprintable())[:NAME_CHARS_MAX],
        f"asked for advice: {asked.tokens_in:,} tokens in, {asked.tokens_out:,} out, cost {asked.cost:.6g}", key=key,
    )  # fmt: skip


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

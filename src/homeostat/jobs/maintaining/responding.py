"""Answers the incidents of a live app, one phase after the other: investigate, plan, rule, act, verify, undo.

Every phase is stored by compare and set before the next one, and every act has a key of its own. So a process that is
killed goes on where it stopped, and of two at once one acts. An act needs the gate's ruling or a person's approval of
the very plan that is stored, and both have to be on the chained record: see `permits`.

Where the record is of another time than the clock's, nothing decides under the settings now. Then plans are made and
ruled on, and none is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from homeostat.app.gating import limits_of
from homeostat.app.investigating import investigator_of
from homeostat.app.responding import coordinator_of
from homeostat.engine.gate_record import GateRecord
from homeostat.errors import HomeostatError, Unavailable
from homeostat.jobs.maintaining.cases import Cases, LastEntries
from homeostat.jobs.maintaining.courses import course_of
from homeostat.jobs.maintaining.permits import Permits
from homeostat.jobs.maintaining.source import Source
from homeostat.maintain.act.executor import NotAllowed, Work
from homeostat.maintain.beside import BY, elsewhere_of, history_of, unanswered
from homeostat.maintain.coordinator import Coordinator, Pace
from homeostat.maintain.gate.limits import Limits
from homeostat.maintain.gate.ruling import LimitsGate
from homeostat.ports import Clock
from homeostat.ports.incidents import IncidentMoved, UnknownIncident
from homeostat.ports.plans import NoResponse, Plans, ResponseMoved
from homeostat.ports.rehearsal import Rehearsal
from homeostat.ports.settings import Settings
from homeostat.ports.statements import Statements
from homeostat.records.findings_text import findings_dict
from homeostat.records.incidents import Incident, Phase
from homeostat.records.library import KeptVersion
from homeostat.records.plans import Plan, Spoke, Tier
from homeostat.records.responses import Response

ACTOR = "investigation"
LIVE_NS = 86_400 * 10**9
"""A record whose newest tick is further from the clock than that is a recording."""
_PHASES_MAX = 12  # Of one incident, in one step.
_INCIDENTS_MAX = 100
_RESPONSES_MAX = 10_000
_LOOK_NS = 600 * 10**9  # A step's effect is looked at so often.
_RENEWED_NS = 20 * 10**9
_AGAIN_NS = 60 * 10**9  # After a failure of a store.
_BROKEN_NS = 3600 * 10**9  # After a failure of a part, for that incident.
_UNDER_WAY = [phase for phase in Phase if phase != Phase.CLOSED]
_ACTS = frozenset({Phase.RULED, Phase.ACTING, Phase.VERIFYING})
_LED = _ACTS | {Phase.PLANNED}
"""One process at a time rules, acts and verifies."""
LEAD = "coordinate"
"""The name of its lease; any other lease has the name of an incident."""
HELD_S = 120.0
"""A lease is had for so long, and renewed in a rehearsal: a process that was killed is replaced as soon."""


class LeaseLost(Exception):
    """Another process has taken maintenance over, so this one goes no further."""


@dataclass(frozen=True, slots=True)
class Means:
    """All that answers need beside the journal.

    plans, settings : of the app
    record : the statements: what people allow, what loop 2 did, and the calls of language models
    work : starts jobs; None where none can be
    versions : those that are kept, see `coordinator_of`
    """

    plans: Plans
    settings: Settings
    rehearsal: Rehearsal
    record: Statements
    work: Work | None = None
    versions: Callable[[], Sequence[KeptVersion]] = tuple


class Responding:
    """See the module. `step` now and then; for one thread.

    say : gets a sentence for people
    keep : has the lease for as long as an answer may take; raises LeaseLost
    owner : the process's name in the store. It then has a lease on each incident that it works on, and rules and acts
        only while it has that of the coordinator. Empty where no other process answers the same incidents.
    phases : those that it ends; the others are left to other processes
    """

    def __init__(
        self, source: Source, means: Means, clock: Clock, say: Callable[[str], None],
        keep: Callable[[], None] = lambda: None, *, owner: str = "", phases: Collection[Phase] = tuple(_UNDER_WAY),
    ) -> None:  # fmt: skip
        self._owner, self._phases = owner, frozenset(phases)
        self._fence: int | None = None  # Of the coordinator's lease; None while this process lacks it.
        self._renew_ns = 0  # When it is due to be renewed, by the monotonic clock.
        self._holds = ""  # The incident whose lease it has.
        self._source, self._means, self._clock, self._say, self._keep = source, means, clock, say, keep
        self._pace = Pace(answer_ns=source.prepared.app.maintain.gate.answer)
        self._permits = Permits(GateRecord(means.record), means.settings, means.plans)
        self._recent = LastEntries(source)
        self._cases = Cases(source, means.settings, self._recent)
        self._looked: dict[str, int] = {}
        self._broken: dict[str, int] = {}  # Until when an incident waits, by the monotonic clock.
        self._advancing: Response | None = None
        self._for_people = False  # Whether a person may let the last step be done that was not allowed.
        self._forbidden = ""  # Why the last step that was to be done may not be.
        self._quiet_until_ns = 0
        self._said_recording = False
        self.trouble = ""

    def step(self, reached_ns: int) -> int:
        """Do all that is due; returns how many phases were stored.

        reached_ns : the end of the last tick, in event time
        Where a store is away, that is tried again a minute later. A part that fails holds up its incident alone.
        Raises LeaseLost, where a rehearsal notices that.
        """
        if self._clock.monotonic_ns() < self._quiet_until_ns:
            return 0
        try:
            found = self._step(reached_ns)
        except HomeostatError as error:
            self._quiet_until_ns = self._clock.monotonic_ns() + _AGAIN_NS
            if str(error) != self.trouble:
                self._say(f"incidents wait for an answer: {error}")
            self.trouble = str(error)
            return 0
        self.trouble = ""
        return found

    def _step(self, reached_ns: int) -> int:
        clock_ns = self._clock.now_ns()
        live = abs(clock_ns - reached_ns) < LIVE_NS
        now_ns = max(clock_ns, reached_ns) if live else reached_ns
        self._recent.forget(now_ns)
        self._lead()
        coordinator: Coordinator | None = None
        stored = 0
        for incident, response in self._under_way(now_ns):
            if not self._due(response, now_ns, live):
                continue
            self._keep()
            if not self._held(response):
                continue
            coordinator = coordinator or self._coordinator()
            try:
                last = self._stored(incident.id) or response  # Another process may have brought it on meanwhile.
                if last.revision == response.revision:
                    stored += self._advance(coordinator, incident, response, now_ns, live)
            except (Unavailable, LeaseLost):
                raise
            except Exception as error:  # Hypotheses and scorers may be anybody's; the others go on.
                self._broken[incident.id] = self._clock.monotonic_ns() + _BROKEN_NS
                self._say(f"incident {incident.id} waits: {type(error).__name__}: {error}")
            finally:
                self._let_go()
        return stored

    def renew(self) -> None:
        """Have its leases for longer. Raises LeaseLost where another process has one, Unavailable."""
        if not self._owner:
            return
        plans = self._means.plans
        if self._holds and plans.hold(self._holds, self._owner, HELD_S) is None:
            raise LeaseLost
        if self._fence is not None and plans.hold(LEAD, self._owner, HELD_S) != self._fence:
            raise LeaseLost

    def close(self) -> None:
        """Give the coordinator's lease back. Raises Unavailable."""
        if self._fence is not None:
            self._fence = None
            self._means.plans.leave(LEAD, self._owner)

    def _lead(self) -> None:
        """Have the coordinator's lease, if this process may coordinate and nobody else does."""
        now_ns = self._clock.monotonic_ns()
        if not self._owner or not self._phases & _LED or now_ns < self._renew_ns:
            return
        self._fence = self._means.plans.hold(LEAD, self._owner, HELD_S)
        self._renew_ns = now_ns + (_RENEWED_NS if self._fence is not None else 0)

    def _held(self, response: Response) -> bool:
        """Whether this process may work on an incident: it coordinates, or has the incident's lease."""
        if not self._owner or response.phase in _LED:
            return True
        if self._means.plans.hold(response.incident, self._owner, HELD_S) is None:
            return False
        self._holds = response.incident
        return True

    def _let_go(self) -> None:
        """Give back the lease of the incident that it worked on."""
        held, self._holds = self._holds, ""
        if held:
            self._means.plans.leave(held, self._owner)

    def _is_ours(self, phase: Phase) -> bool:
        """Whether this process ends a phase; who verifies also sees a closed one come back."""
        phase = Phase.VERIFYING if phase == Phase.CLOSED else phase
        return phase in self._phases and (phase not in _LED or not self._owner or self._fence is not None)

    def _under_way(self, now_ns: int) -> list[tuple[Incident, Response]]:
        """Incidents that are open or answered, with their responses; the oldest first.

        Of closed responses, those whose symptom may come back.
        """
        store, plans, pace = self._source.store, self._means.plans, self._pace
        responses = {one.incident: one for one in plans.list(_UNDER_WAY, _RESPONSES_MAX)}
        incidents = {kept.incident.id: kept.incident for kept in store.list(_UNDER_WAY, _INCIDENTS_MAX)}
        for id in responses.keys() - incidents.keys():
            try:
                incidents[id] = store.get(id)
            except UnknownIncident:
                continue  # It is not kept any more.
        found = []
        for id, incident in incidents.items():
            response = responses.get(id) or self._stored(id) or Response(id, since_ns=incident.opened_ns)
            if response.phase != Phase.CLOSED or pace.watches(response, incident, now_ns):
                found.append((incident, response))
        return sorted(found, key=lambda one: one[0].opened_ns)

    def _stored(self, id: str) -> Response | None:
        try:
            return self._means.plans.get(id)
        except NoResponse:
            return None

    def _due(self, response: Response, now_ns: int, live: bool) -> bool:
        if not self._is_ours(response.phase):
            return False
        if response.phase in _ACTS and not live:
            if not self._said_recording:
                self._say("the record is of another time than now, so plans are made and none is carried out")
            self._said_recording = True
            return False
        if now_ns < response.next_ns or self._clock.monotonic_ns() < self._broken.get(response.incident, 0):
            return False
        if response.phase in (Phase.VERIFYING, Phase.CLOSED):  # Decisions, or signals, are read for it.
            looked = self._looked.get(response.incident)
            if looked is not None and 0 <= now_ns - looked < _LOOK_NS:
                return False
            self._looked[response.incident] = now_ns
        return True

    def _advance(
        self, coordinator: Coordinator, incident: Incident, response: Response, now_ns: int, live: bool
    ) -> int:
        """Bring one incident on as far as it goes now; returns how many phases were stored."""
        plans = self._means.plans
        apart = [one for one in plans.list((), _RESPONSES_MAX) if one.incident != incident.id]
        known = {kept.incident.id: kept.incident for kept in self._source.store.list((), _INCIDENTS_MAX)}
        others_open = unanswered(apart, known, incident.id)
        beside = [signal for one in others_open for signal in self._cases.case(one, now_ns).signals]
        case = replace(self._cases.case(incident, now_ns), elsewhere=elsewhere_of(apart, known, now_ns), beside=beside)
        others = history_of(apart)
        for count in range(_PHASES_MAX):
            if (response.phase in _ACTS and not live) or not self._is_ours(response.phase):
                return count
            self._advancing, self._forbidden = response, ""
            try:
                further = self._permits.begun_again(response, now_ns)
                further = further or coordinator.advance(response, case, others + history_of([response]))
            except NotAllowed as error:
                self._say(f"incident {incident.id}: {error}: {self._forbidden}")
                further = self._handed_over(response, now_ns)
                if further is None:
                    self._broken[incident.id] = self._clock.monotonic_ns() + _AGAIN_NS
                    return count
            finally:
                self._advancing = None
            if further is None:
                return count
            try:
                self._permits.record.keep(response, further)
                plans.write(further)
            except ResponseMoved:
                return count  # Somebody was faster. It is looked at again as it is now.
            self._tell(incident, response, further)
            response = plans.get(incident.id)  # As any process reads it: a plan is named by what is stored of it.
            if response.revision != further.revision:
                return count + 1
        return _PHASES_MAX

    def _handed_over(self, response: Response, now_ns: int) -> Response | None:
        """A plan that the gate would execute and the record forbids, for a person; None where another reason holds."""
        ruling = response.ruling
        if not self._for_people or ruling is None or ruling.tier != Tier.EXECUTE:
            return None
        why = self._forbidden
        rules = (*ruling.rules, Spoke("record", Tier.ESCALATE, 0.0, 0.0, why))
        ruling = replace(ruling, tier=Tier.ESCALATE, rules=rules, at_ns=now_ns)
        text = f"a person is asked: {why}"
        return response.to(Phase.RULED, now_ns, text, ruling=ruling, handed=True, approval=None)

    def _tell(self, incident: Incident, before: Response, after: Response) -> None:
        """Say what happened, and let the incident have its findings."""
        for line in after.lines[len(before.lines) :]:
            self._say(f"incident {incident.id}: {line.text}")
        if after.phase == Phase.INVESTIGATED and after.findings is not None:
            store = self._source.store
            try:
                last = store.get(incident.id)
                if last.phase != Phase.CLOSED:
                    store.write([], [last.investigated(findings_dict(after.findings), after.since_ns)], ACTOR)
            except (IncidentMoved, UnknownIncident):
                return  # A person was faster; the findings are in the response.

    def _coordinator(self) -> Coordinator:
        """The coordinator by the limits of now: owners raise levels at any time."""
        prepared, means = self._source.prepared, self._means
        app, limits = prepared.app, self._limits()
        investigator = investigator_of(app, prepared.features, means.rehearsal, self._recent, self._source.memory)
        return coordinator_of(
            app, investigator, means.rehearsal, LimitsGate(limits), means.settings,
            lambda case, plan, receipt: course_of(case, receipt, self._recent, means.settings), self._allowed,
            means.work, self._pace, means.versions,
        )  # fmt: skip

    def _limits(self) -> Limits:
        """The limits of now, by the app file and the record."""
        record = self._permits.record
        return limits_of(self._source.prepared.app.maintain.gate, record.raised(), record.stopped)

    def _allowed(self, plan: Plan, by: str) -> bool:
        """Whether a plan may be executed by what is stored and on record now.

        A response that has moved on meanwhile is another process's to answer, and so is all where the lease was lost.
        """
        stored, ours = self._stored(plan.incident), self._advancing
        self._for_people = False
        if self._owner and self._means.plans.hold(LEAD, self._owner, HELD_S) != self._fence:
            self._forbidden = "another process coordinates"
        elif stored is None or ours is None or stored.revision != ours.revision:
            self._forbidden = "its response has moved on"
        elif by == BY:
            everything = self._means.plans.list((), _RESPONSES_MAX)
            now_ns = self._clock.now_ns()
            self._forbidden = self._permits.forbids_execution(plan, stored, everything, self._limits(), now_ns)
            self._for_people = bool(self._forbidden)
        else:
            self._forbidden = self._permits.forbids_approved(plan, stored, by)
        return not self._forbidden

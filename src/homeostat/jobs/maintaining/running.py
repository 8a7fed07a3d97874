"""Runs the maintenance loop of an app: waits for the lease, goes step by step while it has it, and waits again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from homeostat.adapters.process.standing import Standing
from homeostat.adapters.servers.circuit import Backoff, Pauses
from homeostat.app.advising import adviser_of
from homeostat.app.investigating import known_kinds
from homeostat.config.announce import ChannelSettings
from homeostat.config.budgets import budget_of
from homeostat.config.servers import KafkaSettings
from homeostat.config.tree import App
from homeostat.engine.announcing import Announcer, Asking
from homeostat.engine.post_mortems import PostMortems
from homeostat.engine.readings import Value
from homeostat.errors import HomeostatError, Unavailable
from homeostat.jobs.maintaining.advising import Advising, Counts, LiveParts
from homeostat.jobs.maintaining.estimates import estimates_of, readings_of
from homeostat.jobs.maintaining.oversight import Oversight
from homeostat.jobs.maintaining.remembering import Remembering
from homeostat.jobs.maintaining.responding import LeaseLost, Means, Responding
from homeostat.jobs.maintaining.source import Source
from homeostat.jobs.maintaining.steps import Step, Steps
from homeostat.ports import Clock
from homeostat.ports.incidents import IncidentsError
from homeostat.ports.language import LanguageModel, Role
from homeostat.ports.maintenance import LEASE_S, MaintenanceState, MaintenanceStore
from homeostat.records.incidents import Phase

LOADING_S = 120.0  # The first lease: on a new machine kernels are compiled meanwhile.
POLL_S = 1.0
_BEAT_NS = 2 * 10**9
_COUNT_NS = 10 * 10**9
_ANSWER_NS = 5 * 10**9
_COUNTED_MAX = 1000
_BACKOFF = Backoff(0.5, 30.0)
_OPEN = [phase for phase in Phase if phase != Phase.CLOSED]


@dataclass(frozen=True, slots=True)
class Setting:
    """The app and the places of one process.

    open_source : opens journal and app; raises Unavailable where there is no journal yet
    owner : the process's name in the store
    open_means : opens what answers need, given what is to be called now and then while a rehearsal goes on; None where
        incidents are only noticed
    runbooks : a folder of notes that is read now and then, None for none
    models : language models that may be asked about incidents, by the role that asks
    """

    app: App
    store: MaintenanceStore
    open_source: Callable[[], AbstractContextManager[Source]]
    owner: str
    clock: Clock
    open_means: Callable[[Callable[[], None]], AbstractContextManager[Means]] | None = None
    runbooks: Path | None = None
    models: Mapping[Role, LanguageModel] = field(default_factory=dict)


class Maintaining:
    """See the module. `run` until `stop`, then `close`. One thread runs it; any may ask for `readings` and `trouble`.

    say : gets sentences for people
    """

    def __init__(self, setting: Setting, say: Callable[[str], None] = lambda text: None) -> None:
        self._setting, self._say = setting, say
        self._stop = threading.Event()
        self._standing = Standing(say, setting.clock, "maintenance goes on")
        self._opened = ExitStack()
        self._source: Source | None = None
        self.steps: Steps | None = None
        self._responding: Responding | None = None
        self._remembering: Remembering | None = None
        self._advising: Advising | None = None
        self._oversight: Oversight | None = None
        self._language = Counts()
        self.leads = False
        self._waits = False
        self._answered_ns: int | None = None
        self._began_ns = setting.clock.now_ns()
        self._current_ns = self._beaten_ns = self._counted_ns = 0
        self._open, self._used = 0, 0.0
        self._estimates: Mapping[str, Value] = {}
        self._state = MaintenanceState(began_ns=self._began_ns)
        self.trouble = "it is starting"

    @property
    def caught_up(self) -> bool:
        """Whether this process leads, and has read all that there was."""
        steps = self.steps
        return self.leads and steps is not None and steps.caught_up

    @property
    def begins(self) -> bool:
        """Whether the loop had no memory when this process took it over."""
        steps = self.steps
        return steps is not None and steps.first

    def stop(self) -> None:
        """Let `run` save and return."""
        self._stop.set()

    def run(self) -> None:
        """Maintain until stopped, whenever this process has the lease. Raises what broke the loop."""
        pauses = Pauses(_BACKOFF)
        while not self._stop.is_set():
            try:
                step = self.turn()
            except (Unavailable, IncidentsError) as error:
                self._failed(str(error))
                self._stop.wait(pauses.next_s())
                continue
            self.trouble = ""
            self._standing.now("")
            pauses = Pauses(_BACKOFF)
            if step is None or step.at_end:
                self._stop.wait(POLL_S)

    def turn(self, last: bool = False) -> Step | None:
        """One step; None where another process has the lease.

        last : save whatever there is
        Raises Unavailable, JournalError, IncidentsError; the next turn goes on from what is stored.
        """
        try:
            if not self._led():
                return None
            assert self.steps is not None
            step = self.steps.step(last)
            if step is None or not self._beat(step):
                self._say("another process has taken maintenance over")
                self._drop()
                return None
            if step.at_end and self._responding is not None and self._is_time():
                self._responding.step(self.steps.place.reached_ns)
            if step.at_end and self._advising is not None:
                self._advising.step(self.steps.place.reached_ns)
            if step.at_end and self._remembering is not None:
                self._remembering.step(self.steps.place.reached_ns)
            if step.at_end and self._oversight is not None:
                self._oversight.step(self._setting.clock.monotonic_ns())
            return step
        except LeaseLost:
            self._say("another process has taken maintenance over")
            self._drop()
            return None
        except BaseException:
            self._drop()
            raise

    def advise(self) -> None:
        """Wait for the language models that are being asked, and keep their advice. Raises Unavailable."""
        if self._advising is not None and self.steps is not None:
            self._advising.finish(self.steps.place.reached_ns)

    def close(self) -> None:
        """Save, give the lease back, and let go of the journal. The store is its owner's to close."""
        try:
            if self.leads and self.steps is not None:
                if self.steps.save():
                    self._beat(None)
                if self._responding is not None:
                    self._responding.close()
                self._setting.store.leave(self._setting.owner)
        except HomeostatError as error:
            self._say(f"not saved: {error}")
        finally:
            self._drop()

    def readings(self) -> Mapping[str, Value]:
        """Its figures by name of a declared metric."""
        state = self._state
        return {
            "homeostat_maintain_leads": self.leads,
            "homeostat_maintain_ticks_total": state.ticks,
            "homeostat_maintain_signals_total": state.signals,
            "homeostat_maintain_behind_entries": max(0, state.last - state.entry),
            "homeostat_maintain_behind_seconds": state.behind_s,
            "homeostat_maintain_reached_timestamp_seconds": state.reached_ns / 1e9,
            "homeostat_maintain_series": state.series,
            "homeostat_maintain_incidents_open": state.open,
            "homeostat_maintain_budget_used": state.used,
            **(self._language.readings() if self._setting.models else {}),
            **self._estimates,
            **({} if self._oversight is None else self._oversight.readings),
        }

    @property
    def state(self) -> MaintenanceState:
        """How it fares."""
        return self._state

    def _is_time(self) -> bool:
        """Whether incidents are to be looked at: every few seconds, since each look asks two stores."""
        now_ns = self._setting.clock.monotonic_ns()
        if self._answered_ns is not None and now_ns - self._answered_ns < _ANSWER_NS:
            return False
        self._answered_ns = now_ns
        return True

    def _led(self) -> bool:
        """Whether this process has the lease, and is ready; takes it where it is free."""
        if self.leads and self._source is not None and not self._source.moved():
            return True
        if self.leads:
            self._say("another journal has taken the place of the one that was read")
            self._drop()
        if not self._setting.store.take(self._setting.owner, LOADING_S):
            if not self._waits:
                held = self._setting.store.lease()
                self._say(
                    f"waits: {'another process' if held is None else held.owner} maintains {self._setting.app.app}"
                )
            self._waits = True
            return False
        self._waits = False
        source = self._opened.enter_context(self._setting.open_source())
        steps = Steps(source, self._setting.owner, self._setting.clock, self._say)
        steps.load()
        self._source, self.steps, self.leads = source, steps, True
        self._remembering = Remembering(source, self._say, self._setting.runbooks)
        if self._setting.open_means is not None:
            means = self._opened.enter_context(self._setting.open_means(self._keep_lease))
            self._responding = Responding(
                source, means, self._setting.clock, self._say, self._keep_lease, owner=self._setting.owner
            )
            self._advising = self._adviser(source, means)
            self._oversight = Oversight(means, self._setting.app.maintain.gate, source.memory)
        self._current_ns = self._setting.clock.now_ns()
        self._say(f"{self._setting.owner} maintains {self._setting.app.app}, from entry {steps.place.entry} on")
        return True

    def _adviser(self, source: Source, means: Means) -> Advising:
        """The part that asks the app's language models, if it declares any, and has proposals tested."""
        setting, parts = self._setting, LiveParts(source, means)
        models = setting.models
        adviser = adviser_of(setting.app, models, known_kinds(), self._language.take) if models else None
        return Advising(setting.store, parts, adviser, self._say)

    def _beat(self, step: Step | None) -> bool:
        """Say how it fares, now and then; False where another process has taken the lease."""
        clock, steps = self._setting.clock, self.steps
        assert steps is not None and self._source is not None
        at_end = step is None or step.at_end
        now_ns = clock.monotonic_ns()
        if at_end:
            self._current_ns = clock.now_ns()
        if step is not None and now_ns - self._beaten_ns < _BEAT_NS and not (step.signals or step.incidents):
            return True
        self._beaten_ns, place = now_ns, steps.place
        self._estimates = readings_of(estimates_of(steps.loop))
        if now_ns - self._counted_ns > _COUNT_NS or step is None or step.incidents:
            self._count(place.reached_ns)
            self._counted_ns = now_ns
        at_ns = clock.now_ns()
        self._state = MaintenanceState(
            place.entry, place.entry if at_end else self._source.journal.last, place.ticks, len(steps.loop.series),
            place.signals, self._open, self._used, place.reached_ns,
            0.0 if at_end else max(0.0, (at_ns - self._current_ns) / 1e9), self._began_ns, at_ns, self._waits_for(),
        )  # fmt: skip
        return self._setting.store.say(self._setting.owner, self._state, LEASE_S)

    def _waits_for(self) -> str:
        """Why incidents wait for an answer, in a sentence; empty where they do not."""
        why = "" if self._responding is None else self._responding.trouble
        return f"incidents wait for an answer: {why}" if why else ""

    def _keep_lease(self) -> None:
        """Have the lease for two minutes more: an answer may take so long. Raises LeaseLost, Unavailable."""
        state = self._state
        self._state = replace(state, at_ns=self._setting.clock.now_ns())
        if not self._setting.store.say(self._setting.owner, self._state, LOADING_S):
            raise LeaseLost
        if self._responding is not None:
            self._responding.renew()

    def _count(self, reached_ns: int) -> None:
        """Count the incidents that are open, and the budget that those of its span have used."""
        store = self._setting.store
        allowed, span_ns = budget_of(self._setting.app.maintain.false_alarms_max)
        self._open = len(store.list(_OPEN, _COUNTED_MAX))
        lately = [one for one in store.list((), _COUNTED_MAX) if one.incident.opened_ns > reached_ns - span_ns]
        self._used = len(lately) / allowed

    def _failed(self, why: str) -> None:
        self.trouble = why
        self._standing.now(f"maintenance waits: {why}")

    def _drop(self) -> None:
        """Forget what is in memory: the next turn takes it from the store."""
        self.leads, self.steps, self._source = False, None, None
        self._responding, self._remembering, self._advising, self._oversight = None, None, None, None
        opened, self._opened = self._opened, ExitStack()
        opened.close()


class Announcing:
    """Announces incidents in a thread of its own, since their receivers may be slow. `close` ends it."""

    def __init__(
        self, maintaining: Maintaining, store: MaintenanceStore, channels: Sequence[ChannelSettings], clock: Clock,
        *, currency: str = "", kafka: KafkaSettings | None = None, say: Callable[[str], None] = lambda text: None,
        asking: Asking | None = None, reports: PostMortems | None = None,
    ) -> None:  # fmt: skip
        """asking : plans that wait for people; None where there are none

        reports : writes the post-mortems of closed incidents; None where there is no folder for them
        """
        self._maintaining, self._reports = maintaining, reports
        self._announcer = Announcer(store, channels, clock, currency=currency, kafka=kafka, asking=asking)
        self._standing = Standing(say, clock, "incidents are announced again")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Announce from now on."""
        self._thread = threading.Thread(target=self._go_on, name="announcing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread once its present delivery is over."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._announcer.close()

    def step(self) -> None:
        """Announce what is new; of what was found in an old record, only what is open. Raises Unavailable."""
        if self._maintaining.caught_up:
            self._announcer.step(open_only=self._maintaining.begins)
            if self._reports is not None:
                self._reports.step()

    def _go_on(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self.step()
                self._standing.now("")
            except HomeostatError as error:
                self._standing.now(f"incidents are not announced: {error}")

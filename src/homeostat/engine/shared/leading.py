"""Waits for the lead, learns while it has it, and waits again when it has lost it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from homeostat.adapters.opening import journal_opener
from homeostat.adapters.process.clock import SystemClock
from homeostat.adapters.process.standing import Standing
from homeostat.adapters.servers.circuit import Backoff, Pauses
from homeostat.app import brain
from homeostat.config.learners import learners_of
from homeostat.config.servers import Servers
from homeostat.config.tree import App
from homeostat.engine.assembly import bundle_of, fitting_bundle, prepare
from homeostat.engine.readiness import warm_up
from homeostat.engine.shared.connecting import ServersIncomplete
from homeostat.engine.shared.learner import Learner, Source
from homeostat.engine.stores import Stores, stores_on
from homeostat.ports import Clock, Unavailable
from homeostat.ports.learning import LEASE_S, Deposed, Lead
from homeostat.ports.settings import SettingsError
from homeostat.ports.shared import SharedJournal

POLL_S = 0.2
SOON_S = 0.03
LATELY_NS = 60_000_000_000  # Since a process waited for the learner, which then looks more often.
WAIT_S = 1.0  # Between two attempts to take the lead.
DEADLINE_S = 5.0
_BACKOFF = Backoff(0.5, 5.0)
Note = Callable[[str], None]


class Leading:
    """See the module. `run` until `stop`, then `close`.

    name : of this process, unique
    lease_s : how long it keeps the lead without a sign of life
    """

    def __init__(self, source: Source, opened: ExitStack, note: Note = lambda text: None, name: str = "",
        lease_s: float = LEASE_S,
    ) -> None:  # fmt: skip
        self.source, self._opened, self._note = source, opened, note
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.learner: Learner | None = None
        self._lease_s = lease_s
        self.published = 0
        self._lead: Lead | None = None
        self._stop = threading.Event()
        self._standing = Standing(note, source.clock, "learning goes on")

    def stop(self) -> None:
        """Let `run` save and return."""
        self._stop.set()

    def run(self) -> None:
        """Learn until stopped, whenever this process has the lead. Raises what broke the learner."""
        pauses = Pauses(_BACKOFF)
        while not self._stop.is_set():
            try:
                busy = self.step()
            except (Unavailable, SettingsError) as error:
                self._standing.now(f"learning waits: {error}")
                self._stop.wait(pauses.next_s())
                continue
            self._standing.now("")
            pauses = Pauses(_BACKOFF)
            if not busy:
                self._stop.wait(self._pause_s())

    def _pause_s(self) -> float:
        """Until the next look; a short one while processes wait for what is learned."""
        if self.learner is None:
            return min(WAIT_S, self._lease_s / 3)
        asked_ns = self.learner.asked_at_ns
        lately = asked_ns is not None and self.source.clock.monotonic_ns() - asked_ns < LATELY_NS
        return SOON_S if lately else POLL_S

    def step(self, entries_max: int | None = None) -> bool:
        """Take the lead, or learn for one round; whether more is to be done at once.

        Raises Unavailable, SettingsError.
        """
        if self.learner is None and not self._took_the_lead():
            return False
        assert self.learner is not None
        try:
            found = self.learner.round(entries_max)
        except Deposed as error:
            self._note(str(error))
            self.learner, self._lead = None, None
            return False
        self.published += len(found.published)
        for change in found.published:
            self._note(f"change {change.number}: the {change.scope} {change.reason}")
        return found.entries > 0

    def _took_the_lead(self) -> bool:
        lead = self.source.learning.lead(self.name, self._lease_s)
        if lead is None:
            return False
        self._lead = lead
        try:
            self.learner = Learner(self.source, lead, self._note, self._lease_s)
        except BaseException:
            self.source.learning.resign(lead)
            raise
        self._note(f"{self.name} leads the learning, from entry {self.learner.position} of the journal on")
        return True

    def close(self) -> None:
        """Save, let the next one lead, and let go of servers."""
        with self._opened:
            if self.learner is not None and self._lead is not None:
                try:
                    self.learner.save()
                    self.source.learning.resign(self._lead)
                except (Unavailable, Deposed) as error:
                    self._note(f"not saved: {error}")

    def __enter__(self) -> Leading:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_learner(
    app: str | Path | App, servers: Servers, *, bundle: Path | None = None, note: Note = lambda text: None,
    journal: SharedJournal | None = None, stores: Stores | None = None, clock: Clock | None = None, name: str = "",
    lease_s: float = LEASE_S,
) -> Leading:  # fmt: skip
    """A learner of an app on its servers, ready to lead.

    bundle : the models that its workers decide with; the champion of the settings where none is named
    journal, stores : to be used instead of those that the servers are
    Raises AppFileError, BundleError, NotTrained, ServersIncomplete; Unavailable where a server can't be reached.
    """
    prepared = prepare(app)
    clock = clock or SystemClock()
    if not learners_of(prepared.app):
        raise ServersIncomplete(
            f"{prepared.app.app} has nothing that learns online: a policy of kind bandit, or a fusion of kind adaptive"
        )
    load = partial(fitting_bundle, prepared=prepared)
    with ExitStack() as opened:
        if stores is None:
            stores = stores_on(servers, prepared.app.app, learning=True)
            if stores is None or servers.journal is None:
                raise ServersIncomplete("no journal is named: say servers.journal")
            opened.callback(stores.close)
        given = bundle_of(prepared, bundle)
        models = given or stores.champion(load)
        ready = brain(prepared.app, prepared.features, models)
        warm_up(prepared.app, prepared.features, models, clock, ready)
        if journal is None:
            assert servers.journal is not None
            journal = journal_opener(servers.journal)(
                servers.journal, app=prepared.app.app, words=prepared.words, clock=clock,
                retention_ns=servers.retention, deadline_s=DEADLINE_S,
            )  # fmt: skip
            opened.callback(journal.close)
        source = Source(
            prepared.keyed(journal.coding), models, ready, journal, stores, clock, servers.retention, stores.base(given)
        )  # fmt: skip
        return Leading(source, opened.pop_all(), note, name, lease_s)

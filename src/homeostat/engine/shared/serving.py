"""One app deciding in several processes that share its memory: what `homeostat serve --workers` runs in each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.process.environment import servers_of
from homeostat.decide.loop import Stopped
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.engine import Engine
from homeostat.engine.isolating import Answer, Received
from homeostat.engine.parts import Parts
from homeostat.engine.shared.budget import budget_of
from homeostat.engine.shared.connecting import SharedParts, open_shared
from homeostat.engine.shared.outcomes import record_outcomes
from homeostat.engine.shared.rejoining import Rejoiner
from homeostat.ports import Unavailable
from homeostat.ports.shared import SharedJournal
from homeostat.records.arrays import Int
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.reasons import Reason

if TYPE_CHECKING:
    from homeostat.engine.frames import Rows
    from homeostat.engine.readings import Value


def without_features(featurizer: SharedFeaturizer) -> str:
    """Why decisions are made without the feature store, in a sentence; empty where they are made with it."""
    if not featurizer.behind:
        return ""
    return featurizer.trouble or "the feature store is being brought up to the journal"


def spooling(journal: SharedJournal) -> str:
    """That a journal's server is away, in a sentence; empty where it answers, and for a journal without a spool."""
    if not journal.degraded:
        return ""
    reason = f" ({journal.reason})" if journal.reason else ""
    return f"the journal's server is away: decisions wait on this machine's disk, in order{reason}"


def readings_of(shared: SharedParts, rejoined: int, refused: str, **others: bool) -> dict[str, Value]:
    """Current figures of the feature store and the journal, which workers and servers show alike.

    rejoined : times that the feature store was made whole again
    refused : what the journal says that takes nothing more at present; empty where it takes what comes
    others : whether each further part answers
    """
    behind = shared.featurizer.behind
    away = shared.journal.degraded
    found: dict[str, Value] = {
        "homeostat_feature_rejoins_total": rejoined,
        "homeostat_part_up": {**others, "features": not behind, "journal": not away and not refused},
        "homeostat_circuit_open": {"features": behind, "journal": away},
    }
    taught = shared.taught
    if taught is not None and taught.learners:
        found |= {
            "homeostat_learning_stale_seconds": -1.0 if taught.stale_s is None else taught.stale_s,
            "homeostat_learning_stale_seconds_max": shared.servers.learning_stale / 1e9,
            "homeostat_learning_position": taught.position,
        }
    moments = shared.moments
    if moments is not None and moments.on:
        ends = {"learned": moments.waited - moments.missed, "missed": moments.missed}
        found["homeostat_learning_waits_total"] = ends
    if taught is not None and budget_of(shared.app) > 0:
        found["homeostat_exploration_left"] = taught.purse.left
    if shared.shadow is not None:
        found |= shared.shadow.readings()
    backlog = shared.journal.backlog
    if backlog is not None:
        found |= {
            "homeostat_journal_spooled_rows": backlog.rows, "homeostat_journal_spooled_bytes": backlog.nbytes,
            "homeostat_journal_spool_bytes_max": shared.servers.spool_max_mb << 20,
            "homeostat_journal_spool_age_seconds": backlog.oldest_s,
        }  # fmt: skip
    return found


class SharedEngine(Engine):
    """An `Engine` whose windows and journal are shared. It takes what a learner publishes, and learns nothing."""

    waits_for_servers = True

    def __init__(self, shared: SharedParts) -> None:
        super().__init__(Parts(
            shared.app, shared.loop, shared.prepared.schema, shared.prepared.words, shared.journal, shared.clock,
            watcher=shared.watcher, shadow=shared.shadow,
        ))  # fmt: skip
        self.shared = shared
        self._rejoiner = Rejoiner(shared.featurizer, shared.store, shared.journal, shared.folder, shared.clock)
        self._refused = ""
        # The past of the entities is in the store, so beginning again is to read it from there.
        loop = self.parts.loop

        def begin_again() -> None:
            shared.featurizer.forget()
            loop.begin_again(loop.blank())

        self.parts.begin_again = begin_again

    def _decided(self, batch: EventBatch, positions: Sequence[int], answers: list[Answer]) -> None:
        """Decide events; where they wait for the learner, those after a moment of the grid apart from those before."""
        moments, start = self.shared.moments, 0
        if moments is None or not moments.on:
            super()._decided(batch, positions, answers)
            return
        while start < len(batch):
            end = start + moments.apart(batch.reach[start:])
            part = batch.slice(start, end)
            moments.wait(part.reach, lambda: self.shared.journal.appended)
            super()._decided(part, positions[start:end], answers)
            start = end

    @property
    def refused(self) -> str:
        """Why nothing can be decided at present, in a sentence; empty where decisions are made."""
        return self._refused or super().refused

    def notes(self) -> list[str]:
        """The notices for people though decisions go on, a sentence each."""
        watch = self.parts.fairness
        return self.shared.notes() + ([] if watch is None else watch.notes())

    @property
    def trouble(self) -> str:
        """Why nothing is decided at present, or without the feature store; empty where all is well."""
        return self.refused or without_features(self.shared.featurizer)

    @property
    def notice(self) -> str:
        """A notice about the servers at present, even where decisions go on as ever."""
        return self.trouble or spooling(self.shared.journal)

    def readings(self) -> dict[str, Value]:
        """Current figures of the feature store and the journal."""
        found = readings_of(self.shared, self._rejoiner.rejoined, self._refused)  # With those of the challenger.
        return found if self.parts.fairness is None else found | self.parts.fairness.readings()

    def answer(self, objects: Sequence[object]) -> list[Answer]:
        """A decision or a problem for each object, in order; without the feature store, flagged ones."""
        return self._noted(lambda: super(SharedEngine, self).answer(objects))

    def answer_rows(self, rows: Rows) -> list[Answer]:
        """The same for each row of a table."""
        return self._noted(lambda: super(SharedEngine, self).answer_rows(rows))

    def _noted(self, work: Callable[[], list[Answer]]) -> list[Answer]:
        self._rejoiner.attempt()
        try:
            answers = work()
        except Unavailable as error:
            self._refused = str(error)
            raise
        self._note()
        return answers

    def receive(self, objects: Sequence[object]) -> list[Received]:
        """A receipt or a problem for each object that should be an outcome, in order."""
        self._rejoiner.attempt()
        receipts = super().receive(objects)
        self._note()
        return receipts

    def _learned(self, batch: OutcomeBatch) -> NDArray[np.bool_]:
        """Journal the outcomes of decided events, and let the windows know; (n,) which those are."""
        shared, loop = self.shared, self.parts.loop

        def append(some: OutcomeBatch, _: Int) -> int:
            with loop.meters.timed("journal"):
                return shared.journal.append(some)

        try:
            found = record_outcomes(batch, shared.featurizer, shared.journal.locate, append)
        except Unavailable:
            loop.meters.failed("journal", "journal", Reason.JOURNAL_FAILED)
            raise
        loop.counts["outcomes"] += int(found.sum())
        return found

    def _note(self) -> None:
        self._rejoiner.noted()
        self.shared.featurizer.journalled(self.shared.journal.appended)

    def resume(self) -> None:
        """Go on with a journal and a feature store that are back, and let everybody see the newest values.

        Entries that a failing journal has left are tried again here, since nobody may ask a server that says it is not
        ready.
        Raises Unavailable; Stopped.
        """
        try:
            if self.parts.loop.stopped:
                self._isolation.mend()
            self.parts.loop.flush()
        except (Unavailable, Stopped) as error:
            self._refused = str(error)
            raise
        self._refused = ""
        self._rejoiner.attempt()
        if not self.shared.featurizer.behind:
            self.shared.store.flush()

    def save(self) -> None:
        """Nothing is to be saved: what this process knows, the others know."""

    def close(self) -> None:
        """Let go of servers and threads."""
        self.parts.loop.close()
        self.shared.close()


def open_engine(app: str, bundle: str | None = None, config: str | None = None) -> SharedEngine:
    """An engine on servers, made from the plain values that a new process receives.

    config : a file with a `servers` section; what it says wins over the app file's own
    Raises what `open_shared` raises.
    """
    models = None if bundle is None else Path(bundle)
    shared = open_shared(app, servers_of(config, app), bundle=models, judges_lateness=True)
    shared.keep_shadow(app, config, logging.getLogger("homeostat").warning)
    return SharedEngine(shared)

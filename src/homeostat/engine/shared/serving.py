"""One app deciding in several processes that share its memory: what `homeostat serve --workers` runs in each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.process.environment import servers_of
from homeostat.decide.loop import Stopped
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.engine import Engine
from homeostat.engine.parts import Parts
from homeostat.engine.shared.budget import budget_of
from homeostat.engine.shared.connecting import SharedParts, open_shared
from homeostat.engine.shared.outcomes import record_outcomes
from homeostat.engine.shared.rejoining import Rejoiner
from homeostat.engine.sizing import served_sizer
from homeostat.ports import Unavailable
from homeostat.ports.shared import SharedJournal
from homeostat.records.arrays import Int
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.reasons import Reason

if TYPE_CHECKING:
    from homeostat.engine.readings import Value


def without_features(featurizer: SharedFeaturizer) -> str:
    """Why decisions are made without the feature store, or without all of it, in a sentence; empty where they are made
    with it."""
    if not featurizer.behind and not featurizer.incomplete:
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
    whole = not behind and not shared.featurizer.incomplete
    away = shared.journal.degraded
    memory = shared.memory
    found: dict[str, Value] = {
        "homeostat_feature_rejoins_total": rejoined,
        "homeostat_remembered_bytes": memory.remembered,
        "homeostat_remembered_bytes_max": memory.bound,
        "homeostat_forgotten_total": memory.forgotten,
        "homeostat_part_up": {**others, "features": whole, "journal": not away and not refused},
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
    backlog = shared.journal.backlog
    if backlog is not None:
        found |= {
            "homeostat_journal_spooled_rows": backlog.rows, "homeostat_journal_spooled_bytes": backlog.nbytes,
            "homeostat_journal_spool_bytes_max": shared.servers.spool_max_mb << 20,
            "homeostat_journal_spool_age_seconds": backlog.oldest_s,
        }  # fmt: skip
    return found


class SharedDuties:
    """Those of a process whose windows and journal are shared. It takes what a learner publishes, and learns nothing.

    refused : why the journal took nothing, in its own words
    """

    waits_for_servers = True

    def __init__(self, shared: SharedParts) -> None:
        self.shared, self.refused = shared, ""
        self._rejoiner = Rejoiner(shared.featurizer, shared.store, shared.journal, shared.folder, shared.clock)

    @property
    def trouble(self) -> str:
        """Why decisions are made without the feature store."""
        return without_features(self.shared.featurizer)

    @property
    def notice(self) -> str:
        """That the journal's server is away, though decisions go on as ever."""
        return spooling(self.shared.journal)

    def notes(self) -> list[str]:
        """Notices about the learner."""
        taught = self.shared.taught
        return [] if taught is None else taught.notes()

    def readings(self) -> dict[str, Value]:
        """Current figures of the feature store and the journal."""
        return readings_of(self.shared, self._rejoiner.rejoined, self.refused)

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Try to get the feature store back before, and note what the journal took after."""
        self._rejoiner.attempt()
        try:
            yield
        except Unavailable as error:
            self.refused = str(error)
            raise
        self._note()

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """The same; outcomes that are not taken say nothing about decisions."""
        self._rejoiner.attempt()
        yield
        self._note()

    def pieces(self, batch: EventBatch) -> Iterator[tuple[EventBatch, int]]:
        """Where events wait for the learner, those after a moment of the grid apart from those before."""
        moments, start = self.shared.moments, 0
        if moments is None or not moments.on:
            yield batch, 0
            return
        while start < len(batch):
            part = batch.slice(start, start + moments.apart(batch.reach[start:]))
            moments.wait(part.reach, lambda: self.shared.journal.appended)
            yield part, start
            start += len(part)

    def learned(self, batch: OutcomeBatch) -> NDArray[np.bool_]:
        """Journal the outcomes of decided events, and let the windows know; (n,) which those are."""
        shared = self.shared
        loop = shared.loop

        def append(some: OutcomeBatch, _: Int) -> int:
            with loop.meters.timed("journal"):
                return shared.journal.append(some)

        try:
            found = record_outcomes(batch, shared.featurizer, shared.journal.locate, append, shared.loop.withheld)
        except Unavailable:
            loop.meters.failed("journal", "journal", Reason.JOURNAL_FAILED)
            raise
        loop.counts["outcomes"] += int(found.sum())
        return found

    def _note(self) -> None:
        self._rejoiner.noted()
        self.shared.featurizer.journalled(self.shared.journal.appended)

    def resume(self, mend: Callable[[], None]) -> None:
        """Go on with a journal and a feature store that are back, and let everybody see the newest values.

        Entries that a failing journal has left are tried again here, since nobody may ask a server that says it is not
        ready.
        Raises Unavailable; Stopped.
        """
        loop = self.shared.loop
        try:
            if loop.stopped:
                mend()
            loop.flush()
        except (Unavailable, Stopped) as error:
            self.refused = str(error)
            raise
        self.refused = ""
        self._rejoiner.attempt()
        if not self.shared.featurizer.behind:
            self.shared.store.flush()

    def save(self, snapshot: Callable[[], Callable[[], None]]) -> None:
        """Nothing is to be saved: what this process knows, the others know."""

    def close(self, save: Callable[[], None]) -> None:
        """Let go of servers and threads."""
        self.shared.loop.close()
        self.shared.close()


def engine_of(shared: SharedParts) -> Engine:
    """The engine of a process that shares its data with others."""
    loop = shared.loop

    def begin_again() -> None:
        """The past of the entities is in the store, so beginning again is to read it from there."""
        shared.featurizer.forget()
        loop.begin_again(loop.blank())

    parts = Parts(
        shared.app, loop, shared.prepared.schema, shared.prepared.words, shared.journal, shared.clock,
        begin_again=begin_again, watcher=shared.watcher, shadow=shared.shadow,
        sizer=served_sizer(shared.servers, shared.clock), memory=shared.memory,
    )  # fmt: skip
    return Engine(parts, SharedDuties(shared))


def open_engine(app: str, bundle: str | None = None, config: str | None = None) -> Engine:
    """An engine on servers, made from the plain values that a new process receives.

    config : a file with a `servers` section; what it says wins over the app file's own
    Raises what `open_shared` raises.
    """
    models = None if bundle is None else Path(bundle)
    shared = open_shared(app, servers_of(config, app), bundle=models, judges_lateness=True)
    shared.keep_shadow(app, config, logging.getLogger("homeostat").warning)
    return engine_of(shared)

"""One app deciding in several processes that share its memory: what `homeostat serve --workers` runs in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.process.environment import servers_of
from homeostat.decide.loop import Stopped
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.engine import Answer, Engine, Parts
from homeostat.engine.shared.assembly import SharedParts, open_shared
from homeostat.engine.shared.outcomes import settle
from homeostat.engine.shared.rejoining import Rejoiner
from homeostat.ports import Unavailable
from homeostat.records.events import OutcomeBatch
from homeostat.records.reasons import Reason

if TYPE_CHECKING:
    from homeostat.engine.frames import Rows
    from homeostat.engine.readings import Value


def without_features(featurizer: SharedFeaturizer) -> str:
    """Why decisions are made without the feature store, in a sentence; empty where they are made with it."""
    if not featurizer.behind:
        return ""
    return featurizer.trouble or "the feature store is being brought up to the journal"


def spooling(journal: object) -> str:
    """That a journal's server is away, in a sentence; empty where it answers, and for a journal without a spool."""
    if not getattr(journal, "degraded", False):
        return ""
    reason = getattr(journal, "reason", "")
    return "the journal's server is away: decisions wait on this machine's disk, in order" + (
        f" ({reason})" if reason else ""
    )


def readings_of(shared: SharedParts, rejoined: int, refused: str, **others: bool) -> dict[str, Value]:
    """Current figures of the feature store and the journal, which workers and servers show alike.

    rejoined : times that the feature store was made whole again
    refused : what the journal says that takes nothing more at present; empty where it takes what comes
    others : whether each further part answers
    """
    behind = shared.featurizer.behind
    away = bool(getattr(shared.journal, "degraded", False))
    found: dict[str, Value] = {
        "homeostat_feature_rejoins_total": rejoined,
        "homeostat_part_up": {**others, "features": not behind, "journal": not away and not refused},
        "homeostat_circuit_open": {"features": behind, "journal": away},
    }
    figures = getattr(shared.journal, "figures", None)
    if figures is not None:
        found |= {
            "homeostat_journal_spooled_rows": figures.rows, "homeostat_journal_spooled_bytes": figures.nbytes,
            "homeostat_journal_spool_bytes_max": shared.servers.spool_max_mb << 20,
            "homeostat_journal_spool_age_seconds": figures.oldest_s,
        }  # fmt: skip
    return found


class SharedEngine(Engine):
    """An `Engine` whose windows and journal are shared. Nobody learns online: models are trained from the journal."""

    waits_for_servers = True

    def __init__(self, shared: SharedParts) -> None:
        super().__init__(Parts(
            shared.app, shared.loop, shared.prepared.schema, shared.prepared.words, shared.journal, shared.clock
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

    @property
    def refused(self) -> str:
        """Why nothing can be decided at present, in a sentence; empty where decisions are made."""
        return self._refused or super().refused

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
        return readings_of(self.shared, self._rejoiner.rejoined, self._refused)

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

    def receive(self, objects: Sequence[object]) -> list[Answer]:
        """A receipt or a problem for each object that should be an outcome, in order."""
        self._rejoiner.attempt()
        receipts = super().receive(objects)
        self._note()
        return receipts

    def _learned(self, batch: OutcomeBatch) -> NDArray[np.bool_]:
        """Journal the outcomes of decided events, and let the windows know; (n,) which those are."""
        shared, loop = self.shared, self.parts.loop

        def append(some: OutcomeBatch, _: Any) -> int:
            with loop.meters.timed("journal"):
                return shared.journal.append(some)

        try:
            found = settle(batch, shared.featurizer, shared.journal.locate, append)
        except Unavailable:
            loop.meters.failed("journal", "journal", Reason.JOURNAL_FAILED)
            raise
        loop.counts["outcomes"] += int(found.sum())
        return found

    def _note(self) -> None:
        self._rejoiner.noted()
        self.shared.featurizer.journalled(self.shared.journal.appended)

    def settle(self) -> None:
        """Go on with a journal and a feature store that are back, and let everybody see the newest values.

        What a failing journal has left is tried again here, since nobody may ask a server that says it is not ready.
        Raises Unavailable; Stopped.
        """
        try:
            if self.parts.loop.stopped:
                self._mend()
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
    return SharedEngine(open_shared(app, servers_of(config, app), bundle=models, judges_lateness=True))

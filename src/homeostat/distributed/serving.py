"""One app deciding in several processes that share its memory: what `homeostat serve --workers` runs in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeostat.adapters.environment import world_of
from homeostat.distributed.assembly import SharedParts, open_shared
from homeostat.distributed.outcomes import settle
from homeostat.distributed.rejoining import Rejoiner
from homeostat.embedded.engine import Answer, Engine, Parts
from homeostat.records.events import OutcomeBatch


class SharedEngine(Engine):
    """An `Engine` whose windows and journal are shared. Nobody learns online: models are trained from the journal."""

    waits_for_servers = True

    def __init__(self, shared: SharedParts) -> None:
        super().__init__(Parts(
            shared.app, shared.loop, shared.prepared.schema, shared.prepared.words, shared.journal, shared.clock
        ))  # fmt: skip
        self.shared = shared
        self._rejoiner = Rejoiner(shared.featurizer, shared.store, shared.journal, shared.folder, shared.clock)

    def answer(self, objects: Sequence[object]) -> list[Answer]:
        """A decision or a problem for each object, in order; without the feature store, flagged ones."""
        self._rejoiner.attempt()
        answers = super().answer(objects)
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
        shared = self.shared
        found = settle(batch, shared.featurizer, shared.journal.locate, lambda some, _: shared.journal.append(some))
        self.parts.loop.counts["outcomes"] += int(found.sum())
        return found

    def _note(self) -> None:
        self._rejoiner.noted()
        featurizer, appended = self.shared.featurizer, self.shared.journal.appended
        if not featurizer.behind and appended > (featurizer.through or 0):
            featurizer.through = appended

    def settle(self) -> None:
        """Go on with a feature store that is back, and let everybody see its newest values. Raises Unavailable."""
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
    """An engine on the servers of the world, made from plain values, as a new process is told them.

    config : a file with a `world` section; what it says wins over the app file's own
    Raises what `open_shared` raises.
    """
    models = None if bundle is None else Path(bundle)
    return SharedEngine(open_shared(app, world_of(config, app), bundle=models, judges_lateness=True))

"""Brings the feature store to where the journal is: after it was away, lost its memory, or never had one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from homeostat.adapters.file_lock import FileLock
from homeostat.adapters.files import replace_file
from homeostat.decide.splice import outcome_rows, pick_outcomes, told
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.ports import Unavailable
from homeostat.ports.shared import FeatureStore, SharedJournal
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch

_BEHIND = "features-behind-since"
_ALONE_S = 60.0
_SETTLE_S = 10.0
_MARK_EVERY = 200  # Entries between two marks of how far it has come: what another would do again, should this one die.

Progress = Callable[[str, float], None]


class Behind:
    """From where on the feature store lacks what this process decided without it; kept where a restart finds it.

    folder : this process's own, on the machine's disk
    """

    def __init__(self, folder: Path, featurizer: SharedFeaturizer) -> None:
        self._file, self._featurizer = folder / _BEHIND, featurizer

    @property
    def since(self) -> int | None:
        """The last journal entry before which nothing is missing; None if nothing is."""
        try:
            return int(self._file.read_text("ascii"))
        except (OSError, ValueError):
            return None

    def begin(self) -> None:
        """From now on the store lacks events."""
        if not self._file.exists():
            replace_file(self._file, [str(self._featurizer.through or 0).encode("ascii")])

    def end(self) -> None:
        """It has them all."""
        self._file.unlink(missing_ok=True)


def adopt_behind(root: Path, folder: Path) -> None:
    """Take over what processes that have died left for the feature store to be told.

    root : where each process on this machine has its folder; `folder` is this one's
    """
    for other in sorted(root.glob(f"*/{_BEHIND}")):
        if other.parent == folder:
            continue
        lock = FileLock(other.parent / "lock")
        try:
            lock.acquire("its process is alive")
        except Unavailable:
            continue
        since = [int(path.read_text("ascii")) for path in (other, folder / _BEHIND) if path.exists()]
        replace_file(folder / _BEHIND, [str(min(since, default=0)).encode("ascii")])
        other.unlink(missing_ok=True)
        lock.release()


def rejoin(
    featurizer: SharedFeaturizer,
    store: FeatureStore,
    journal: SharedJournal,
    since: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Let every journalled event be in the store, and the featurizer go on with it; returns how many entries were read.

    since : the last entry before which nothing of this worker's is missing, where it decided without the store
    Raises Unavailable: the store or the journal is away, or another worker is at it.
    """
    through = store.through()
    settle = getattr(journal, "settle", None)
    if settle is not None and not settle(_SETTLE_S):
        raise Unavailable("decisions still wait on this machine's disk for the journal's server")
    last = journal.last
    lost = through is None or through < (featurizer.through or 0)
    after = min(through or 0, last if since is None else since)
    entries = 0
    if lost or after < last:
        with store.alone(_ALONE_S) as mine:
            if not mine:
                raise Unavailable("another worker is bringing the feature store up to the journal: wait for it")
            if lost:
                store.begin(min(through or 0, last))
            entries = _write_since(after, last, featurizer, store, journal, lost, progress)
            if lost:
                store.begin(last)
    featurizer.through = last
    featurizer.rejoin()
    return entries


def _write_since(
    after: int, last: int, featurizer: SharedFeaturizer, store: FeatureStore, journal: SharedJournal, lost: bool,
    progress: Progress | None,
) -> int:  # fmt: skip
    entries = 0
    for entry in journal.read(after):
        rows = _rows(entry.body, featurizer.plan.fields)
        if rows is not None and len(rows):
            featurizer.write(rows)
        entries += 1
        if progress is not None:
            progress("bringing the feature store up to the journal", (entry.sequence - after) / max(1, last - after))
        if lost and entries % _MARK_EVERY == 0:
            store.begin(entry.sequence)
    return entries


def _rows(body: DecisionBatch | OutcomeBatch, fields: int) -> EventBatch | None:
    """What an entry's events or outcomes are to the entities' logs."""
    if isinstance(body, DecisionBatch):
        return body.events
    known = told(body)
    if not known.any():
        return None
    return replace(outcome_rows(pick_outcomes(body, np.flatnonzero(known)), fields), texts=body.texts)

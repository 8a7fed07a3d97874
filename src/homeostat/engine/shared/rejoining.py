"""Brings the feature store to where the journal is: after it was away, lost its memory, or never had one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import replace_file
from homeostat.adapters.servers.circuit import Backoff, Circuit, RetryPolicy
from homeostat.decide.outcome_rows import located, outcome_rows
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.ports import Clock, Unavailable
from homeostat.ports.shared import FeatureStore, LogsLost, SharedJournal
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch
from homeostat.records.renaming import events_as, outcomes_as

_BEHIND = "features-behind-since"
POLICY = RetryPolicy(
    # The deadline is for what waits in the spool: nothing is decided meanwhile, and the next attempt goes on.
    deadline_s=1.0, failures=1, backoff=Backoff(0.2, 2.0),
    falls_back="decisions go on without the feature store, flagged, until all that it lacks is in it",
)  # fmt: skip
_ALONE_S = 60.0
_PASSES = 3  # The first takes away every log that is none; the second writes them. One more for what is lost meanwhile.
_MARK_EVERY = 200  # Entries between two marks of how far it has come: what another would do again, should this one die.

_TOUCH_NS = 1_000_000_000  # A process without events finds within that time what the store has lost.
_TOUCH_INCOMPLETE_NS = 100_000_000

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


class Rejoiner:
    """Lets a process go on without the feature store when it is away, and with it as soon as it is whole again.

    circuit : how often that is tried: with pauses that grow and are jittered
    rejoined : how often the store was made whole again
    """

    def __init__(
        self, featurizer: SharedFeaturizer, store: FeatureStore, journal: SharedJournal, folder: Path, clock: Clock
    ) -> None:
        self._featurizer, self._store, self._journal = featurizer, store, journal
        self._behind = Behind(folder, featurizer)
        self._noted = self._behind.since is not None
        featurizer.behind = featurizer.behind or self._noted
        self.circuit = Circuit(clock, POLICY)
        self._clock, self._exchanges, self._exchanged_ns = clock, -1, 0
        self.rejoined = 0

    def noted(self) -> bool:
        """Note that the store lacks events from now on, if it does; whether that is news."""
        if not self._featurizer.behind or self._noted:
            return False
        self._behind.begin()
        self._noted = True
        return True

    def attempt(self, before: Callable[[], None] = lambda: None) -> int | None:
        """Bring the store up to the journal, if it is behind and it is time to try; how many entries that took.

        before : called once the store answers: what was decided without it must be in the journal then
        """
        featurizer = self._featurizer
        self._touch()
        if not featurizer.behind or not self.circuit.allows():
            return None
        try:
            self._store.through()  # Asked first, since what comes `before` may hold events up.
            before()
            entries = rejoin(featurizer, self._store, self._journal, self._behind.since)
        except Unavailable as error:
            featurizer.trouble = str(error)
            self.circuit.failed(str(error))
            return None
        except BaseException:
            self.circuit.failed()
            raise
        self.circuit.succeeded()
        self.rejoined += 1
        self._behind.end()
        self._noted = False
        return entries

    def _touch(self) -> None:
        """Keep in touch with the store also while there is nothing to exchange."""
        featurizer, now_ns = self._featurizer, self._clock.monotonic_ns()
        if featurizer.behind:
            return
        every_ns = _TOUCH_INCOMPLETE_NS if featurizer.incomplete else _TOUCH_NS
        if featurizer.exchanges == self._exchanges and now_ns - self._exchanged_ns >= every_ns:
            featurizer.touch()
            self.noted()
        elif featurizer.exchanges == self._exchanges:
            return
        self._exchanges, self._exchanged_ns = featurizer.exchanges, now_ns


def adopt_behind(root: Path, folder: Path) -> None:
    """Take over the records for the feature store that dead processes left.

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
    for left in reversed(range(_PASSES)):
        try:
            return _rejoin(featurizer, store, journal, since, progress)
        except LogsLost as error:
            if not left:
                raise Unavailable(str(error)) from error
    raise AssertionError("there is at least one pass")


def _rejoin(
    featurizer: SharedFeaturizer, store: FeatureStore, journal: SharedJournal, since: int | None,
    progress: Progress | None,
) -> int:  # fmt: skip
    """One pass. Raises LogsLost, after all entries are read, where logs were lost or found to be none meanwhile."""
    through = store.through()
    if featurizer.behind:
        store.lacks()
    if not journal.wait_until_written(POLICY.deadline_s):
        raise Unavailable("decisions still wait on this machine's disk for the journal's server")
    last = journal.last
    if through is not None and through > last:  # Nobody wrote this: the store says more than there is.
        through = None
    lost = through is None or through < (featurizer.through or 0)
    after = min(through or 0, last if since is None else since)
    entries = 0
    if lost or after < last:
        with store.alone(_ALONE_S) as mine:
            if not mine:
                raise Unavailable("another worker is bringing the feature store up to the journal: this one waits")
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
    """Write the rows of all entries after one; how many there are. Raises LogsLost, once each log was looked at."""
    entries, broken = 0, None
    for entry in journal.read(after):
        rows = _rows(entry.body, featurizer, journal)
        try:
            if rows is not None and len(rows):
                featurizer.write(rows)
        except LogsLost as error:  # Go on: each log that is none is taken away, and the next pass meets no other.
            broken = error
        entries += 1
        if progress is not None:
            progress("bringing the feature store up to the journal", (entry.sequence - after) / max(1, last - after))
        if lost and broken is None and entries % _MARK_EVERY == 0:
            store.begin(entry.sequence)
    if broken is not None:
        raise broken
    return entries


def _rows(body: Body, featurizer: SharedFeaturizer, journal: SharedJournal) -> EventBatch | None:
    """An entry's events or outcomes as rows of the entities' logs, by the names that they had when it was written."""
    words = featurizer.words
    if isinstance(body, ChangeBatch):
        return None
    if isinstance(body, DecisionBatch):
        return events_as(body.events, body.words, words, journal.coding)
    body = outcomes_as(body, words.entities, journal.coding)
    known = located(body)
    if not known.any():  # An entry of an earlier version that named its events' entities by other codes.
        their = journal.locate(body.ids)
        body = replace(
            body, time_ns=their.time_ns, keys=their.keys, key_checks=their.key_checks, entities=words.entities
        )
        known = their.found
    return outcome_rows(body.rows(np.flatnonzero(known)), featurizer.plan.fields) if known.any() else None

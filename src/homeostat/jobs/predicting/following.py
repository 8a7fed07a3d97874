"""One target follows the journal: predictions go out in order, and how far they went is on the disk.

The journal is the buffer: while a target is away its predictions lie there, and no decision waits. After a crash those
of the last batch are sent again. Targets that know points by name and time show no difference.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from homeostat.adapters.announce.message import Refused
from homeostat.adapters.disk.prediction_progress import Progress, load_progress, save_progress
from homeostat.adapters.predictions.sending import Sends
from homeostat.adapters.servers.circuit import Backoff, Pauses, RetryPolicy
from homeostat.config.predictions import TargetSettings
from homeostat.config.tree import App
from homeostat.errors import HomeostatError, Unavailable
from homeostat.jobs.predicting.making import Models, predictions_of
from homeostat.ports import Clock, Entry, NamedJournal
from homeostat.records.decisions import DecisionBatch
from homeostat.records.predictions import Prediction

POLICY = RetryPolicy(
    deadline_s=10.0, failures=None, backoff=Backoff(0.5, 60.0),
    falls_back="decisions go on; predictions wait in the journal, in order, as long as the target's `keep` says",
)  # fmt: skip
BATCH = 500  # Predictions of one request: some 200 kB.
IDLE_S = 0.5
_SAY_NS = 10**9
_PAUSE_S_MIN = 0.001  # No pause means that more can be sent at once.
_ENTRIES_MAX = 1000  # Of one turn, so that an app which flags next to nothing shows signs of life.


@dataclass(frozen=True, slots=True)
class Source:
    """Where predictions come from. All targets share it, so that journal and models are in memory once.

    folder : holds the progress of each target
    lock : held while journal or models are used
    """

    app: App
    journal: NamedJournal
    models: Models
    folder: Path
    clock: Clock
    owner: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def last(self) -> int:
        """The last entry of the journal."""
        with self.lock:
            return self.journal.last


class Following:
    """One target, in one thread. `turn` does the next piece of work.

    pauses : how long to wait before each further attempt
    """

    def __init__(self, source: Source, settings: TargetSettings, target: Sends, pauses: Pauses | None = None) -> None:
        """Go on where the target's progress ends; a new one begins with the oldest decision that is not too old.

        Raises Unavailable.
        """
        self._source, self._settings, self._target = source, settings, target
        self._pauses = Pauses(POLICY.backoff) if pauses is None else pauses
        now_ns = source.clock.now_ns()
        before = load_progress(source.folder).get(settings.name)
        found = Progress(entry=self._begin(now_ns)) if before is None else before
        if found.entry > source.last:  # The folder has a new history.
            found = replace(found, entry=self._begin(now_ns), row=0)
        self.progress = replace(found, owner=source.owner, began_ns=now_ns, at_ns=now_ns, trouble="")
        self._said_ns = source.clock.monotonic_ns()
        save_progress(source.folder, settings.name, self.progress)

    def turn(self) -> float:
        """Send what is next; returns how many seconds to wait before the next turn, 0 where more can be sent.

        Raises Unavailable if the journal or the disk fails.
        """
        with self._source.lock:
            batch, reached = self._next()
        if not batch:
            if reached.behind == 0 and reached.refused == self.progress.refused and reached.entry > self.progress.entry:
                reached = replace(reached, trouble="")  # Nothing of what could not be sent is left.
            self._say(reached, moved=(reached.entry, reached.row) != (self.progress.entry, self.progress.row))
            return IDLE_S if reached.behind == 0 else 0.0
        try:
            self._target.send(batch, self._source.clock.now_ns())
        except Refused as error:
            refused = reached.refused + len(batch)
            self._say(replace(reached, refused=refused, trouble=self._settings.without_secrets(str(error))), moved=True)
            return 0.0
        except (HomeostatError, ValueError) as error:  # A missing extra, or an address that can't work, too.
            behind = max(1, self._source.last - self.progress.entry)
            trouble = self._settings.without_secrets(str(error))
            self._say(replace(self.progress, behind=behind, trouble=trouble), moved=trouble != self.progress.trouble)
            return max(_PAUSE_S_MIN, self._pauses.next_s())
        self._pauses.over()
        self._say(replace(reached, sent=reached.sent + len(batch), trouble=""), moved=True)
        return 0.0

    def close(self) -> None:
        """Say how far it is, and let go of the target."""
        try:
            self._say(self.progress, moved=True)
        finally:
            self._target.close()

    def _next(self) -> tuple[list[Prediction], Progress]:
        """The predictions that are next, and the progress once they are sent."""
        source, progress, oldest_ns = self._source, self.progress, self._oldest_ns()
        batch: list[Prediction] = []
        last = source.journal.last
        for count, entry in enumerate(source.journal.read(progress.entry), start=1):
            body, start = entry.body, progress.row
            if not isinstance(body, DecisionBatch):
                progress = replace(progress, entry=entry.sequence, row=0)
            elif _is_older(entry, oldest_ns):
                progress = replace(progress, entry=entry.sequence, row=0, skipped=progress.skipped + len(body) - start)
            else:
                stop = min(len(body), start + BATCH - len(batch))
                rows = slice(start, stop)
                batch += predictions_of(body, rows, source.app, self._settings.target, source.models)
                whole = stop == len(body)
                at = (entry.sequence, 0) if whole else (entry.sequence - 1, stop)
                progress = replace(progress, entry=at[0], row=at[1])
            if len(batch) >= BATCH or progress.row or count >= _ENTRIES_MAX:
                break
        return batch, replace(progress, behind=max(0, last - progress.entry))

    def _oldest_ns(self) -> int:
        return self._source.clock.now_ns() - self._settings.target.keep

    def _begin(self, now_ns: int) -> int:
        """The entry behind which a new target begins."""
        oldest_us = (now_ns - self._settings.target.keep) // 1000
        with self._source.lock:
            for facts in self._source.journal.recent(0):
                if facts.recorded_us is None or facts.recorded_us >= oldest_us:
                    return facts.sequence - 1
            return self._source.journal.last

    def _say(self, progress: Progress, moved: bool) -> None:
        """Put the progress on the disk, where it has moved, or as a sign of life."""
        clock = self._source.clock
        self.progress = replace(progress, at_ns=clock.now_ns())
        if moved or clock.monotonic_ns() - self._said_ns >= _SAY_NS:
            self._said_ns = clock.monotonic_ns()
            save_progress(self._source.folder, self._settings.name, self.progress)


def _is_older(entry: Entry, oldest_ns: int) -> bool:
    return entry.recorded_us is not None and entry.recorded_us * 1000 < oldest_ns


def follow(one: Following, wait: Callable[[float], bool], say: Callable[[str], None], once: bool) -> None:
    """Send until `wait` says so, or, once, until nothing is left.

    wait : waits so many seconds; whether it is time to end
    say : gets a sentence when a target goes away, and when it is back
    Raises Unavailable, where the target is away and it is to be done once.
    """
    trouble = ""
    while True:
        try:
            pause_s = one.turn()
        except Unavailable as error:  # The journal or the disk.
            if once:
                raise
            pause_s, now = IDLE_S, str(error)
        else:
            now = one.progress.trouble
            if once and pause_s:
                if now:
                    raise Unavailable(now)
                return
        if now != trouble:
            say(now or "sends again")
            trouble = now
        if wait(pause_s):
            return

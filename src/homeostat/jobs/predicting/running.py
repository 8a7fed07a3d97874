"""All targets of an app, a thread each, so that one that is away holds up no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.adapters.disk.files import FOLDER_MODE
from homeostat.adapters.disk.prediction_progress import FOLDER, LOCK, Progress
from homeostat.adapters.predictions.opening import open_target
from homeostat.adapters.process.clock import SystemClock
from homeostat.config.predictions import TargetSettings
from homeostat.config.servers import KafkaSettings
from homeostat.engine.assembly import Prepared
from homeostat.errors import HomeostatError, Unavailable
from homeostat.jobs.predicting.following import Following, Source, follow
from homeostat.jobs.predicting.making import FindsBundle, Models
from homeostat.ports import NamedJournal

OpensJournal = Callable[[], NamedJournal]
"""Opens the journal for reading."""
IN_USE = "another process sends the predictions of this folder"


class Running:
    """See the module. Entered, it holds the folder's lock.

    folder : a data folder, or one for the progress of targets where the journal is on a server
    find : where the bundle is that decides now
    """

    def __init__(
        self, prepared: Prepared, open_journal: OpensJournal, find: FindsBundle, folder: Path, owner: str,
        kafka: KafkaSettings, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._prepared, self._open, self._find, self._folder = prepared, open_journal, find, folder
        self._owner, self._kafka, self._say = owner, kafka, say
        self._stop = threading.Event()
        self._done: dict[str, Progress] = {}
        self._failed: list[Exception] = []

    def run(self, targets: Sequence[TargetSettings], once: bool) -> dict[str, Progress]:
        """Send until `stop`, or once all that there is; the progress of each target.

        Raises DataFolderInUse; Unavailable where a target is away and it is done once, after the others.
        """
        place = self._folder / FOLDER
        try:
            place.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        except OSError as error:
            raise Unavailable(f"{place} can't be made: {error.strerror}") from error
        lock = FileLock(place / LOCK)
        lock.acquire(IN_USE)
        with ExitStack() as opened:
            opened.callback(lock.release)
            journal = self._open()
            opened.callback(journal.close)
            models = Models(self._prepared, journal, self._find)
            opened.callback(models.close)
            source = Source(self._prepared.app, journal, models, self._folder, SystemClock(), self._owner)
            threads = [threading.Thread(target=self._send, args=(source, one, once), name=one.name) for one in targets]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if self._failed:
            raise self._failed[0]
        return self._done

    def stop(self) -> None:
        """Let `run` end; any thread may ask, and a handler of signals."""
        self._stop.set()

    def _send(self, source: Source, settings: TargetSettings, once: bool) -> None:
        try:
            one = Following(source, settings, open_target(settings, self._kafka))
            with closing(one):
                follow(one, self._stop.wait, partial(self._told, settings), once)
                self._done[settings.name] = one.progress
        except HomeostatError as error:
            self._failed.append(error)
            if not once:
                self._stop.set()
        except BaseException:
            self._stop.set()
            raise

    def _told(self, settings: TargetSettings, text: str) -> None:
        self._say(f"predictions to {settings.name}: {text}")

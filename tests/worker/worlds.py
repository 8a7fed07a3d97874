"""Workers on streams, a journal and a feature store in memory, which they share."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from homeostat.adapters.disk.spool import SpooledJournal
from homeostat.adapters.memory.features import MemoryFeatures
from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.adapters.memory.stream import MemoryBroker, MemoryStream
from homeostat.config.load import load_app
from homeostat.config.servers import Servers
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.stores import Stores
from homeostat.ports import Unavailable
from homeostat.ports.streams import Outgoing
from homeostat.worker.in_flight import InFlightJournal
from homeostat.worker.worker import Worker

UNHURRIED = load_app("access").model_copy(update={"deadline": None})
"""The access app without a budget of time, so that a busy machine decides as an idle one does."""


class FragileFeatures(MemoryFeatures):
    """A feature store that is away while `away` says so."""

    away = ""

    def exchange(self, asked, through=None):
        self._check()
        return super().exchange(asked, through)

    def through(self):
        self._check()
        return super().through()

    def _check(self):
        if self.away:
            raise Unavailable(self.away)


class FakeServers:
    """The servers that the workers of a test share."""

    def __init__(self, folder: Path, partitions: int = 1, app="access", spools=False, **settings):
        self.broker = MemoryBroker(partitions)
        self.ledger = Ledger()
        self.features = FragileFeatures()
        self.app = app
        self.servers = Servers(events="kafka://memory/events", spool=str(folder / "spool"), batch_rows=50, **settings)
        self.notes: list[str] = []
        self.settings = self.learning = None
        self._spool = folder / "spooled" if spools else None

    def journal(self):
        """A worker's own: that of the server, behind a spool where it has one."""
        journal = MemoryJournal(self.ledger)
        return journal if self._spool is None else SpooledJournal(journal, self._spool)

    def worker(self, stream=None) -> Worker:
        made = []

        def in_flight(journal):
            made.append(InFlightJournal(journal))
            return made[0]

        parts = open_shared(
            self.app, self.servers, wrap=in_flight, journal=self.journal(), store=self.features,
            stores=None if self.settings is None else Stores(self.settings, learning=self.learning),
        )  # fmt: skip
        return Worker(parts, made[0], stream or MemoryStream(self.broker), self.notes.append)

    @contextmanager
    def running(self, workers=1):
        """So many workers, each in a thread; they drain at the end, and what broke one is raised."""
        made = [self.worker() for _ in range(workers)]
        broken = []

        def run(worker):
            try:
                worker.run()
            except BaseException as error:
                broken.append(error)

        threads = [threading.Thread(target=run, args=(worker,)) for worker in made]
        for thread in threads:
            thread.start()
        try:
            yield made
        finally:
            for worker in made:
                worker.stop()
            for thread in threads:
                thread.join(60)
            for worker in made:
                worker.close()
        if broken:
            raise broken[0]

    def send(self, events, kind="events", partition=None):
        self.broker.produce([Outgoing(json.dumps(event).encode(), key_of(event)) for event in events], kind, partition)

    @property
    def decisions(self):
        return [json.loads(message.value) for message in self.broker.decisions]

    @property
    def letters(self):
        return [json.loads(message.value) for message in self.broker.dead_letters]


def key_of(event):
    key = event.get("entity_id", event.get("customer"))
    return None if key is None else str(key).encode()


def until(condition, seconds=180.0):
    """Wait until something holds, which must happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def access_events(count, entities=7, start=0):
    return [
        {
            "event_id": f"e{k}", "entity_id": f"user-{k % entities}", "event_type": "login" if k % 3 else "read",
            "value": k % 11, "timestamp": 1_780_000_000 + k,
        }
        for k in range(start, start + count)
    ]  # fmt: skip

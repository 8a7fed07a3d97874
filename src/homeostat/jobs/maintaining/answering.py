"""Opens what the answers of a live app need: plans, settings, jobs, and the process that rehearses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from homeostat.adapters.disk.sqlite.plans import SqlitePlans
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.jobs.opening import opened as open_jobs
from homeostat.adapters.opening import plans_opener, statements_opener
from homeostat.adapters.process.clock import SystemClock
from homeostat.engine.shared.connecting import ServersIncomplete
from homeostat.jobs.maintaining.rehearsal_process import Place, RehearsalProcess
from homeostat.jobs.maintaining.responding import Means
from homeostat.jobs.maintaining.work import JobsWork, kept_versions
from homeostat.ports.plans import Plans
from homeostat.ports.statements import Statements


@dataclass(frozen=True, slots=True)
class Answering:
    """See the module.

    words : the arguments of a job of this app: the app, and the place of its journal
    folder : where relative paths among them begin
    memory_mb : the most that a rehearsal may take; None for `maintain.memory_mb`
    config : the file that names the servers
    """

    place: Place
    words: Sequence[str]
    folder: str
    memory_mb: int | None = None
    config: Path | None = None

    @contextmanager
    def opened(self, beat: Callable[[], None]) -> Iterator[Means]:
        """All of it. beat : called now and then while a rehearsal goes on

        Raises ServersIncomplete, Unavailable.
        """
        place, clock = self.place, SystemClock()
        with ExitStack() as opened:
            plans = opened.enter_context(closing(self._plans()))
            stores = opened.enter_context(place.stores(clock))
            rehearsal = RehearsalProcess(place, self.memory_mb or place.app.maintain.memory_mb, beat)
            opened.callback(rehearsal.close)
            work = JobsWork(
                lambda: closing(open_jobs(place.data, self.config, make=True)), self.words, self.folder, clock
            )
            record = opened.enter_context(closing(self._statements()))
            yield Means(
                plans, stores.settings, rehearsal, record, work, lambda: kept_versions(stores.registry)
            )  # fmt: skip

    def _statements(self) -> Statements:
        place = self.place
        if place.data is not None:
            return SqliteStatements(place.data, app=place.app.app)
        if place.servers is None or place.servers.journal is None:
            raise ServersIncomplete("statements are stored beside the journal: say servers.journal")
        return statements_opener(place.servers.journal)(place.servers.journal, app=place.app.app)

    def _plans(self) -> Plans:
        place = self.place
        if place.data is not None:
            return SqlitePlans(place.data, app=place.app.app)
        if place.servers is None or place.servers.journal is None:
            raise ServersIncomplete("plans are stored beside the journal: say servers.journal")
        return plans_opener(place.servers.journal)(place.servers.journal, app=place.app.app)

"""The rehearsal in a process of its own, which takes the processor time that is left and has a bound of its memory.

So a rehearsal slows no decision. If it fails, hangs or needs too much memory, that is a rehearsal that could not be
made, and the process is started again for the next one. It ends with the process that asks it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from homeostat.adapters.process.background import bound_memory, end_with, give_way
from homeostat.adapters.process.clock import SystemClock
from homeostat.config.servers import Servers
from homeostat.config.tree import App
from homeostat.engine.assembly import fitting_bundle, prepare
from homeostat.engine.shared.connecting import ServersIncomplete
from homeostat.engine.stores import Stores, stores_in, stores_on
from homeostat.errors import HomeostatError
from homeostat.jobs.maintaining.rehearsing import JournalRehearsal
from homeostat.jobs.maintaining.source import Source, source_in, source_on, store_in, store_on
from homeostat.ports import Clock
from homeostat.ports.rehearsal import Again, CanNotRehearse
from homeostat.records.plans import Alteration

LOOK_S = 2.0
LONGEST_S = 1800.0


@dataclass(frozen=True, slots=True)
class Place:
    """An app and where its journal, settings and versions are: a data folder, or servers.

    bundle : the models that its server was started with; None for the shipped ones, or the champion's
    """

    app: App
    data: Path | None = None
    servers: Servers | None = None
    bundle: Path | None = None

    @contextmanager
    def stores(self, clock: Clock) -> Iterator[Stores]:
        """Its settings and versions. Raises ServersIncomplete, Unavailable."""
        found = stores_in(self.data, self.app.app, clock) if self.data is not None else None
        if found is None and self.servers is not None:
            found = stores_on(self.servers, self.app.app, learning=True)
        if found is None:
            raise ServersIncomplete("a rehearsal reads a journal: say servers.journal")
        with closing(found):
            yield found


@contextmanager
def rehearsal_at(place: Place) -> Iterator[JournalRehearsal]:
    """The rehearsal of a place, in this process. Raises Unavailable, JournalError, BundleError, NotTrained."""
    with ExitStack() as opened:
        prepared = prepare(place.app)
        stores = opened.enter_context(place.stores(SystemClock()))
        source: Source
        if place.data is not None:
            incidents = opened.enter_context(store_in(place.data, place.app.app))
            source = opened.enter_context(source_in(place.data, prepared, incidents))
        else:
            assert place.servers is not None, "a place has a folder or servers"
            incidents = opened.enter_context(store_on(place.servers, place.app.app))
            source = opened.enter_context(source_on(place.servers, prepared, incidents))
        bundle = None if place.bundle is None else fitting_bundle(place.bundle, source.prepared)
        yield JournalRehearsal(source, stores, bundle)


class RehearsalProcess:
    """See the module; a `Rehearsal`. `close` ends it. For one thread.

    memory_mb : the most that it may take
    beat : called every few seconds while a rehearsal goes on; an error that it raises ends the rehearsal
    longest_s : a rehearsal that takes longer is given up
    """

    def __init__(
        self, place: Place, memory_mb: int, beat: Callable[[], None] = lambda: None, longest_s: float = LONGEST_S
    ) -> None:
        self._place, self._memory_mb, self._beat, self._longest_s = place, memory_mb, beat, longest_s
        self._pool: ProcessPoolExecutor | None = None

    def again(
        self, from_ns: int, until_ns: int, alterations: Sequence[Alteration], *, since_ns: int | None = None
    ) -> Again:
        """See `Rehearsal`."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, get_context("spawn"), _begin, (self._place, os.getpid(), self._memory_mb)
            )
        clock = SystemClock()
        begun = clock.monotonic_ns()
        try:
            future = self._pool.submit(_again, from_ns, until_ns, tuple(alterations), since_ns)
            while True:
                try:
                    found = future.result(LOOK_S)
                    break
                except TimeoutError:
                    self._beat()
                    if clock.monotonic_ns() - begun > self._longest_s * 1e9:
                        self.close()
                        raise CanNotRehearse(f"it took longer than {self._longest_s:,.0f} s") from None
        except BrokenProcessPool:
            self._pool = None
            raise CanNotRehearse(
                f"its process ended; it may need more memory than maintain.memory_mb ({self._memory_mb})"
            ) from None
        except BaseException:
            self.close()
            raise
        if isinstance(found, str):
            raise CanNotRehearse(found)
        return found

    def close(self) -> None:
        """End the process, whatever it does."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for one in list((pool._processes or {}).values()):
            one.kill()
        pool.shutdown(wait=True, cancel_futures=True)


_opened = ExitStack()
_rehearsal: JournalRehearsal | None = None
_place: Place | None = None


def _begin(place: Place, parent: int, memory_mb: int) -> None:
    """Begin the process."""
    global _place
    end_with(parent)
    give_way()
    bound_memory(memory_mb)
    _place = place


def _again(from_ns: int, until_ns: int, alterations: Sequence[Alteration], since_ns: int | None) -> Again | str:
    """A rehearsal, or why there is none. Stores are opened at the first one, and again after an error."""
    global _rehearsal
    assert _place is not None, "the process has begun"
    try:
        if _rehearsal is None:
            _rehearsal = _opened.enter_context(rehearsal_at(_place))
        return _rehearsal.again(from_ns, until_ns, alterations, since_ns=since_ns)
    except CanNotRehearse as error:
        return str(error)
    except HomeostatError as error:
        _rehearsal = None
        _opened.close()
        return str(error)
    except MemoryError:
        _rehearsal = None
        _opened.close()
        return "it needs more memory than maintain.memory_mb lets it have"

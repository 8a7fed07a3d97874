"""The work of an engine around deciding: it differs between a process that owns its data and several that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.records.events import EventBatch, OutcomeBatch

if TYPE_CHECKING:
    from homeostat.engine.parts import Parts
    from homeostat.engine.readings import Value


class Duties(Protocol):
    """See the module.

    waits_for_servers : whether deciding means waiting for others, so that it is best done in a thread
    refused : why nothing can be decided at present, beyond what the loop says; empty where nothing is in the way
    trouble : the trouble at present with the servers that it decides on, in a sentence; empty where there is none
    notice : what is worth a line though decisions go on as ever; empty where there is nothing
    """

    waits_for_servers: bool
    refused: str

    @property
    def trouble(self) -> str: ...

    @property
    def notice(self) -> str: ...

    def notes(self) -> list[str]:
        """Notices of the parts that only this kind of engine has, a sentence each."""
        ...

    def readings(self) -> Mapping[str, Value]:
        """Current figures of those parts, by name of a declared metric."""
        ...

    def deciding(self) -> AbstractContextManager[None]:
        """Surround the deciding of one call's events."""
        ...

    def receiving(self) -> AbstractContextManager[None]:
        """Surround the taking in of one call's outcomes."""
        ...

    def pieces(self, batch: EventBatch) -> Iterable[tuple[EventBatch, int]]:
        """The events that are decided together, in order, each with its first row; a later one may be waited for."""
        ...

    def learned(self, batch: OutcomeBatch) -> NDArray[np.bool_]:
        """Take in the outcomes of decided events; (n,) which those are."""
        ...

    def resume(self, mend: Callable[[], None]) -> None:
        """Go on after a failure. Raises Unavailable; Stopped.

        mend : makes a loop ready that a fault broke off
        """
        ...

    def save(self, snapshot: Callable[[], Callable[[], None]]) -> None:
        """Keep what the next start would miss."""
        ...

    def close(self, save: Callable[[], None]) -> None:
        """Let go of files, servers and threads."""
        ...


class OwnDuties:
    """Those of a process that owns its data."""

    waits_for_servers, refused, trouble, notice = False, "", "", ""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def notes(self) -> list[str]:
        """Those of the parts that every engine may have are all."""
        return []

    def readings(self) -> Mapping[str, Value]:
        """There are no servers."""
        return {}

    def deciding(self) -> AbstractContextManager[None]:
        """Nothing: nobody else writes."""
        return nullcontext()

    receiving = deciding

    def pieces(self, batch: EventBatch) -> Iterable[tuple[EventBatch, int]]:
        """All at once: this process learns by itself."""
        return ((batch, 0),)

    def learned(self, batch: OutcomeBatch) -> NDArray[np.bool_]:
        """Let the loop learn."""
        known: NDArray[np.bool_] = self._parts.journal.seen(batch.ids)
        if known.any():
            self._parts.loop.learn(batch.rows(known))
        return known

    def resume(self, mend: Callable[[], None]) -> None:
        """Begin again where a fault broke the loop off; make sure that the disk has room."""
        parts = self._parts
        if not (parts.loop.stopped or parts.loop.recording.trouble):
            return
        mend()
        if parts.loop.recording.trouble:  # An append of outcomes failed, of which nothing is left to be written.
            if parts.room is not None:
                parts.room()
            parts.loop.recording.trouble = ""

    def save(self, snapshot: Callable[[], Callable[[], None]]) -> None:
        """Write a snapshot, so that the next start has less to replay."""
        snapshot()()

    def close(self, save: Callable[[], None]) -> None:
        """Save, and let go."""
        with self._parts.opened:  # Where the journal is down nothing can be saved; the rest is let go all the same.
            save()

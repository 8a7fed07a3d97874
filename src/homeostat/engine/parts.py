"""The parts of an engine, as `engine.assembly` and `engine.shared` put them together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from homeostat.config.tree import App
from homeostat.decide.intake.schema import EventSchema
from homeostat.decide.loop import DecisionLoop
from homeostat.ports import Audited, Clock, DeadLetters, KeptJournal, Snapshots, StandingJournal
from homeostat.records.vocabulary import Vocabulary

if TYPE_CHECKING:
    from homeostat.engine.fair_watch import FairnessWatch
    from homeostat.engine.maintaining import MaintenanceKeeper
    from homeostat.engine.measuring import Measuring
    from homeostat.engine.memory_sizing import MemorySizer
    from homeostat.engine.predicting import PredictionsKeeper
    from homeostat.engine.shadowing import ShadowKeeper
    from homeostat.engine.sizing import Sizer
    from homeostat.engine.watching import Watcher


class Trail(Protocol):
    """The audit trail, which follows a journal."""

    def follow(self, journal: Audited, now_ns: int | None) -> object: ...

    def stated(self, number: int, digest: str, now_ns: int | None) -> object: ...


@dataclass(slots=True)
class Parts:
    """The parts of an engine; `engine.assembly` makes them.

    declared : how events are read by the app file
    kept : the journal again, where it is this process's own: `snapshots` are made of it, and `audit` follows it
    begin_again : lets the loop continue from snapshot and journal after a fault broke it off
    room : raises Unavailable where the disk that the journal is on takes nothing more; None without a disk
    watcher : hands over what the settings change; None where there are none
    stated : the number of the last statement that people made, and the digest of all; None where there are none
    fairness : looks at the fairness of the last decisions; None where no bound is declared, or nothing is kept
    shadow : looks after the challenger's process; None where nobody does
    maintenance : looks after the maintenance loop's process; None where nobody does
    measuring : takes metrics of series; None where the app declares none, or several processes would share a series
    predictions : looks after the process that sends predictions; None where the app has no targets
    sizer : chooses how many requests are decided together; None where nobody gathers any
    memory : chooses how much is remembered of the feature store's logs; None without such a store
    opened : what the engine lets go of when it is closed, the last opened first
    """

    app: App
    loop: DecisionLoop
    declared: EventSchema
    words: Vocabulary
    journal: StandingJournal
    clock: Clock
    dead_letters: DeadLetters | None = None
    snapshots: Snapshots | None = None
    kept: KeptJournal | None = None
    audit: Trail | None = None
    begin_again: Callable[[], None] | None = None
    room: Callable[[], None] | None = None
    watcher: Watcher | None = None
    stated: Callable[[], tuple[int, str]] | None = None
    shadow: ShadowKeeper | None = None
    maintenance: MaintenanceKeeper | None = None
    predictions: PredictionsKeeper | None = None
    fairness: FairnessWatch | None = None
    measuring: Measuring | None = None
    sizer: Sizer | None = None
    memory: MemorySizer | None = None
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def schema(self) -> EventSchema:
        """How events are read: as the app file says, unless a repair of the next batch needs more."""
        return (self.loop.coming or self.loop.stages).reads or self.declared
